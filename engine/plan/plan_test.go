package plan_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/plan"
)

func TestPlans(t *testing.T) {
	for name, c := range map[string]struct {
		play, want string
		o          plan.Options
	}{
		"hosts of a task": {play: `
tasks:
  - {id: everywhere, noop: {}}
  - {id: some, on: workers, noop: {}}
  - {id: one, on: "cp[0]", noop: {}}
  - {id: rest, on: "cp[1:]", noop: {}}
  - {id: but, on: all - workers, noop: {}}
  - {id: where, on: "where(all, .vars?.zone == 'b')", noop: {}}
  - {id: back, on: reverse(workers), noop: {}}
  - {id: none, on: "cp[7]", noop: {}}
`, want: `
			everywhere: m1 m2 m3 w1 w2
			some: w1 w2
			one: m1
			rest: m2 m3
			but: m1 m2 m3
			where: w2
			back: w2 w1
			none:
		`},
		"the form of a need": {play: `
tasks:
  - {id: every, noop: {}}
  - {id: part, on: cp, needs: [every], noop: {}}
  - {id: others, on: workers, needs: [part], noop: {}}
  - {id: forced_all, on: cp, needs: [every@all], noop: {}}
  - {id: forced_host, needs: [part@host], noop: {}}
  - {id: nobody, on: "cp[9]", noop: {}}
  - {id: after_nobody, needs: [nobody], noop: {}}
`, want: `
			every: m1 m2 m3 w1 w2
			part: m1 m2 m3 <-every
			others: w1 w2 <-part@all
			forced_all: m1 m2 m3 <-every@all
			forced_host: m1 m2 m3 w1 w2 <-part
			nobody:
			after_nobody: m1 m2 m3 w1 w2
		`},
		"data is a need, and before is one of the other": {play: `
tasks:
  - {id: a, noop: {}}
  - {id: b, noop: "${{ tasks.a.outputs.x }}"}
  - {id: c, on: cp, noop: "${{ tasks.a.all }}"}
  - {id: d, before: [a], noop: {}}
`, want: `
			a: m1 m2 m3 w1 w2 <-d
			b: m1 m2 m3 w1 w2 <-a
			c: m1 m2 m3 <-a@all
			d: m1 m2 m3 w1 w2
		`},
		"a plain block is dissolved": {play: `
tasks:
  - {id: first, noop: {}}
  - id: block
    needs: [first]
    steps:
      - {id: a, noop: {}}
      - {id: b, noop: {}}
      - {id: c, on: cp, noop: {}}
  - {id: last, needs: [block], noop: {}}
`, want: `
			first: m1 m2 m3 w1 w2
			block/a: m1 m2 m3 w1 w2 <-first
			block/b: m1 m2 m3 w1 w2 <-block/a
			block/c: m1 m2 m3 <-block/b <-first
			last: m1 m2 m3 w1 w2 <-block/b <-block/c@all
		`},
		"a block that decides or holds something is a group": {play: `
tasks:
  - {id: first, noop: {}}
  - id: block
    on: workers
    needs: [first]
    when: host.name != "x"
    lock: l
    max_parallel: 50%
    retry: {attempts: 3, delay: 5s, backoff: 2, max_delay: 1m}
    steps:
      - {id: a, noop: {}}
      - id: inner
        allow_failure: true
        steps:
          - {id: b, noop: {}}
  - {id: last, on: workers, needs: [block], noop: {}}
`, want: `
			first: m1 m2 m3 w1 w2
			block/a: w1 w2 in=block
			block/inner/b: w1 w2 in=block/inner
			last: w1 w2 <-block/a <-block/inner/b
			[block]: w1 w2 <-first when lock=l parallel=1 failures=0 retry=3x5s*2<1m0s
			[block/inner]: w1 w2 <-block/a in=block allow
		`},
		"a finally needs every step before it": {play: `
tasks:
  - id: block
    on: workers
    steps:
      - {id: a, noop: {}}
      - {id: b, noop: {}}
      - {id: undo, run: always, noop: {}}
`, want: `
			block/a: w1 w2 in=block
			block/b: w1 w2 <-block/a in=block
			block/undo: w1 w2 <-block/a <-block/b in=block always
			[block]: w1 w2
		`},
		"limits of a task": {play: `
inputs:
  n: {type: int, default: 2}
tasks:
  - {id: a, lock: l, max_parallel: "${{ inputs.n }}", max_failures: 40%, timeout: 90s, noop: {}}
  - {id: b, on: workers, max_failures: 1, allow_failure: true, retry: {attempts: 2}, pkg: {}}
  - {id: c, on: "cp[0]", run: on_failure, needs: [a], when: 1 < 2, act: {}}
`, want: `
			a: m1 m2 m3 w1 w2 lock=l parallel=2 failures=2 timeout=1m30s
			b: w1 w2 parallel=0 failures=1 allow retry=2x0s*1<0s class=package
			c: m1 <-a on_failure when durable
		`},
		"where a task is carried out": {play: `
tasks:
  - {id: there, on: workers, at: "cp[0]", noop: {}}
  - {id: here, on: workers, at: controller, noop: {}}
  - {id: any, on: workers, at: reachable(cp), noop: {}}
`, want: `
			there: w1 w2 remote
			here: w1 w2 remote
			any: w1 w2 remote
		`},
		"--limit comes after indices": {o: plan.Options{Limit: "w2, m2"}, play: `
tasks:
  - {id: every, noop: {}}
  - {id: first, on: "cp[0]", noop: {}}
  - {id: second, on: "cp[1]", needs: [every], noop: {}}
  - {id: some, on: workers, max_parallel: 50%, needs: [every@all], noop: {}}
`, want: `
			every: m2 w2
			first:
			second: m2 <-every
			some: w2 <-every@all parallel=1 failures=0
		`},
		"--limit takes groups, and leaves what is made on demand": {o: plan.Options{Limit: "workers"}, play: `
tasks:
  - {id: token, on: "cp[0]", run: on_demand, noop: {}}
  - {id: member, on: workers, noop: {lazy: "${{ tasks.token.outputs.x }}"}}
`, want: `
			token: m1 on_demand
			member: w1 w2
		`},
		"the form of a need does not depend on --limit": {o: plan.Options{Limit: "m1"}, play: `
tasks:
  - {id: a, on: cp, noop: {}}
  - {id: b, needs: [a], noop: {}}
`, want: `
			a: m1
			b: m1 <-a@all
		`},
		"--only runs what is named, or inside of it": {o: plan.Options{Only: []string{"block", "c"}}, play: `
tasks:
  - {id: a, noop: {}}
  - id: block
    on: workers
    needs: [a]
    when: 1 < 2
    steps:
      - {id: x, noop: {}}
      - {id: y, noop: {}}
  - {id: blocks, noop: {}}
  - {id: c, on: workers, needs: [block], noop: {}}
`, want: `
			a:
			block/x: w1 w2 in=block
			block/y: w1 w2 <-block/x in=block
			blocks:
			c: w1 w2 <-block/y
			[block]: w1 w2 when
		`},
		"a part narrows all": {play: `
tasks:
  - {id: p, on: workers, use: part.yaml}
  - {id: q, use: part.yaml}
-- part.yaml --
kflow: v1
name: part
groups: {cp: {}}
tasks:
  - {id: every, noop: {}}
  - {id: first, on: "all[0]", needs: [every], noop: {}}
  - {id: group, on: cp, needs: [first], noop: {}}
`, want: `
			p/every: w1 w2
			p/first: w1 <-p/every
			p/group: m1 m2 m3 <-p/first@all
			q/every: m1 m2 m3 w1 w2
			q/first: m1 <-q/every
			q/group: m1 m2 m3 <-q/first@all
		`},
		"what is left out may still be seen": {play: `
tasks:
  - {id: a, noop: {}}
  - id: block
    needs: [a@all]
    steps:
      - {id: x, noop: {}}
      - {id: y, noop: {}}
      - {id: z, noop: {}}
  - {id: b, needs: [a, block], noop: {}}
`, want: `
			a: m1 m2 m3 w1 w2
			block/x: m1 m2 m3 w1 w2 <-a@all
			block/y: m1 m2 m3 w1 w2 <-block/x
			block/z: m1 m2 m3 w1 w2 <-block/y
			b: m1 m2 m3 w1 w2 <-a <-block/z
		`},
	} {
		t.Run(name, func(t *testing.T) {
			got := show(site{text: c.play, o: c.o}.plan(t))
			if clean := lines(got); clean != lines(c.want) {
				t.Errorf("planned\n%s\nwant\n%s", clean, lines(c.want))
			}
		})
	}
}

