package sched

import (
	"encoding/binary"
	"time"
)

// inst is the index of an instance in the state arrays. The instances of a task are neighbours, in the order of its
// hosts, and tasks are laid out longest remaining path first: the lower index is always the one to start first.
type inst = int32

// graph is a Spec made ready to run. It does not change after New.
type graph struct {
	spec   *Spec
	limits Limits
	clock  Clock
	nodes  []node // the tasks, then the groups, as in the Spec
	edges  []edge
	nodeOf []int32 // of each instance
	groups int     // instances of groups
	locks  int
	class  int // number of classes, with the empty one
}

// node is a task, or the way into a group.
type node struct {
	id       string
	task     int   // index in the Spec; None for a group
	group    int   // index in the Spec; None for a task
	parent   int32 // node of the group around it, or None
	base     inst
	openBase int32 // of a group: where the counters of its instances begin
	hosts    *hostSet
	in, out  []int32 // edges
	children []int32 // of a group: the nodes right inside
	tree     []int32 // of a group: all nodes inside

	run                            Run
	when, finally, allow, failFast bool
	remote, durableStart, asked    bool
	lock, class                    int32 // lock: None, or its number
	slots, maxFailures             int32
	timeout                        time.Duration
	retry                          Retry
}

// edge says that to waits for from.
type edge struct {
	from, to int32
	all      bool
	waitOnly bool  // to waits, but does not mind the result
	hold     int32 // outermost group around from that keeps its results back until it is left, and does not hold to
}

func (n *node) isGroup() bool   { return n.group != None }
func (n *node) tolerates() bool { return n.allow || n.maxFailures > 0 }

// defers tells whether a group keeps the results of its tasks from others until it is left: a retry, or a failure that is
// tolerated, may give them another meaning.
func (n *node) defers() bool { return n.tolerates() || n.retry.Attempts > 1 }

// holds tells whether a group, once entered, keeps something from others, or may run a second time.
func (n *node) holds() bool { return n.lock != None || n.slots > 0 || n.retry.Attempts > 1 }

// hostSet is the list of hosts of one or more tasks.
type hostSet struct {
	hosts []int32
	pos   []int32 // by host, None where it is missing; nil for short lists
}

const shortList = 8

func newHostSet(hosts []int32, total int) *hostSet {
	s := &hostSet{hosts: hosts}
	if len(hosts) <= shortList {
		return s
	}
	s.pos = make([]int32, total)
	for h := range s.pos {
		s.pos[h] = None
	}
	for k, h := range hosts {
		s.pos[h] = int32(k)
	}
	return s
}

// at returns the position of a host in the list, or None.
func (s *hostSet) at(host int32) int32 {
	if s.pos != nil {
		return s.pos[host]
	}
	for k, h := range s.hosts {
		if h == host {
			return int32(k)
		}
	}
	return None
}

// hostSets makes one hostSet of all equal lists.
type hostSets struct {
	total   int
	byStart map[*int]*hostSet // lists that share an array are recognised without looking at them
	byText  map[string]*hostSet
}

func (s *hostSets) of(hosts []int) *hostSet {
	if len(hosts) > 0 {
		if known := s.byStart[&hosts[0]]; known != nil && len(known.hosts) == len(hosts) {
			return known
		}
	}
	short := make([]int32, len(hosts))
	for k, h := range hosts {
		short[k] = int32(h)
	}
	set := s.intern(short)
	if len(hosts) > 0 {
		s.byStart[&hosts[0]] = set
	}
	return set
}

func (s *hostSets) intern(hosts []int32) *hostSet {
	key := textOf(hosts)
	if known := s.byText[key]; known != nil {
		return known
	}
	set := newHostSet(hosts, s.total)
	s.byText[key] = set
	return set
}

// textOf makes a map key of a list.
func textOf(list []int32) string {
	key := make([]byte, 0, 4*len(list))
	for _, v := range list {
		key = binary.LittleEndian.AppendUint32(key, uint32(v))
	}
	return string(key)
}

// host returns the host of an instance.
func (g *graph) host(i inst) int32 {
	n := &g.nodes[g.nodeOf[i]]
	return n.hosts.hosts[i-n.base]
}

// on returns the instance of a node on a host, or None.
func (g *graph) on(node, host int32) inst {
	n := &g.nodes[node]
	if p := n.hosts.at(host); p >= 0 {
		return n.base + p
	}
	return None
}

// beside returns the instance of node b on the host of instance i of node a, or None.
func (g *graph) beside(a, b *node, i inst) inst {
	if a.hosts == b.hosts {
		return i - a.base + b.base
	}
	if p := b.hosts.at(a.hosts.hosts[i-a.base]); p >= 0 {
		return b.base + p
	}
	return None
}

// find returns the index of an instance, or None.
func (g *graph) find(in Instance) inst {
	if in.Task < 0 || in.Task >= len(g.spec.Tasks) || in.Host < 0 || in.Host >= g.spec.Hosts {
		return None
	}
	return g.on(int32(in.Task), int32(in.Host))
}

func (g *graph) instance(i inst) Instance {
	n := &g.nodes[g.nodeOf[i]]
	return Instance{Task: n.task, Host: int(n.hosts.hosts[i-n.base])}
}

// inside tells whether a node lies in a group, at any depth.
func (g *graph) inside(n, group int32) bool {
	for p := g.nodes[n].parent; p != None; p = g.nodes[p].parent {
		if p == group {
			return true
		}
	}
	return false
}
