// Package race finds tasks that get into each other's way: two that touch the same thing of the same host, one of them
// writing, while neither waits for the other. Which of them comes last is then left to chance, and chance changes with the
// speed of a network.
//
// # What is compared
//
// Every kind says what a task reads and writes (task.Toucher), by its parameters as far as they are known before a host
// is reached (plan.Sketches): what depends on facts is not compared. A path that ends in "/" stands for the directory and
// all below it. A task that is delegated (`at`) touches the host it is carried out on, not its own; with reachable(..),
// the first host of the list. Every task reads its host, which a reboot writes. Tasks whose conditions contradict each other never meet.
//
// # What waits for what
//
// The order is that of instances, as a run will have it: a need host by host orders the two instances of each host, one on
// all hosts orders every instance behind every other. For one host, an instance can be behind the instance of that host
// alone (state Same) or behind all instances of a task (state All); the sets of what is behind what are computed for each
// task and both states at once, as bits, from the last task to the first. Hosts that run the same tasks share them.
//
// # How often
//
// What touches one thing is looked at in the order of the graph: a reader is compared with the writers that nothing has
// overwritten since, a writer with those and with the readers since. In a playbook without races that is one comparison
// for each access, not one for each pair. On large inventories, one host stands for all that run the same tasks.
package race

import (
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
)

// Check reports the races of a plan.
func Check(p *plan.Plan, sketches *plan.Sketches, found *diag.List) {
	c := &checker{p: p, sketches: sketches, order: newOrder(p), pairs: map[pair]*race{}}
	places := c.places()
	for _, in := range places {
		in.group()
	}
	c.order.watch(places)
	for _, in := range places {
		for _, b := range in.contested {
			c.scan(in, b)
		}
	}
	c.report(found)
}

type checker struct {
	p        *plan.Plan
	sketches *plan.Sketches
	order    *order
	pairs    map[pair]*race
}

// theHost is what a task writes that takes its host down (task.Rebooter).
const theHost = "host"

// access is what one instance does with one thing.
type access struct {
	leaf  int
	host  int // of the instance
	write bool
}

// place is a machine, with what is done to its things.
type place struct {
	host      int // len(Hosts) is the controller
	things    map[string][]access
	contested []bucket
}

// bucket is a thing that more than one instance touches.
type bucket struct {
	thing string
	who   []access
}

// places collects what every instance touches.
func (c *checker) places() []*place {
	byHost := map[int]*place{}
	chosen := make([]bool, len(c.p.Hosts))
	for _, h := range c.p.Samples() {
		chosen[h] = true
	}
	for _, l := range c.p.Leaves {
		for _, h := range l.Hosts {
			if !chosen[h] {
				continue
			}
			at := h
			if l.Place.Elsewhere {
				if at = len(c.p.Hosts); !l.Place.Controller && len(l.Place.Hosts) > 0 {
					at = l.Place.Hosts[0]
				}
			}
			if byHost[at] == nil {
				byHost[at] = &place{host: at, things: map[string][]access{}}
			}
			c.touch(byHost[at], l, h)
		}
	}
	var out []*place
	for at := range len(c.p.Hosts) + 1 {
		if byHost[at] != nil {
			out = append(out, byHost[at])
		}
	}
	return out
}

// touch notes what an instance touches.
func (c *checker) touch(in *place, l *plan.Leaf, host int) {
	writes := map[string]bool{theHost: false} // every task needs it
	for _, s := range c.sketches.Of(l, host) {
		reads, written := touches(s.Task)
		for _, r := range reads {
			writes[r] = writes[r] || false
		}
		for _, w := range written {
			writes[w] = true
		}
	}
	for thing, write := range writes {
		in.things[thing] = append(in.things[thing], access{l.Index, host, write})
	}
}

// group finds the things that more than one instance touches, with one of them writing.
func (in *place) group() {
	for thing, own := range in.things {
		who := own
		for _, dir := range dirs(thing) {
			who = append(slices.Clone(who), in.things[dir]...)
		}
		if len(who) > 1 && slices.ContainsFunc(who, func(a access) bool { return a.write }) {
			in.contested = append(in.contested, bucket{thing, who})
		}
	}
	slices.SortFunc(in.contested, func(a, b bucket) int { return strings.Compare(a.thing, b.thing) })
}

// scan looks at all accesses to one thing in the order of the graph.
func (c *checker) scan(in *place, b bucket) {
	c.order.sort(b.who)
	var writers, readers []access
	for _, x := range b.who {
		ordered := func(before access) bool { return c.ordered(in, b.thing, before, x) }
		if !x.write {
			for _, w := range writers {
				ordered(w)
			}
			readers = append(readers, x)
			continue
		}
		readers = slices.DeleteFunc(readers, ordered)
		writers = append(slices.DeleteFunc(writers, ordered), x)
	}
}

// ordered tells whether x waits for an access before it; if not, and nothing else keeps them apart, that is a race.
func (c *checker) ordered(in *place, thing string, before, x access) bool {
	if before.leaf == x.leaf && before.host == x.host {
		return true // two ways to touch one thing, in one instance
	}
	if c.order.behind(before, x) {
		return true
	}
	if before.leaf == x.leaf && c.p.InTurn(x.leaf) || c.exclusive(before, x) {
		return false
	}
	key := pair{before.leaf, x.leaf}
	r := c.pairs[key]
	if r == nil {
		r = &race{first: before, second: x}
		c.pairs[key] = r
	}
	r.add(thing, in.host)
	return false
}

// exclusive tells whether conditions keep two instances from running both.
func (c *checker) exclusive(a, b access) bool {
	for _, x := range c.p.Leaves[a.leaf].Task.Conditions() {
		for _, y := range c.p.Leaves[b.leaf].Task.Conditions() {
			if (a.host == b.host || !x.PerHost() && !y.PerHost()) && sameNames(x, y) && x.Contradicts(y.Expr) {
				return true
			}
		}
	}
	return false
}

// sameNames tells whether names mean the same in two conditions: inputs and tasks are those of a file.
func sameNames(x, y *playbook.Code) bool {
	if x.Site.File == y.Site.File {
		return true
	}
	for _, r := range append(slices.Clone(x.Refs()), y.Refs()...) {
		if r.Root == "inputs" || r.Root == "tasks" {
			return false
		}
	}
	return true
}