func TestMistakesThatTheInventoryShows(t *testing.T) {
	for name, c := range map[string]struct {
		play, want, hint string
		o                plan.Options
	}{
		"too few hosts in a group": {want: "play.yaml:3:10: group cp needs at least 5 hosts, and the inventory hosts.yaml has 3", hint: "add `groups: [cp]` to hosts of the inventory", play: `
-- play.yaml --
kflow: v1
name: test
groups: {cp: {min: 5}}
tasks: [{id: a, noop: {}}]
`},
		"too many": {want: "play.yaml:3:10: group cp takes at most 1 host, and the inventory hosts.yaml has 3", play: `
-- play.yaml --
kflow: v1
name: test
groups: {cp: {max: 1}}
tasks: [{id: a, noop: {}}]
`},
		"a limit nobody knows": {o: plan.Options{Limit: "m1,worker"}, play: "tasks: [{id: a, noop: {}}]\n",
			want: "--limit: no host or group `worker` in hosts.yaml", hint: "did you mean `workers`?"},
		"a task nobody knows": {o: plan.Options{Only: []string{"b"}}, play: "tasks: [{id: a, noop: {}}]\n",
			want: "--only: no task `b` in play.yaml", hint: "did you mean `a`?"},
		"at names nobody": {play: "tasks: [{id: a, at: \"reachable(where(all, .name == 'x'))\", noop: {}}]\n", hint: "put a host into that group, or name another place",
			want: "play.yaml:4:22: `reachable(where(all, .name == 'x'))` names no host of hosts.yaml, and `a` is to be carried out there"},
		"at wants one host": {play: "tasks: [{id: a, at: cp, noop: {}}]\n",
			want: "play.yaml:4:21: `cp`: `at` wants one host, here are 3 hosts: reachable() takes the first that is up"},
		"a variable some host does not have": {play: `tasks:
  - {id: a, on: "all - cp", noop: "${{ host.vars.zone }}"}
  - {id: b, noop: "in ${{ host.vars.zoen }}"}
`, want: "play.yaml:6:27: host m1 (and 4 more) has no variable `zoen`", hint: "did you mean `zone`?"},
		"a variable in a condition of a block": {play: `tasks:
  - id: block
    on: cp[0]
    when: host.vars.zone == "a"
    steps: [{id: a, noop: {}}]
`, want: "play.yaml:7:11: host m1 has no variable `zone`", hint: "give it in the inventory, or a value for hosts without it: `?? VALUE`"},
		"a variable given to a part": {play: `tasks:
  - id: p
    on: cp[0]
    use: part.yaml
    with: {x: "${{ host.vars.zone }}"}
-- part.yaml --
kflow: v1
name: part
inputs: {x: {type: string}}
tasks: [{id: a, noop: "${{ inputs.x }}"}]
`, want: "play.yaml:8:20: host m1 has no variable `zone`"},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := site{text: strings.TrimPrefix(c.play, "\n"), o: c.o}.make(t)
			all := found.Sorted()
			if len(all) != 1 {
				t.Fatalf("%d mistakes: %v", len(all), found.Err())
			}
			if got := all[0].Pos.String() + ": " + all[0].Summary; got != c.want {
				t.Errorf("said %q\nwant %q", got, c.want)
			}
			if c.hint != "" && all[0].Hint != c.hint {
				t.Errorf("hint %q\nwant %q", all[0].Hint, c.hint)
			}
		})
	}
}

