package run_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/event"
)

func TestConditionsAreEvaluatedWhenTheNeedsAreMet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1 zone=a", "h2 zone=b")
		s.program("which", says("blue"), "h1")
		s.program("which", says("red"), "h2")
		r := s.run(`
  - id: colour
    ask: which
  - id: blue
    when: tasks.colour.outputs.said == "blue"
    put: {key: a}
  - id: zone
    when: host.vars.zone == "b" && host.facts.cpus == 2
    put: {key: b}
  - id: after_a_skip
    needs: [blue]
    put: {key: c}
`).want(0, `
			colour@h1 ok
			colour@h2 ok
			blue@h1 changed
			blue@h2 skipped
			zone@h1 skipped
			zone@h2 changed
			after_a_skip@h1 changed
			after_a_skip@h2 changed
		`)
		for _, e := range r.of(event.InstanceEnded) {
			if e.Instance == "blue@h2" && (e.When != `tasks.colour.outputs.said == "blue"` || e.Attempt != 0) {
				t.Errorf("a skipped instance tells its condition and no attempt: %+v", e)
			}
		}
	})
}

func TestTasksReadWhatOthersFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1 cp", "h2 rest", "h3 rest")
		for name, m := range s.machines {
			m.programs["key"] = says("key of " + name)
		}
		s.run(`
  - id: key
    ask: key
  - id: same_host
    put: {key: same, value: "${{ tasks.key.outputs.said }}"}
  - id: one
    on: cp
    ask: key
  - id: of_the_one_host
    put: {key: one, value: "${{ tasks.one.outputs.said }}"}
  - id: of_all
    on: cp
    put:
      key: all
      value: ${{ join(map(tasks.key.all, .host.name + "=" + .outputs.said), " ") }}
  - id: nowhere
    on: rest
    put: {key: nowhere, value: "${{ tasks.one.outputs.said ?? 'nothing' }} ${{ tasks.of_all.changed }}"}
`)
		for _, c := range []struct{ host, key, want string }{
			{"h2", "same", "key of h2"},
			{"h3", "one", "key of h1"},
			{"h1", "all", "h1=key of h1 h2=key of h2 h3=key of h3"},
			{"h3", "nowhere", "key of h1 true"},
		} {
			if got := s.machines[c.host].files["/"+c.key]; got != c.want {
				t.Errorf("%s on %s is %q, want %q", c.key, c.host, got, c.want)
			}
		}
	})
}

func TestOutputsOfWhatDidNotRunAreAnErrorUnlessThereIsAnotherValue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("broken", exits(1, "no"))
		r := s.run(`
  - id: skipped
    when: host.facts.cpus > 2
    ask: broken
  - id: failed
    allow_failure: true
    ask: broken
  - id: reads_skipped
    put: {key: a, value: "${{ tasks.skipped.outputs.said }}"}
  - id: reads_failed
    put: {key: b, value: "${{ tasks.failed.outputs.said }}"}
  - id: has_another
    put: {key: c, value: "${{ tasks.failed.outputs.said ?? 'another' }}"}
  - id: asks_first
    when: tasks.failed.status == "failed" and tasks.skipped.status == "skipped"
    put: {key: d}
`).want(3, `
			skipped@h1 skipped
			failed@h1 failed (allowed)
			reads_skipped@h1 failed
			reads_failed@h1 failed
			has_another@h1 changed
			asks_first@h1 changed
		`)
		r.fails("reads_skipped@h1", "skipped@h1 is skipped and has no outputs")
		r.fails("reads_failed@h1", "failed@h1 is failed and has no outputs")
		if got := s.machines["h1"].files["/c"]; got != "another" {
			t.Errorf("c is %q", got)
		}
	})
}

func TestABlockHasAStatus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("broken", exits(1, ""))
		s.run(`
  - id: skipped
    when: host.facts.cpus > 2
    steps:
      - {id: a, put: {key: a}}
  - id: tolerant
    steps:
      - {id: a, put: {key: b}}
      - {id: b, ask: broken, allow_failure: true}
      - {id: c, mint: {}, run: on_demand}
  - id: failed
    allow_failure: true
    steps:
      - {id: a, ask: broken}
      - {id: b, put: {key: c}}
  - id: says
    needs: [tolerant, failed]
    put: {key: says, value: "${{ tasks.skipped.status }} ${{ tasks.tolerant.status }} ${{ tasks.failed.status }}"}
`).want(0, `
			skipped/a@h1 skipped
			tolerant/a@h1 changed
			tolerant/b@h1 failed (allowed)
			failed/a@h1 failed
			failed/b@h1 blocked
			says@h1 changed
		`)
		if got := s.machines["h1"].files["/says"]; got != "skipped changed failed" {
			t.Errorf("the blocks are %q", got)
		}
	})
}

func TestLoopsGiveAListOfOutputs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		r := s.run(`
  - id: loop
    for_each: ["x", "y"]
    put: {key: "${{ item }}", value: "v${{ item }}"}
  - id: empty
    for_each: host.facts.addresses
    put: {key: never}
  - id: read
    put:
      key: read
      value: ${{ join(map(tasks.loop.outputs, .value), "+") }} ${{ len(tasks.empty.outputs) }}
`).want(0, `
			loop@h1 changed
			empty@h1 ok
			read@h1 changed
		`)
		if got := s.machines["h1"].files["/read"]; got != "vx+vy 0" {
			t.Errorf("read %q", got)
		}
		if n := strings.Count(r.text(), `"summary":"put `); n != 3 {
			t.Errorf("%d changes were said, want 3", n)
		}
	})
}

func TestPartsGiveOutputs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.program("socket", says("/run/x.sock"))
		s.write("part.yaml", `kflow: v1
name: part
inputs:
  prefix: {type: string}
tasks:
  - id: find
    ask: socket
  - id: note
    needs: [find]
    put: {key: note, value: "${{ inputs.prefix }}"}
outputs:
  socket: ${{ inputs.prefix }}${{ tasks.find.outputs.said }}
`)
		s.run(`
  - id: runtime
    use: part.yaml
    with: {prefix: "unix:${{ host.name }}:"}
  - id: reads
    put: {key: reads, value: "${{ tasks.runtime.outputs.socket }}"}
`).want(0, `
			runtime/find@h1 ok
			runtime/find@h2 ok
			runtime/note@h1 changed
			runtime/note@h2 changed
			reads@h1 changed
			reads@h2 changed
		`)
		if got := s.machines["h2"].files["/reads"]; got != "unix:h2:/run/x.sock" {
			t.Errorf("reads %q", got)
		}
	})
}

func TestOutputsOfWhatIsLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.program("which", says("blue"))
		s.limit = "h2"
		const book = `
  - {id: one, on: "all[0]", ask: which}
  - {id: reads, put: {key: a, value: "${{ tasks.one.outputs.said }}"}}
  - {id: may, put: {key: b, value: "${{ tasks.one.outputs.said ?? 'none' }}"}}
`
		s.run(book).want(3, `
			reads@h2 failed
			may@h2 changed
		`).fails("reads@h2", "one@h1 is left out of this run, by --limit or --only")
		s.limit = ""
		s.run(book).want(0, `
			one@h1 ok
			reads@h1 changed
			reads@h2 changed
			may@h1 changed
			may@h2 changed
		`)
	})
}
