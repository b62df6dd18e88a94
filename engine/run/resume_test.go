package run_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/task"
)

// after is a playbook whose last task fails the first time, so that there is something to resume.
const after = `
  - {id: last, on: "all[0]", needs: [%s], ask: mends}
`

func broken(s *site) { s.program("mends", first(1, 1)) }

func TestWhatHasNotChangedIsReused(t *testing.T) {
	const book = `
  - id: a
    put:
      key: a
      value: {x: 1, y: 2}
  - id: b
    needs: [a]
    put: {key: b, value: "${{ tasks.a.outputs.value }}"}
` + "\n"
	for name, c := range map[string]struct{ old, new, ends string }{
		"nothing at all":    {"", "", "a@h1 reused, b@h1 reused"},
		"a comment":         {"  - id: b\n", "  # why\n\n  - id: b\n", "a@h1 reused, b@h1 reused"},
		"the order of keys": {"      key: a\n      value: {x: 1, y: 2}", "      value: {y: 2, x: 1}\n      key: a", "a@h1 reused, b@h1 reused"},
		"a title":           {"  - id: a\n", "  - id: a\n    name: the first\n", "a@h1 reused, b@h1 reused"},
		"a parameter of b":  {"key: b,", "key: c,", "a@h1 reused, b@h1 changed"},
		"a parameter of a":  {"x: 1", "x: 3", "a@h1 changed, b@h1 changed"},
		"a condition":       {"    needs: [a]\n", "    needs: [a]\n    when: 1 < 2\n", "a@h1 reused, b@h1 ok"},
		"a task before":     {"  - id: b\n", "  - {id: n, before: [b], put: {key: n}}\n  - id: b\n", "a@h1 reused, b@h1 ok, n@h1 changed"},
		"a task behind":     {"  - id: b\n", "  - {id: n, needs: [b], put: {key: n}}\n  - id: b\n", "a@h1 reused, b@h1 reused, n@h1 changed"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, "h1")
				broken(s)
				r := s.run(book + fmt.Sprintf(after, "b"))
				changed := strings.Replace(book, c.old, c.new, 1)
				if c.old != "" && changed == book {
					t.Fatal("nothing was replaced")
				}
				got := s.resume(changed+fmt.Sprintf(after, "b"), r.id)
				var ends []string
				for line := range strings.Lines(got.ends()) {
					if line = strings.TrimSpace(line); !strings.HasPrefix(line, "last") {
						ends = append(ends, line)
					}
				}
				if text := strings.Join(ends, ", "); text != c.ends || got.Exit != 0 {
					t.Errorf("ended as %s (exit %d), want %s\n%s", text, got.Exit, c.ends, got.failures())
				}
			})
		})
	}
}

func TestAReusedInstanceKeepsWhatItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		s.program("which", says("blue"))
		book := `
  - {id: a, put: {key: a}}
  - {id: b, ask: which}
  - {id: n, needs: [last], put: {key: n, value: "${{ tasks.a.status }} ${{ tasks.a.changed }} ${{ tasks.b.status }} ${{ tasks.b.outputs.said }}"}}
` + fmt.Sprintf(after, "a, b")
		r := s.run(book)
		s.program("which", says("red"))
		again := s.resume(book, r.id).want(0, `
			a@h1 reused
			b@h1 reused
			last@h1 ok
			n@h1 changed
		`)
		if got := s.machines["h1"].files["/n"]; got != "changed true ok blue" {
			t.Errorf("n is %q", got)
		}
		if e := again.of(event.InstanceEnded)[0]; e.Instance == "a@h1" && e.First != event.Changed {
			t.Errorf("end of a: %+v", e)
		}
	})
}

