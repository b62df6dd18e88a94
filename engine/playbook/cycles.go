package playbook

import "slices"

// cycleFinder looks for a cycle among leaves. A block or part is two nodes, its begin and its end, so that a need on or
// of it is one edge however many tasks are inside.
type cycleFinder struct {
	tasks []*Task
	edges [][]cycleEdge // of each node: what it waits for
	state []uint8
	stack []cycleEdge // way from the start to the node looked at
}

type cycleEdge struct {
	from, to int
	need     *Need // nil = between a container and what is in it
}

type cycleStep struct {
	task *Task // waits for the task of the next step
	need Need
}

func newCycleFinder(root *Playbook) *cycleFinder {
	g := &cycleFinder{tasks: root.all, edges: make([][]cycleEdge, 2*len(root.all)), state: make([]uint8, 2*len(root.all))}
	for _, t := range root.all {
		begin, end := 2*t.Index, 2*t.Index+1
		g.add(end, begin, nil)
		if t.Parent != nil {
			g.add(begin, 2*t.Parent.Index, nil)
			g.add(2*t.Parent.Index+1, end, nil)
		}
		for i := range t.Needs {
			g.add(begin, 2*t.Needs[i].Target.Index+1, &t.Needs[i])
		}
	}
	return g
}

func (g *cycleFinder) add(from, to int, need *Need) {
	g.edges[from] = append(g.edges[from], cycleEdge{from, to, need})
}

// find returns the steps of cycles that have nothing in common.
func (g *cycleFinder) find() [][]cycleStep {
	var all [][]cycleStep
	for n := range g.edges {
		if cycle := g.visit(n); cycle != nil {
			all = append(all, cycle)
		}
	}
	return all
}

// visit goes down from a node, without recursion: a chain may be as long as a playbook.
func (g *cycleFinder) visit(start int) []cycleStep {
	if g.state[start] != 0 {
		return nil
	}
	next := map[int]int{}
	path := []int{start}
	g.state[start] = 1
	for len(path) > 0 {
		n := path[len(path)-1]
		if next[n] == len(g.edges[n]) {
			g.state[n] = 2
			path = path[:len(path)-1]
			if len(g.stack) > 0 {
				g.stack = g.stack[:len(g.stack)-1]
			}
			continue
		}
		e := g.edges[n][next[n]]
		next[n]++
		switch g.state[e.to] {
		case 0:
			g.state[e.to] = 1
			path = append(path, e.to)
			g.stack = append(g.stack, e)
		case 1:
			found := g.cycle(append(slices.Clone(g.stack), e), e.to)
			for _, on := range path { // nothing more is said of what lies on this way
				g.state[on] = 2
			}
			g.stack = nil
			return found
		}
	}
	return nil
}

// cycle is the end of a way, from the node it comes back to, without the steps in and out of containers.
func (g *cycleFinder) cycle(way []cycleEdge, to int) []cycleStep {
	i := slices.IndexFunc(way, func(e cycleEdge) bool { return e.from == to })
	var out []cycleStep
	for _, e := range way[i:] {
		if e.need != nil {
			out = append(out, cycleStep{g.tasks[e.from/2], *e.need})
		}
	}
	return out
}
