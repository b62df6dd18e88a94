package plan_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
)

// TestLeavingNeedsOutChangesNoOrder compares the needs that the scheduler gets with all that the playbook says, for random
// playbooks: whatever waits for something by the playbook does so by the plan, perhaps through others.
func TestLeavingNeedsOutChangesNoOrder(t *testing.T) {
	for seed := range uint64(400) {
		g := generator{Rand: rand.New(rand.NewPCG(seed, 3))}
		text := g.playbook()
		p := site{text: text}.plan(t)
		order := orderOf(p)
		for _, e := range p.Playbook.Edges() {
			from, _ := p.LeafOf(e.From)
			to, _ := p.LeafOf(e.To)
			if e.From.Run == playbook.OnDemand {
				continue
			}
			for _, h := range p.Leaves[to].Hosts {
				for _, k := range waitedFor(p, e, from, to, h) {
					a, b := sched.Instance{Task: from, Host: k}, sched.Instance{Task: to, Host: h}
					if !order.reaches(a, b) {
						t.Fatalf("seed %d: %s does not wait for %s (%s)\n%s\n%s", seed, p.Name(b), p.Name(a), e.Need.Text, text, show(p))
					}
				}
			}
		}
	}
}

// waitedFor are the hosts of a needed leaf that the instance of another on host h waits for.
func waitedFor(p *plan.Plan, e playbook.Edge, from, to, h int) []int {
	hosts := p.Leaves[from].Hosts
	if e.Need.Form == playbook.All || e.Need.Form == playbook.Auto && !within(p.Leaves[to].Hosts, hosts) {
		return hosts
	}
	if within([]int{h}, hosts) {
		return []int{h}
	}
	return nil
}

func within(a, b []int) bool {
	have := map[int]bool{}
	for _, x := range b {
		have[x] = true
	}
	for _, x := range a {
		if !have[x] {
			return false
		}
	}
	return true
}

// order is the graph of instances as the scheduler understands it.
type order map[sched.Instance][]sched.Instance

func orderOf(p *plan.Plan) order {
	next := order{}
	on := make([]map[int]bool, len(p.Spec.Tasks))
	for i, t := range p.Spec.Tasks {
		on[i] = map[int]bool{}
		for _, h := range t.Hosts {
			on[i][h] = true
		}
	}
	for i, t := range p.Spec.Tasks {
		needs := append([]sched.Need{}, t.Needs...)
		for g := t.Group; g != sched.None; g = p.Spec.Groups[g].Group {
			needs = append(needs, p.Spec.Groups[g].Needs...)
		}
		for _, n := range needs {
			for _, h := range t.Hosts {
				to := sched.Instance{Task: i, Host: h}
				for k := range on[n.Task] {
					if n.Form == sched.AllHosts || k == h {
						from := sched.Instance{Task: n.Task, Host: k}
						next[from] = append(next[from], to)
					}
				}
			}
		}
	}
	return next
}

func (o order) reaches(a, b sched.Instance) bool {
	seen := map[sched.Instance]bool{}
	todo := []sched.Instance{a}
	for len(todo) > 0 {
		x := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, y := range o[x] {
			if y == b {
				return true
			}
			if !seen[y] {
				seen[y] = true
				todo = append(todo, y)
			}
		}
	}
	return false
}

// generator writes random playbooks that are right.
type generator struct {
	*rand.Rand
	n    int
	tops []string // ids at the top so far
}

func (g *generator) playbook() string {
	var b strings.Builder
	b.WriteString("tasks:\n")
	for range 2 + g.IntN(5) {
		id := g.id()
		g.task(&b, id, "  ", 0, g.tops, false)
		g.tops = append(g.tops, id)
	}
	return b.String()
}

func (g *generator) id() string {
	g.n++
	return fmt.Sprintf("t%d", g.n)
}

// task writes a task that may need those in others. held says that it is inside of something that holds a slot.
func (g *generator) task(b *strings.Builder, id, indent string, depth int, others []string, held bool) {
	fmt.Fprintf(b, "%s- id: %s\n", indent, id)
	indent += "  "
	on := []string{"", "", "", "cp", "workers", `"cp[0]"`, `"all[1:]"`, `"cp[9]"`}[g.IntN(8)]
	if on != "" {
		fmt.Fprintf(b, "%son: %s\n", indent, on)
	}
	if needs := g.needs(others, held); needs != "" && depth == 0 {
		fmt.Fprintf(b, "%sneeds: [%s]\n", indent, needs)
	}
	if g.IntN(5) == 0 {
		fmt.Fprintf(b, "%swhen: 1 < 2\n", indent)
	}
	if g.IntN(6) == 0 {
		fmt.Fprintf(b, "%sallow_failure: true\n", indent)
	}
	if depth > 1 || g.IntN(2) == 0 {
		fmt.Fprintf(b, "%snoop: {}\n", indent)
		return
	}
	fmt.Fprintf(b, "%ssteps:\n", indent)
	for range 1 + g.IntN(4) {
		g.task(b, g.id(), indent+"  ", depth+1, nil, held)
	}
	if g.IntN(4) == 0 {
		fmt.Fprintf(b, "%s- id: %s\n%s  run: always\n%s  noop: {}\n", indent+"  ", g.id(), indent+"  ", indent+"  ")
	}
}

func (g *generator) needs(others []string, held bool) string {
	var out []string
	for _, o := range others {
		if g.IntN(3) == 0 && !held {
			out = append(out, o+[]string{"", "", "@all", "@host"}[g.IntN(4)])
		}
	}
	return strings.Join(out, ", ")
}
