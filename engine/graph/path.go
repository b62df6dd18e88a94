package graph

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Step is an instance on the critical path of a run: the chain of those that decided how long it took.
type Step struct {
	Instance string        `json:"instance"`
	Took     time.Duration `json:"took"`
	Waited   time.Duration `json:"waited,omitempty"` // for a lock or a slot, after what it needed had ended
}

// task is the node of a step.
func (s Step) task() string {
	path, _, _ := strings.Cut(s.Instance, "@")
	return path
}

func (s Step) host() string {
	_, host, _ := strings.Cut(s.Instance, "@")
	return host
}

// Mark makes steps the critical path of the graph: their nodes, and the edges that lead from one to the next. from says
// where the durations are from.
func (g *Graph) Mark(steps []Step, from string) {
	g.Path, g.PathFrom = steps, from
	took, hosts := map[string]time.Duration{}, map[string][]string{}
	next := map[[2]string]bool{}
	for i, s := range steps {
		took[s.task()] += s.Took
		if !slices.Contains(hosts[s.task()], s.host()) {
			hosts[s.task()] = append(hosts[s.task()], s.host())
		}
		if i > 0 {
			next[[2]string{steps[i-1].task(), s.task()}] = true
		}
	}
	for i, n := range g.Nodes {
		if len(hosts[n.ID]) > 0 {
			g.Nodes[i].Critical, g.Nodes[i].Took = true, Short(took[n.ID])
			if len(hosts[n.ID]) == 1 && n.Count != 1 {
				g.Nodes[i].Took += " on " + hosts[n.ID][0]
			}
		}
	}
	for i, e := range g.Edges {
		for pair := range next {
			if within(pair[0], e.From) && within(pair[1], e.To) {
				g.Edges[i].Critical = true
			}
		}
	}
}

// within tells whether a task is a node, or inside of it.
func within(task, node string) bool { return task == node || strings.HasPrefix(task, node+"/") }

// total is the time from the first step to the end of the last.
func (g *Graph) total() time.Duration {
	var sum time.Duration
	for _, s := range g.Path {
		sum += s.Took + s.Waited
	}
	return sum
}

// pathTitle says what the marks mean.
func (g *Graph) pathTitle() string {
	return "critical path, " + Short(g.total()) + " " + line(g.PathFrom)
}

// pathText is the critical path step by step.
func (g *Graph) pathText() string {
	if len(g.Path) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", g.pathTitle())
	width := 0
	for _, s := range g.Path {
		width = max(width, len([]rune(line(s.Instance))))
	}
	for _, s := range g.Path {
		fmt.Fprintf(&b, "  %-*s  %8s", width, line(s.Instance), Short(s.Took))
		if s.Waited >= time.Second {
			fmt.Fprintf(&b, "  after waiting %s for a lock or a slot", Short(s.Waited))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Short is a duration for people.
func Short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
