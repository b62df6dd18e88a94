package sched

import (
	"fmt"
	"math"
	"slices"
)

// compile checks a Spec and makes a graph of it.
func compile(spec *Spec) (*graph, error) {
	if err := validate(spec); err != nil {
		return nil, err
	}
	g := &graph{spec: spec, limits: spec.Limits.orDefault(), clock: spec.Clock, nodes: make([]node, 0, len(spec.Tasks)+len(spec.Groups))}
	if g.clock == nil {
		g.clock = SystemClock()
	}
	c := compiler{graph: g, locks: map[string]int32{"": None}, classes: map[string]int32{"": 0},
		hosts: hostSets{total: spec.Hosts, byStart: map[*int]*hostSet{}, byText: map[string]*hostSet{}}}
	for t := range spec.Tasks {
		c.addTask(t, &spec.Tasks[t])
	}
	for k := range spec.Groups {
		c.addGroup(k, &spec.Groups[k])
	}
	g.locks, g.class = len(c.locks)-1, len(c.classes)
	c.nest()
	if err := c.connect(); err != nil {
		return nil, err
	}
	order, err := g.order()
	if err != nil {
		return nil, err
	}
	return g, g.layOut(order)
}

type compiler struct {
	*graph
	locks   map[string]int32
	classes map[string]int32
	hosts   hostSets
}

func (c *compiler) addTask(index int, t *Task) {
	n := node{
		id: t.ID, task: index, group: None, parent: c.groupNode(t.Group), hosts: c.hosts.of(t.Hosts),
		run: t.Run, when: t.When, allow: t.AllowFailure, remote: t.Remote, durableStart: t.DurableStart,
		failFast: t.FailFast || t.MaxParallel > 0 || t.MaxFailures > 0,
		lock:     number(c.locks, t.Lock, -1), class: number(c.classes, t.Class, 0),
		slots: int32(t.MaxParallel), maxFailures: int32(t.MaxFailures), timeout: t.Timeout, retry: c.spec.Retry,
	}
	if t.Retry != nil {
		n.retry, n.asked = *t.Retry, true
	}
	c.nodes = append(c.nodes, n)
}

func (c *compiler) addGroup(index int, s *Group) {
	n := node{
		id: s.ID, task: None, group: index, parent: c.groupNode(s.Group), hosts: c.hosts.of(s.Hosts),
		run: s.Run, when: s.When, allow: s.AllowFailure,
		failFast: s.FailFast || s.MaxParallel > 0 || s.MaxFailures > 0,
		lock:     number(c.locks, s.Lock, -1), slots: int32(s.MaxParallel), maxFailures: int32(s.MaxFailures),
	}
	if s.Retry != nil {
		n.retry, n.asked = *s.Retry, true
	}
	c.nodes = append(c.nodes, n)
}

func (c *compiler) groupNode(group int) int32 {
	if group == None {
		return None
	}
	return int32(len(c.spec.Tasks) + group)
}

// number gives names numbers; add is added to the size of the map.
func number(names map[string]int32, name string, add int) int32 {
	n, ok := names[name]
	if !ok {
		n = int32(len(names) + add)
		names[name] = n
	}
	return n
}

// nest fills in what groups know of what is inside them.
func (c *compiler) nest() {
	for k := range c.nodes {
		n := &c.nodes[k]
		if n.parent == None {
			continue
		}
		parent := &c.nodes[n.parent]
		parent.children = append(parent.children, int32(k))
		n.finally = n.run == Always
		for p := n.parent; p != None; p = c.nodes[p].parent {
			c.nodes[p].tree = append(c.nodes[p].tree, int32(k))
			c.nodes[p].hosts = c.union(c.nodes[p].hosts, n.hosts)
			n.finally = n.finally || c.nodes[p].run == Always && c.nodes[p].parent != None
		}
	}
}

func (c *compiler) union(a, b *hostSet) *hostSet {
	if a == b {
		return a
	}
	all := slices.Clone(a.hosts)
	for _, h := range b.hosts {
		if a.at(h) == None {
			all = append(all, h)
		}
	}
	if len(all) == len(a.hosts) {
		return a
	}
	return c.hosts.intern(all)
}

// connect makes the edges.
func (c *compiler) connect() error {
	for k := range c.nodes {
		for _, need := range c.needs(int32(k)) {
			c.addEdge(edge{from: int32(need.Task), to: int32(k), all: need.Form == AllHosts})
		}
	}
	for k := range c.nodes {
		if g := &c.nodes[k]; g.isGroup() && g.holds() {
			if err := c.gather(int32(k)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *graph) needs(node int32) []Need {
	if n := &g.nodes[node]; n.isGroup() {
		return g.spec.Groups[n.group].Needs
	}
	return g.spec.Tasks[node].Needs
}

// gather lets a group that holds something wait, before it is entered, for all that is needed inside it.
func (c *compiler) gather(group int32) error {
	for _, k := range c.nodes[group].tree {
		if c.nodes[group].lock != None && c.nodes[k].lock != None {
			return fmt.Errorf("%s takes a lock inside %s, which holds one", c.nodes[k].id, c.nodes[group].id)
		}
		for _, e := range c.nodes[k].in {
			e := c.edges[e]
			switch {
			case !c.inside(e.from, group):
				c.addEdge(edge{from: e.from, to: group, all: e.all, waitOnly: true})
			case e.all:
				return fmt.Errorf("%s waits for %s on all hosts inside %s, which %s", c.nodes[k].id,
					c.nodes[e.from].id, c.nodes[group].id, "holds a lock or a slot, or is tried again, host by host")
			}
		}
	}
	return nil
}

// addEdge adds an edge unless it would never be waited for, or is there.
func (c *compiler) addEdge(e edge) {
	from, to := &c.nodes[e.from], &c.nodes[e.to]
	if from.run == OnDemand || len(from.hosts.hosts) == 0 {
		return
	}
	for _, k := range to.in {
		if have := &c.edges[k]; have.from == e.from && have.all == e.all {
			return
		}
	}
	e.hold = None
	for p := from.parent; p != None && !c.inside(e.to, p); p = c.nodes[p].parent {
		if c.nodes[p].defers() {
			e.hold = p
		}
	}
	index := int32(len(c.edges))
	c.edges = append(c.edges, e)
	from.out = append(from.out, index)
	to.in = append(to.in, index)
}

// layOut numbers the instances, node by node in the given order.
func (g *graph) layOut(order []int32) error {
	size, open := 0, 0
	for _, k := range order {
		n := &g.nodes[k]
		n.base, n.openBase = inst(size), int32(open)
		size += len(n.hosts.hosts)
		if n.isGroup() {
			open += len(n.hosts.hosts)
		}
		if size > math.MaxInt32 {
			return fmt.Errorf("more than %d instances", math.MaxInt32)
		}
	}
	g.groups, g.nodeOf = open, make([]int32, size)
	for k := range g.nodes {
		n := &g.nodes[k]
		for i := range n.hosts.hosts {
			g.nodeOf[n.base+inst(i)] = int32(k)
		}
	}
	return nil
}
