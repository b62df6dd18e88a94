package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/plan"
)

// session is a run of which facts are known, and no more.
type session struct {
	facts []map[string]any
	memo  *plan.Memo
}

func (s *session) Outcome(int, int) (plan.Outcome, bool) { return plan.Outcome{}, false }
func (s *session) Facts(host int) map[string]any         { return s.facts[host] }
func (s *session) RunID() string                         { return "run" }
func (s *session) Memo() *plan.Memo                      { return s.memo }

// manyHosts are hosts in the group workers; every other one is in zone b, and of another architecture.
func manyHosts(n int) string {
	var b strings.Builder
	b.WriteString("-- hosts.yaml --\nkflow: v1\nhosts:\n")
	for i := range n {
		fmt.Fprintf(&b, "  w%d: {groups: [workers], node_ip: 10.0.%d.%d, vars: {zone: %c}}\n", i, i/250, i%250+1, 'a'+i%2)
	}
	return b.String()
}

func newSession(n int) *session {
	s := &session{memo: plan.NewMemo()}
	for i := range n {
		s.facts = append(s.facts, map[string]any{"arch": []string{"amd64", "arm64"}[i%2], "machine_id": fmt.Sprint("id", i), "cpus": 2})
	}
	return s
}

// values are what the one task comes to on each host; computed is how often it, or a condition or value in it, was computed.
func values(t *testing.T, p *plan.Plan, s *session) (out []string, computed int) {
	t.Helper()
	before := s.memo.Made()
	l := p.Leaves[len(p.Leaves)-1]
	for _, h := range l.Hosts {
		v, err := p.Alike(l, h, s, func() (any, error) {
			if l.Task.When != nil {
				if yes, err := p.Condition(l.Task.When, h, s, nil); err != nil || !yes {
					return "skipped", err
				}
			}
			r, err := p.Params(l, h, s, nil, false)
			return fmt.Sprint(r.Value), err
		})
		if err != nil {
			v = err.Error()
		}
		out = append(out, v.(string))
	}
	return out, s.memo.Made() - before
}

// What reads the same on many hosts is computed once for all of these, and what does not, for each: with the hosts of a
// task grows only the work that has to.
func TestWhatIsTheSameOnManyHostsIsComputedOnce(t *testing.T) {
	for text, want := range map[string]struct {
		at  func(n int) int // computations: of the parameters, and of each value with expressions in them
		say string          // on w1 of 4
	}{
		`noop: "${{ 1 + 1 }}"`:                                           {func(int) int { return 2 }, "map[value:2]"},
		`noop: "${{ len(hosts) }} on ${{ host.facts.arch }}"`:            {func(int) int { return 4 }, "map[value:4 on arm64]"},
		`noop: "${{ host.vars.zone }}${{ host.facts.cpus }}"`:            {func(int) int { return 4 }, "map[value:b2]"},
		`noop: "${{ host.vars.none ?? 'x' }}"`:                           {func(int) int { return 2 }, "map[value:x]"},
		`noop: "${{ join(map(groups.workers, .facts.arch)[:2], '+') }}"`: {func(int) int { return 2 }, "map[value:amd64+arm64]"},
		`noop: {"value": ["${{ host.name }}", "${{ len(hosts) }}"]}`:     {func(n int) int { return 2*n + 1 }, "map[value:[w1 4]]"},
		`noop: "${{ host.facts.machine_id }}"`:                           {func(n int) int { return 2 * n }, "map[value:id1]"},
		`noop: "${{ 'zone' in host.vars }}"`:                             {func(n int) int { return 2 * n }, "map[value:true]"}, // a map can't be told apart
		`for_each: "[1, 2]", noop: "${{ item }}"`:                        {func(int) int { return 2 }, ""},
	} {
		for _, n := range []int{4, 40, 200} {
			p := site{text: "tasks: [{id: a, " + text + "}]\n" + manyHosts(n)}.plan(t)
			got, computed := values(t, p, newSession(n))
			if n == 4 && got[1] != want.say && want.say != "" {
				t.Errorf("%s is %s, want %s", text, got[1], want.say)
			}
			if computed != want.at(n) {
				t.Errorf("%s: %d computations on %d hosts, want %d", text, computed, n, want.at(n))
			}
		}
	}
}