func TestVariablesThatMayBeMissing(t *testing.T) {
	for _, text := range []string{
		`{id: a, noop: "${{ host.vars.zone ?? 'none' }}"}`,
		`{id: a, noop: "${{ host.vars?.zone }}"}`,
		`{id: a, on: workers, noop: "${{ host.vars.zone }}"}`,
		`{id: a, when: '"zone" in host.vars && host.vars.zone == "a"', noop: {}}`,
		`{id: a, when: '"workers" in host.groups', noop: "${{ host.vars.zone }}"}`,
		`{id: a, noop: "${{ filter(hosts, .vars?.zone == 'a') }}"}`,
	} {
		site{text: "tasks: [" + text + "]\n"}.plan(t)
	}
	site{text: "tasks: [{id: a, noop: \"${{ host.vars.zone }}\"}]\n", o: plan.Options{Limit: "workers"}}.plan(t)
	site{text: "tasks: [{id: a, noop: \"${{ host.vars.zone }}\"}]\n", o: plan.Options{Sketch: true}, bare: true}.plan(t)
}

func TestAssertsThatInputsAndInventoryDecide(t *testing.T) {
	const odd = `inputs: {n: {type: int, default: 2}}
tasks:
  - id: a
    assert:
      - {that: "inputs.n % 2 == 1", message: "an odd number, not ${{ inputs.n }}"}
      - {that: "len(groups.cp) == 3"}
      - {that: "host.name != 'w2'", message: "not here"}
      - {that: "host.facts.cpus > 100"}
`
	check := func(s site) string {
		p, found := s.make(t)
		p.Check(&found)
		var out []string
		for _, d := range found.Sorted() {
			out = append(out, d.Pos.String()+": "+d.Summary)
		}
		return strings.Join(out, "\n")
	}
	want := "play.yaml:8:17: an odd number, not 2 (on m1)\nplay.yaml:10:17: not here (on w2)"
	if got := check(site{text: odd}); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
	if got := check(site{text: odd, o: plan.Options{Sketch: true}, bare: true}); got != "play.yaml:8:17: an odd number, not 2" {
		t.Errorf("without an inventory: %s", got)
	}
	skipped := strings.Replace(odd, "    assert:", "    when: host.name == 'm2'\n    assert:", 1)
	if got := check(site{text: skipped}); got != "play.yaml:9:17: an odd number, not 2 (on m2)" {
		t.Errorf("where it is skipped: %s", got)
	}
}

