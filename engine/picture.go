package engine

import (
	"fmt"

	"github.com/kflow/kflow/engine/graph"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/render/fold"
	"github.com/kflow/kflow/engine/sched"
)

// Picture says what of a playbook's graph is drawn, and how.
type Picture struct {
	Format   string // one of GraphFormats
	Expand   string // a host: its instances, and what they wait for elsewhere; "" = the tasks
	Path     []Step // critical path that is marked
	PathFrom string // where it is from, for people: "in run 20260102-150405"
}

// Draw renders the playbook's graph.
func (p *Project) Draw(d Picture) (string, error) {
	g := p.picture()
	if d.Expand != "" {
		var err error
		if g, err = p.expanded(g, d.Expand); err != nil {
			return "", err
		}
	}
	if len(d.Path) > 0 {
		g.Mark(d.Path, d.PathFrom)
	}
	return g.Render(d.Format)
}

// Graph renders the playbook's graph.
func (p *Project) Graph(format string) (string, error) { return p.Draw(Picture{Format: format}) }

// foreseen says what is known of a task before a run: run, skip, or unknown until a condition can be evaluated.
func (p *Project) foreseen(path string) string {
	for _, l := range p.plan.Leaves {
		if l.Task.Path != path {
			continue
		}
		return p.foreseenLeaf(l.Task, l.Hosts)
	}
	return ""
}

func (p *Project) foreseenLeaf(t *playbook.Task, hosts []int) string {
	if len(hosts) == 0 {
		return "no host"
	}
	if t.Run == playbook.OnDemand {
		return "on demand"
	}
	for around := t; around != nil; around = around.Parent {
		if around.When == nil {
			continue
		}
		if !around.When.Static() {
			return "unknown until `" + around.When.Text() + "` can be evaluated"
		}
		if skipped := p.skippedOn(around.When, hosts); skipped == len(hosts) {
			return "skip"
		} else if skipped > 0 {
			return fmt.Sprintf("run, skip on %d", skipped)
		}
	}
	return "run"
}

func (p *Project) skippedOn(when *playbook.Code, hosts []int) int {
	n := 0
	for _, h := range hosts {
		if yes, err := p.plan.Condition(when, h, nil, nil); err == nil && !yes {
			n++
		}
	}
	return n
}

func (p *Project) picture() *graph.Graph {
	g := &graph.Graph{Name: p.plan.Playbook.Name}
	leaf := map[*playbook.Task]int{}
	for i, l := range p.plan.Leaves {
		leaf[l.Task] = i
	}
	for _, t := range p.plan.Playbook.All() {
		n := graph.Node{ID: t.Path, Title: t.Title, Pos: t.Pos.String()}
		if t.Parent != nil {
			n.Parent = t.Parent.Path
		}
		if i, ok := leaf[t]; ok {
			l := p.plan.Leaves[i]
			n.Kind, n.Count, n.Hosts = t.Kind.Name, len(l.Hosts), p.hostNames(l.Hosts)
			if t.Run != playbook.OnSuccess {
				n.Run = t.Run.String()
			}
		}
		g.Nodes = append(g.Nodes, n)
	}
	for _, l := range p.plan.Leaves {
		for _, e := range l.Needs {
			g.Edges = append(g.Edges, p.edge(l.Task, e.From, e.Form, e.Need))
		}
	}
	for i, group := range p.plan.Groups {
		for _, e := range p.plan.GroupNeeds[i] {
			g.Edges = append(g.Edges, p.edge(group, e.From, e.Form, e.Need))
		}
	}
	return g
}

func (p *Project) edge(to *playbook.Task, from int, form sched.Form, need playbook.Need) graph.Edge {
	e := graph.Edge{From: p.plan.Leaves[from].Task.Path, To: to.Path, Form: graph.Host, Reason: graph.Needs}
	if form == sched.AllHosts {
		e.Form = graph.All
	}
	switch need.Reason {
	case playbook.ByBefore:
		e.Reason = graph.Before
	case playbook.ByOrder:
		e.Reason = graph.Steps
	case playbook.ByData, playbook.ByLazy:
		e.Reason = graph.Data
	}
	return e
}

// hostNames are hosts for people: all of them by number, few by name.
func (p *Project) hostNames(hosts []int) string {
	if len(hosts) == len(p.plan.Hosts) && len(hosts) > 1 {
		return fmt.Sprintf("%d hosts", len(hosts))
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = p.plan.Hosts[h].Name
	}
	return fold.Hosts(names)
}
