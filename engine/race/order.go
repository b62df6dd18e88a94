package race

import (
	"cmp"
	"slices"

	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
)

// order is what waits for what. Nodes are the leaves, and behind them the groups of the scheduler.
type order struct {
	p      *plan.Plan
	hosts  [][]bool // by node and host
	next   [][]edge
	rank   []int // place of a node in the order of the graph
	sorted []int
	column []int // by leaf: its bit in the sets; -1 = nobody asks
	width  int   // number of columns
	sets   map[string]*behind
}

// edge leads to a node that waits.
type edge struct {
	to    int
	all   bool // for all instances
	whole bool // host by host, and every host of the waiting node has one to wait for
}

func newOrder(p *plan.Plan) *order {
	o := &order{p: p, sets: map[string]*behind{}}
	for _, l := range p.Leaves {
		o.hosts = append(o.hosts, o.mark(l.Hosts))
	}
	for _, g := range p.Spec.Groups {
		o.hosts = append(o.hosts, o.mark(g.Hosts))
	}
	o.next = make([][]edge, len(o.hosts))
	o.connect()
	o.sortNodes()
	return o
}

func (o *order) mark(hosts []int) []bool {
	out := make([]bool, len(o.p.Hosts))
	for _, h := range hosts {
		out[h] = true
	}
	return out
}

// connect makes the edges: of leaves, of groups, and from a group to what is directly in it.
func (o *order) connect() {
	leaves := len(o.p.Leaves)
	for i, l := range o.p.Leaves {
		for _, e := range l.Needs {
			o.edge(e.From, i, e.Form)
		}
		if g := o.p.Spec.Tasks[i].Group; g != sched.None {
			o.edge(leaves+g, i, sched.SameHost)
		}
	}
	for g, needs := range o.p.GroupNeeds {
		for _, e := range needs {
			o.edge(e.From, leaves+g, e.Form)
		}
		if around := o.p.Spec.Groups[g].Group; around != sched.None {
			o.edge(leaves+around, leaves+g, sched.SameHost)
		}
	}
}

func (o *order) edge(from, to int, form sched.Form) {
	e := edge{to: to, all: form == sched.AllHosts, whole: true}
	some := false
	for h, waits := range o.hosts[to] {
		some = some || waits
		e.whole = e.whole && (!waits || o.hosts[from][h])
	}
	if some {
		o.next[from] = append(o.next[from], e)
	}
}

// sortNodes puts every node behind those it waits for, otherwise in the order of the playbook.
func (o *order) sortNodes() {
	waits := make([]int, len(o.next))
	for _, next := range o.next {
		for _, e := range next {
			waits[e.to]++
		}
	}
	for n := range o.next {
		if waits[n] == 0 {
			o.sorted = append(o.sorted, n)
		}
	}
	o.rank = make([]int, len(o.next))
	for at := 0; at < len(o.sorted); at++ {
		o.rank[o.sorted[at]] = at
		for _, e := range o.next[o.sorted[at]] {
			if waits[e.to]--; waits[e.to] == 0 {
				o.sorted = append(o.sorted, e.to)
			}
		}
	}
}

// sort puts accesses in the order of the graph.
func (o *order) sort(who []access) {
	slices.SortFunc(who, func(a, b access) int {
		return cmp.Or(cmp.Compare(o.rank[a.leaf], o.rank[b.leaf]), cmp.Compare(a.host, b.host))
	})
}

// class is the same text for hosts that have the same tasks.
func (o *order) class(host int) string {
	b := make([]byte, len(o.hosts))
	for n, hosts := range o.hosts {
		if host < len(hosts) && hosts[host] {
			b[n] = 1
		}
	}
	return string(b)
}

// watch says which leaves will be asked for.
func (o *order) watch(places []*place) {
	o.column = make([]int, len(o.p.Leaves))
	for i := range o.column {
		o.column[i] = -1
	}
	for _, in := range places {
		for _, b := range in.contested {
			for _, a := range b.who {
				if o.column[a.leaf] < 0 {
					o.column[a.leaf] = o.width
					o.width++
				}
			}
		}
	}
}

// behind tells whether instance x waits for instance a.
func (o *order) behind(a, x access) bool {
	class := o.class(a.host)
	s := o.sets[class]
	if s == nil {
		if len(o.sets) > 8 {
			clear(o.sets) // they are large
		}
		s = o.closure(a.host)
		o.sets[class] = s
	}
	row := s.same[a.leaf]
	if a.host == x.host {
		return row.has(o.column[x.leaf])
	}
	return row.has(o.width + o.column[x.leaf])
}

// behind are, for one host, the leaves that wait for each node: bit c says that the leaf of column c waits on this host,
// bit width+c that all its instances do.
type behind struct {
	same []set // for the instance of this host
	all  []set // for all instances
}

type set []uint64

func (s set) has(i int) bool { return s != nil && s[i/64]&(1<<(i%64)) != 0 }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) union(other set) {
	for i, bits := range other {
		s[i] |= bits
	}
}

func (o *order) closure(host int) *behind {
	b := &behind{same: make([]set, len(o.next)), all: make([]set, len(o.next))}
	for _, n := range slices.Backward(o.sorted) {
		b.all[n] = o.followers(b, n, host, true)
		if o.hosts[n][host] {
			b.same[n] = o.followers(b, n, host, false)
		}
	}
	return b
}

// followers are what waits for a node: for all its instances, or for that of the host.
func (o *order) followers(b *behind, n, host int, all bool) set {
	out := make(set, (2*o.width+63)/64)
	for _, e := range o.next[n] {
		here := o.hosts[e.to][host]
		switch {
		case e.all || all && e.whole:
			out.union(b.all[e.to])
			o.note(out, e.to, here, true)
		case here && o.hosts[n][host]:
			out.union(b.same[e.to])
			o.note(out, e.to, true, false)
		}
	}
	return out
}

func (o *order) note(s set, node int, here, all bool) {
	if node >= len(o.column) || o.column[node] < 0 {
		return
	}
	if here {
		s.add(o.column[node])
	}
	if all {
		s.add(o.width + o.column[node])
	}
}

// reaches tells whether a task waits for another one on any host.
func (o *order) reaches(from, to int) bool {
	seen := make([]bool, len(o.next))
	stack := []int{from}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n == to {
			return true
		}
		for _, e := range o.next[n] {
			if !seen[e.to] {
				seen[e.to] = true
				stack = append(stack, e.to)
			}
		}
	}
	return false
}

// inside tells whether t is other, or in it.
func inside(t, other *playbook.Task) bool {
	for ; t != nil; t = t.Parent {
		if t == other {
			return true
		}
	}
	return false
}