func TestPlacesOfTasksWithoutHostsDoNotMatter(t *testing.T) {
	const text = "tasks: [{id: a, on: workers, at: \"cp[0]\", noop: {}}]\n"
	site{text: text, o: plan.Options{Sketch: true}, bare: true}.plan(t)
	site{text: text + "-- hosts.yaml --\nkflow: v1\nhosts: {x: {groups: [cp]}}\n"}.plan(t)
	_, found := site{text: text + "-- hosts.yaml --\nkflow: v1\nhosts: {x: {groups: [workers]}}\n"}.make(t)
	if !found.HasErrors() {
		t.Error("there is nobody to carry it out, and nothing was said")
	}
}

func TestANeedWithoutHostsIsSaidOnce(t *testing.T) {
	_, found := site{text: "tasks: [{id: a, on: \"cp[7]\", noop: {}}, {id: b, needs: [a], noop: {}}, {id: c, needs: [a], noop: {}}]\n"}.make(t)
	if said := found.Sorted(); len(said) != 1 || found.HasErrors() || said[0].Summary != "`a` runs on no host of hosts.yaml: this need is met" {
		t.Errorf("said %v", said)
	}
}

func TestInstancesHaveNames(t *testing.T) {
	p := site{text: "tasks:\n  - {id: a, on: workers, noop: {}}\n  - id: b\n    steps: [{id: c, noop: {}}]\n"}.plan(t)
	for _, name := range []string{"a@w2", "b/c@m1"} {
		in, ok := p.Instance(name)
		if !ok || p.Name(in) != name {
			t.Errorf("%s is %v, %s", name, ok, p.Name(in))
		}
	}
	for _, name := range []string{"a@m1", "a@x", "b@m1", "a"} {
		if _, ok := p.Instance(name); ok {
			t.Errorf("%s is an instance", name)
		}
	}
	if n := p.Instances(); n != 7 {
		t.Errorf("%d instances", n)
	}
}

func TestOnlyHostsThatHaveSomethingToDoAreUsed(t *testing.T) {
	p := site{text: "tasks:\n  - {id: a, on: \"workers[0]\", at: \"cp[1]\", noop: {}}\n"}.plan(t)
	if got := hosts(p, p.UsedHosts()); got != "m2 w1" {
		t.Errorf("used %s", got)
	}
}
