package graph

import (
	"fmt"
	"slices"
	"strings"
)

// CycleError says that tasks wait for each other: each node of Path for the one before it, and the first for the last.
type CycleError struct{ Path []Node }

func (e *CycleError) Error() string {
	var b strings.Builder
	b.WriteString("tasks wait for each other: ")
	for _, n := range append(slices.Clone(e.Path), e.Path[0]) {
		if b.Len() > len("tasks wait for each other: ") {
			b.WriteString(" -> ")
		}
		b.WriteString(n.ID)
		if n.Pos != "" {
			fmt.Fprintf(&b, " (%s)", n.Pos)
		}
	}
	return b.String()
}

// Levels sorts the tasks: those of the first level wait for nothing, those of each other for at least one of the level
// before. Within a level the order is that of Nodes. Errors: *CycleError, and what makes it no graph (ids twice, edges
// to nowhere).
func (g *Graph) Levels() ([][]Node, error) {
	t, err := g.check()
	if err != nil {
		return nil, err
	}
	levels, err := t.levels()
	if err != nil {
		return nil, err
	}
	var out [][]Node
	for i, level := range levels {
		if level == 0 {
			continue
		}
		for len(out) < level {
			out = append(out, nil)
		}
		out[level-1] = append(out[level-1], g.Nodes[i])
	}
	return out, nil
}

// Cycle returns the shortest cycle through the first task that is in one, nil when there is none. The error is as of
// Levels, but never a *CycleError.
func (g *Graph) Cycle() ([]Node, error) {
	t, err := g.check()
	if err != nil {
		return nil, err
	}
	return t.cycle(), nil
}

// levels is the level of each node, from 1; 0 for groups (Kahn's algorithm).
func (t *tree) levels() ([]int, error) {
	if cycle := t.cycle(); cycle != nil {
		return nil, &CycleError{Path: cycle}
	}
	level, waits := make([]int, len(t.Nodes)), make([]int, len(t.Nodes))
	for _, next := range t.next {
		for _, to := range next {
			waits[to]++
		}
	}
	var ready []int
	for i := range t.Nodes {
		if !t.group(i) && waits[i] == 0 {
			ready, level[i] = append(ready, i), 1
		}
	}
	for ; len(ready) > 0; ready = ready[1:] {
		for _, to := range t.next[ready[0]] {
			level[to] = max(level[to], level[ready[0]]+1)
			if waits[to]--; waits[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return level, nil
}

// cycle is the shortest way from the first node of the first component back to itself.
func (t *tree) cycle() []Node {
	if len(t.parts) == 0 {
		return nil
	}
	start := t.parts[0][0]
	before := map[int]int{}
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		for _, to := range t.next[queue[0]] {
			if _, seen := before[to]; seen {
				continue
			}
			before[to] = queue[0]
			queue = append(queue, to)
		}
	}
	path := []Node{t.Nodes[start]}
	for at := before[start]; at != start; at = before[at] {
		path = append(path, t.Nodes[at])
	}
	slices.Reverse(path[1:])
	return path
}

// Reduce returns the graph without the edges that a picture can do without, because a way over other edges says the same
// or more. Edges of data stay: they tell what flows. One of form All goes only where the way begins with another of form
// All. Of several edges between two nodes one is left: form All before Host, data before other reasons. The error is as
// of Levels.
func (g *Graph) Reduce() (*Graph, error) {
	merged := g.merged()
	t, err := merged.check()
	if err != nil {
		return nil, err
	}
	level, err := t.levels()
	if err != nil {
		return nil, err
	}
	out := &Graph{Name: g.Name, Nodes: g.Nodes, Path: g.Path, PathFrom: g.PathFrom}
	reach, others := t.reach(level), t.others()
	for _, e := range merged.Edges {
		if e.flows() || e.Critical || !t.implied(e, reach, others) {
			out.Edges = append(out.Edges, e)
		}
	}
	return out, nil
}

func (g *Graph) merged() *Graph {
	return &Graph{Name: g.Name, Nodes: g.Nodes, Edges: merge(g.Edges), Path: g.Path, PathFrom: g.PathFrom}
}

// merge leaves one edge between two nodes.
func merge(edges []Edge) []Edge {
	var out []Edge
	at := map[[2]string]int{}
	for _, e := range edges {
		i, twice := at[[2]string{e.From, e.To}]
		if !twice {
			at[[2]string{e.From, e.To}] = len(out)
			out = append(out, e)
			continue
		}
		if e.Form == All {
			out[i].Form = All
		}
		out[i].Critical = out[i].Critical || e.Critical
		if e.flows() {
			out[i].Reason, out[i].Label = e.Reason, e.Label
		}
	}
	return out
}

// set is a set of nodes, as bits.
type set []uint64

func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) union(o set) {
	for i := range s {
		s[i] |= o[i]
	}
}

// reach is, by task, all tasks that wait for it, directly or not.
func (t *tree) reach(level []int) []set {
	order := make([]int, len(t.Nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return level[b] - level[a] })
	reach := make([]set, len(t.Nodes))
	for _, i := range order {
		reach[i] = make(set, (len(t.Nodes)+63)/64)
		for _, to := range t.next[i] {
			reach[i].add(to)
			reach[i].union(reach[to])
		}
	}
	return reach
}

// others are the edges that can say what another one says.
type others struct {
	from   map[string][]Edge // by their start
	groups []Edge            // with a group at one end
}

func (t *tree) others() others {
	o := others{from: map[string][]Edge{}}
	for _, e := range t.Edges {
		o.from[e.From] = append(o.from[e.From], e)
		if t.group(t.index[e.From]) || t.group(t.index[e.To]) {
			o.groups = append(o.groups, e)
		}
	}
	return o
}

// implied tells whether another edge says at least what e says: an edge of groups around e, or one from the same start
// to a task that leads to all that e leads to.
func (t *tree) implied(e Edge, reach []set, among others) bool {
	from, targets := t.tasks[t.index[e.From]], t.tasks[t.index[e.To]]
	says := func(other Edge) bool { return other != e && (e.Form != All || other.Form == All) }
	return slices.ContainsFunc(among.from[e.From], func(other Edge) bool {
		return says(other) && leads(t.tasks[t.index[other.To]], targets, reach)
	}) || slices.ContainsFunc(among.groups, func(other Edge) bool {
		otherFrom, via := t.tasks[t.index[other.From]], t.tasks[t.index[other.To]]
		return says(other) && len(otherFrom)+len(via) > len(from)+len(targets) && contains(otherFrom, from) && contains(via, targets)
	})
}

// contains tells whether set holds all items.
func contains(set, items []int) bool {
	return all(items, func(i int) bool { return slices.Contains(set, i) })
}

// leads tells whether one of via leads to all targets.
func leads(via, targets []int, reach []set) bool {
	return slices.ContainsFunc(via, func(v int) bool {
		return all(targets, func(to int) bool { return reach[v].has(to) })
	})
}

func all(items []int, ok func(int) bool) bool {
	return !slices.ContainsFunc(items, func(i int) bool { return !ok(i) })
}