func TestWhatDependsOnAChangedTaskRunsAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		broken(s)
		s.program("restart", says(""))
		book := `
  - {id: config, on: "all[0]", put: {key: config, value: 1}}
  - {id: every, needs: [config@all], act: restart}
  - id: block
    needs: [config]
    when: host.name == "h1"
    steps:
      - {id: first, act: restart}
      - {id: second, act: restart}
  - {id: skipped, needs: [config], when: 1 > 2, put: {key: s}}
  - {id: behind_skipped, needs: [skipped], act: restart}
  - {id: apart, put: {key: apart}}
` + fmt.Sprintf(after, "every, block, behind_skipped, apart")
		r := s.run(book)
		s.resume(strings.Replace(book, "value: 1", "value: 2", 1), r.id).want(0, `
			config@h1 changed
			every@h1 changed
			every@h2 changed
			block/first@h1 changed
			block/second@h1 changed
			block/first@h2 skipped
			block/second@h2 skipped
			skipped@h1 skipped
			skipped@h2 skipped
			behind_skipped@h1 changed
			behind_skipped@h2 changed
			apart@h1 reused
			apart@h2 reused
			last@h1 ok
		`)
	})
}

func TestAReplacedMachineStartsAfresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		broken(s)
		book := `
  - {id: a, put: {key: a}}
  - {id: s, when: host.facts.cpus > 2, put: {key: s}}
  - id: block
    when: host.facts.cpus > 2
    steps: [{id: b, put: {key: b}}]
` + fmt.Sprintf(after, "a")
		r := s.run(book)
		fresh := newMachine(t, "h2")
		fresh.facts.MachineID, fresh.facts.CPUs, fresh.programs = "another", 4, s.machines["h2"].programs
		s.machines["h2"] = fresh
		s.resume(book, r.id).want(0, `
			a@h1 reused
			s@h1 reused
			block/b@h1 reused
			a@h2 changed
			s@h2 changed
			block/b@h2 changed
			last@h1 ok
		`)
	})
}

func TestAnInterruptedResumeForgetsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		s.program("restart", says(""))
		book := `
  - {id: config, put: {key: config, value: 1}}
  - {id: restart, needs: [config], act: restart}
` + fmt.Sprintf(after, "restart")
		r := s.run(book)
		changed := strings.Replace(book, "value: 1", "value: 2", 1)
		s.interruptAt(event.InstanceStarted, "config@h1")
		s.resume(changed, r.id).want(130, `
			config@h1 changed
			restart@h1 cancelled
			last@h1 cancelled
		`)
		// The restart for the new configuration is still due.
		s.on = nil
		s.machines["h1"].forget()
		s.resume(changed, r.id).want(0, `
			config@h1 reused
			restart@h1 changed
			last@h1 ok
		`)
	})
}

func TestOutputsThatHoldASecretAreFoundAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		s.secrets = []string{"correct horse"}
		asked := 0
		s.program("show", func(context.Context, []string) (task.Output, error) {
			asked++
			return task.Output{Stdout: "it is correct horse"}, nil
		})
		s.write("part.yaml", `kflow: v1
name: part
tasks:
  - {id: show, ask: show}
  - {id: behind, needs: [show], put: {key: behind}}
outputs:
  said: ${{ tasks.show.outputs.said }}
`)
		book := `
  - {id: part, use: part.yaml}
` + fmt.Sprintf(after, "part") + `
  - {id: reads, needs: [last], put: {key: reads, value: "${{ tasks.part.outputs.said }}"}}
`
		r := s.run(book)
		s.resume(book, r.id)
		if got := s.machines["h1"].files["/reads"]; got != "it is correct horse" || asked != 2 {
			t.Errorf("reads %q after %d questions", got, asked)
		}
		if strings.Contains(s.logText(r.id), "correct horse") {
			t.Error("the secret stands in the log")
		}
	})
}

func TestHostByHostNeedsDoNotMixHosts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		broken(s)
		s.program("which", func(context.Context, []string) (task.Output, error) {
			return task.Output{Stdout: "same"}, nil
		}, "h1")
		s.program("which", func(ctx context.Context, _ []string) (task.Output, error) {
			time.Sleep(time.Second)
			return task.Output{Stdout: "same"}, nil
		}, "h2")
		book := `
  - {id: a, ask: which}
  - {id: b, put: {key: b, value: "${{ tasks.a.outputs.said }}"}}
` + fmt.Sprintf(after, "b@all")
		r := s.run(book) // b@h1 ends before a@h2
		s.resume(book, r.id).want(0, `
			a@h1 reused
			a@h2 reused
			b@h1 reused
			b@h2 reused
			last@h1 ok
		`)
	})
}