func TestWhatIsKeptFollowsTheFacts(t *testing.T) {
	p := site{text: "tasks: [{id: a, noop: \"${{ join(map(hosts, .facts.arch), '+') }} ${{ host.facts.arch }}\"}]\n" + manyHosts(3)}.plan(t)
	s := newSession(3)
	got, _ := values(t, p, s)
	if got[0] != "map[value:amd64+arm64+amd64 amd64]" || got[1] != "map[value:amd64+arm64+amd64 arm64]" {
		t.Errorf("at first %q", got)
	}
	s.facts[1] = map[string]any{"arch": "riscv64"}
	s.memo.FactsChanged()
	got, _ = values(t, p, s)
	if got[0] != "map[value:amd64+riscv64+amd64 amd64]" || got[1] != "map[value:amd64+riscv64+amd64 riscv64]" {
		t.Errorf("with other facts %q", got)
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	p := site{text: "tasks: [{id: a, noop: 1}]\n"}.plan(t)
	s := newSession(5)
	wrong := errors.New("not now")
	for i, want := range []error{wrong, nil, nil} {
		x, err := p.Alike(p.Leaves[0], 0, s, func() (any, error) { return i, want })
		if !errors.Is(err, want) || want == nil && x != 1 {
			t.Errorf("%d: %v, %v", i, x, err)
		}
	}
}

// What tasks have done can't be told apart: it is asked each time.
func TestOutputsOfTasksAreNotKept(t *testing.T) {
	for _, text := range []string{
		"tasks:\n  - {id: a, noop: {}}\n  - {id: b, needs: [a], noop: \"${{ tasks.a.outputs.x }}\"}\n",
		"tasks:\n  - {id: a, on: workers, noop: {}}\n  - {id: b, needs: [a], noop: \"${{ len(tasks.a.all) }}\"}\n",
		"tasks:\n  - {id: p, use: p.yaml}\n  - {id: b, needs: [p], noop: \"${{ tasks.p.outputs.y }}\"}\n" +
			"-- p.yaml --\nkflow: v1\nname: p\ntasks: [{id: a, noop: {}}]\noutputs: {y: \"${{ tasks.a.outputs.x }}\"}\n",
		"tasks:\n  - {id: p, on: workers, use: p.yaml}\n  - {id: b, needs: [p], noop: \"${{ tasks.p.outputs.y }}\"}\n" +
			"-- p.yaml --\nkflow: v1\nname: p\ntasks: [{id: a, noop: {}}]\noutputs: {y: \"1\"}\n",
	} {
		p := site{text: text}.plan(t)
		s := newSession(5)
		l := p.Leaves[len(p.Leaves)-1]
		n := 0
		for range 3 {
			_, _ = p.Alike(l, 0, s, func() (any, error) { n++; return nil, nil })
		}
		if n != 3 {
			t.Errorf("asked %d times of 3:\n%s", n, text)
		}
	}
}

// Outputs of a part that are the same on all hosts are an exception.
func TestConstantOutputsOfPartsAreKept(t *testing.T) {
	p := site{text: "tasks:\n  - {id: p, use: p.yaml}\n  - {id: b, needs: [p], noop: \"${{ tasks.p.outputs.y }}\"}\n" +
		"-- p.yaml --\nkflow: v1\nname: p\ntasks: [{id: a, noop: {}}]\noutputs: {y: \"1\"}\n"}.plan(t)
	s := newSession(5)
	if got, computed := values(t, p, s); got[4] != "map[value:1]" || computed > 3 {
		t.Errorf("%d computations of %q", computed, got)
	}
}

// Before hosts are reached a task is looked at once for all hosts that are alike in what it reads of them.
func TestHostsThatAreAlikeHaveOneSketch(t *testing.T) {
	for text, want := range map[string]func(n int) int{
		`noop: "${{ host.facts.arch }}"`:                             func(int) int { return 1 },
		`noop: "${{ len(hosts) }}"`:                                  func(int) int { return 1 },
		`noop: 1, when: "host.vars.zone == 'a'"`:                     func(int) int { return 2 },
		`noop: "${{ host.vars.zone }}${{ host.facts.os.family }}"`:   func(int) int { return 2 },
		`noop: "${{ host.name }}"`:                                   func(n int) int { return n },
		`noop: "${{ 'workers' in host.groups }}"`:                    func(n int) int { return n },
		`noop: "${{ tasks.a.status }}"`:                              func(int) int { return 1 },
		`for_each: "[1, 2]", noop: "${{ item }}${{ host.node_ip }}"`: func(n int) int { return n },
	} {
		for _, n := range []int{4, 60} {
			p := site{text: "tasks: [{id: a, noop: 1}, {id: b, needs: [a], " + text + "}]\n" + manyHosts(n)}.plan(t)
			s, keys := plan.NewSketches(p), map[plan.SketchKey]bool{}
			for h := range p.Hosts {
				keys[s.Key(p.Leaves[1].Task, h)] = true
			}
			if len(keys) != want(n) {
				t.Errorf("%s: %d sketches for %d hosts, want %d", text, len(keys), n, want(n))
			}
		}
	}
}
