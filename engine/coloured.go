package engine

import (
	"fmt"

	"github.com/kflow/kflow/engine/graph"
)

// PlanGraph renders the graph with what a plan says of each task.
func (p *Project) PlanGraph(list []Planned, format string) (string, error) {
	counts, hosts := map[string]map[string]int{}, map[string]int{}
	for _, e := range list {
		if counts[e.Task] == nil {
			counts[e.Task] = map[string]int{}
		}
		counts[e.Task][string(e.Is)]++
		hosts[e.Task]++
	}
	return p.coloured(format, func(path string) string { return summed(counts[path], hosts[path]) })
}

// DryRunGraph renders the graph with what would run where, as far as that is known without reaching a host.
func (p *Project) DryRunGraph(format string) (string, error) { return p.coloured(format, p.foreseen) }

func (p *Project) coloured(format string, status func(path string) string) (string, error) {
	g := p.picture()
	for i := range g.Nodes {
		g.Nodes[i].Status = status(g.Nodes[i].ID)
	}
	return g.Render(format)
}

// GraphFormats are the formats that Graph knows.
func GraphFormats() []string { return graph.Formats() }

// summed says what hosts have in store: what matters most, and on how many if not on all.
func summed(counts map[string]int, hosts int) string {
	for _, is := range []string{string(WouldFail), string(NotReached), string(WillChange), string(IsAction), string(KnownAfter), string(NoChange), string(WillSkip)} {
		switch n := counts[is]; {
		case n == hosts && n > 0:
			return is
		case n > 0:
			return fmt.Sprintf("%s, on %d of %d", is, n, hosts)
		}
	}
	return ""
}
