package sched

import (
	"cmp"
	"slices"
	"time"
)

// order returns the nodes, longest remaining path first, in one reverse topological pass over nodes and the ways out of
// groups (numbered after the nodes). A cycle is a *CycleError.
func (g *graph) order() ([]int32, error) {
	next := g.successors()
	waits := make([]int, len(next)) // successors not yet passed
	prev := make([][]int32, len(next))
	for a, list := range next {
		waits[a] = len(list)
		for _, b := range list {
			prev[b] = append(prev[b], int32(a))
		}
	}
	var todo []int32
	for a := range next {
		if waits[a] == 0 {
			todo = append(todo, int32(a))
		}
	}
	left := make([]time.Duration, len(next)) // longest path after a vertex, itself included
	for k := 0; k < len(todo); k++ {
		b := todo[k]
		left[b] += g.weight(b)
		for _, a := range prev[b] {
			left[a] = max(left[a], left[b])
			if waits[a]--; waits[a] == 0 {
				todo = append(todo, a)
			}
		}
	}
	if len(todo) < len(next) {
		return nil, &CycleError{Path: g.cycle(next, waits)}
	}
	order := make([]int32, len(g.nodes))
	for k := range order {
		order[k] = int32(k)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(left[b], left[a]) })
	return order, nil
}

func (g *graph) weight(vertex int32) time.Duration {
	if int(vertex) >= len(g.spec.Tasks) {
		return 0
	}
	if w := g.spec.Tasks[vertex].Weight; w > 0 {
		return w
	}
	return time.Second
}

// successors returns what comes after each vertex: needs, the way into and out of groups, and demands.
func (g *graph) successors() [][]int32 {
	next := make([][]int32, len(g.nodes)+len(g.spec.Groups))
	for k := range g.nodes {
		n := &g.nodes[k]
		if n.parent != None {
			next[n.parent] = append(next[n.parent], int32(k))
		}
		if n.parent != None && n.run != OnDemand {
			last := g.last(int32(k))
			next[last] = append(next[last], g.exit(n.parent))
		}
		if n.isGroup() {
			next[k] = append(next[k], g.exit(int32(k)))
		}
		for _, need := range g.needs(int32(k)) {
			if g.nodes[need.Task].run == OnDemand {
				next[need.Task] = append(next[need.Task], int32(k))
			}
		}
	}
	for _, e := range g.edges {
		from := e.from
		if e.hold != None {
			from = g.exit(e.hold)
		}
		next[from] = append(next[from], e.to)
	}
	return next
}

// exit returns the vertex that stands for the way out of a group.
func (g *graph) exit(group int32) int32 { return int32(len(g.nodes) + g.nodes[group].group) }

// last returns the vertex with which a node is over.
func (g *graph) last(node int32) int32 {
	if g.nodes[node].isGroup() {
		return g.exit(node)
	}
	return node
}

// cycle walks along vertices that could not be passed until it meets one again.
func (g *graph) cycle(next [][]int32, waits []int) []string {
	at := slices.IndexFunc(waits, func(n int) bool { return n > 0 })
	var walk []int32
	for !slices.Contains(walk, int32(at)) {
		walk = append(walk, int32(at))
		k := slices.IndexFunc(next[at], func(b int32) bool { return waits[b] > 0 })
		at = int(next[at][k])
	}
	walk = append(walk[slices.Index(walk, int32(at)):], int32(at))
	var path []string
	for _, v := range walk {
		path = append(path, g.vertexName(v))
	}
	return path
}

func (g *graph) vertexName(v int32) string {
	if int(v) < len(g.nodes) {
		return g.nodes[v].id
	}
	return "end of " + g.spec.Groups[int(v)-len(g.nodes)].ID
}
