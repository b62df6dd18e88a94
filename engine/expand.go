package engine

import (
	"fmt"
	"slices"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/graph"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/sched"
)

// expanded is what a graph says of one host: its instances, and those of other hosts that they wait for themselves.
func (p *Project) expanded(g *graph.Graph, name string) (*graph.Graph, error) {
	host := slices.Index(p.HostNames(), name)
	if host < 0 {
		return nil, p.noHost(name)
	}
	mine, outside := map[string]bool{}, map[string]bool{}
	for _, l := range p.plan.Leaves {
		if slices.Contains(l.Hosts, host) {
			mine[l.Task.Path] = true
			p.around(l, mine)
		}
	}
	for _, l := range p.plan.Leaves {
		if mine[l.Task.Path] {
			p.needsElsewhere(l, mine, outside)
		}
	}
	out := &graph.Graph{Name: g.Name + " on " + name}
	for _, n := range g.Nodes {
		leaf := n.Kind != ""
		switch {
		case leaf && mine[n.ID]:
			n.Count, n.Hosts = 1, name+p.place(n.ID)
		case mine[n.ID]:
		case outside[n.ID]:
			n.Outside = leaf
		default:
			continue
		}
		out.Nodes = append(out.Nodes, n)
	}
	for _, e := range g.Edges {
		if mine[e.To] && (mine[e.From] || outside[e.From]) && !(outside[e.From] && e.Form == graph.Host) {
			out.Edges = append(out.Edges, e)
		}
	}
	return out, nil
}

func (p *Project) noHost(name string) error {
	if len(p.plan.Hosts) == 0 {
		return &adviceError{"there is no host to expand: no inventory is given", "name one with -i"}
	}
	return &adviceError{fmt.Sprintf("there is no host %s in the inventory", name), diag.DidYouMean(name, p.HostNames())}
}

// around marks the blocks and parts around a task.
func (p *Project) around(l *plan.Leaf, marked map[string]bool) {
	for t := l.Task.Parent; t != nil; t = t.Parent {
		marked[t.Path] = true
	}
}

// needsElsewhere marks the tasks that an instance waits for and that do not run on its host.
func (p *Project) needsElsewhere(l *plan.Leaf, mine, outside map[string]bool) {
	mark := func(e plan.Edge) {
		from := p.plan.Leaves[e.From]
		if e.Form == sched.AllHosts && !mine[from.Task.Path] && len(from.Hosts) > 0 {
			outside[from.Task.Path] = true
			p.around(from, outside)
		}
	}
	for _, e := range l.Needs {
		mark(e)
	}
	for t := l.Task.Parent; t != nil; t = t.Parent {
		if i := slices.Index(p.plan.Groups, t); i >= 0 {
			p.eachNeed(i, mark)
		}
	}
}

// place says where an instance is carried out, when that is not its host.
func (p *Project) place(path string) string {
	for _, l := range p.plan.Leaves {
		switch {
		case l.Task.Path != path || !l.Place.Elsewhere:
		case l.Place.Controller:
			return ", at the controller"
		default:
			return ", at " + p.hostNames(l.Place.Hosts)
		}
	}
	return ""
}
