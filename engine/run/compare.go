package run

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/sched"
)

// Difference is what has become of a saved plan since it was made.
type Difference struct {
	Already []string // instances of which planned changes are there by now, all or some: somebody has made them
	Wrong   []string // what keeps the plan from being carried out, a line each
}

// Compare holds what the hosts say now against a saved plan, by the rule that holds for each instance when its turn comes
// (see agree): what was planned and is there by now is no harm, anything else than planned is.
func Compare(p *plan.Plan, saved, now []Planned) Difference {
	c := comparison{leaves: makeLeaves(p), saved: map[string]Planned{}, before: map[int]map[int]bool{}, already: map[sched.Instance]bool{}}
	for _, e := range saved {
		c.saved[e.Instance] = e
	}
	found := make([]sched.Instance, len(now))
	for i, e := range now {
		found[i], _ = p.Instance(e.Instance)
		if less(c.saved[e.Instance], e) {
			c.already[found[i]] = true
		}
	}
	var d Difference
	for i, e := range now {
		was, known := c.saved[e.Instance]
		delete(c.saved, e.Instance)
		switch wrong := c.wrong(found[i], was, e); {
		case !known:
			d.Wrong = append(d.Wrong, e.Instance+" is new")
		case wrong != "":
			d.Wrong = append(d.Wrong, e.Instance+": "+wrong)
		case c.already[found[i]] && len(was.Changes) > 0:
			d.Already = append(d.Already, e.Instance)
		}
	}
	for name := range c.saved {
		d.Wrong = append(d.Wrong, name+" is gone")
	}
	slices.Sort(d.Wrong)
	return d
}

type comparison struct {
	leaves  []*leaf
	saved   map[string]Planned
	before  map[int]map[int]bool    // by leaf: what it waits for, directly or not
	already map[sched.Instance]bool // planned changes are there by now
}

// less tells whether planned changes, all or some, are there by now; of what could not be told when the plan was made, all
// that is wanted.
func less(was, now Planned) bool {
	if now.Is == NoChange {
		return was.Is == KnownAfter || len(was.Changes) > 0
	}
	return changes(was.Is) && changes(now.Is) && !slices.Equal(was.Changes, now.Changes)
}

func changes(is Foresight) bool { return is == WillChange || is == IsAction }

// wrong says why an instance must not do what it would do now; "" means that it may.
func (c *comparison) wrong(in sched.Instance, was, now Planned) string {
	switch {
	case now.Is == WouldFail || now.Is == NotReached:
		return fmt.Sprintf("`%s` was planned, now it is `%s` (%s)", was.Is, now.Is, now.Why)
	case was.Is == KnownAfter, was.Is == now.Is && !changes(now.Is), changes(was.Is) && now.Is == NoChange:
		return ""
	case !changes(was.Is) || !changes(now.Is):
		return fmt.Sprintf("`%s` was planned, now it is `%s`", was.Is, now.Is)
	}
	if other, ok := notPlanned(was, now.Changes, c.moved(in)); ok {
		return "this was not planned: " + cmp.Or(other.Summary, "a change")
	}
	return ""
}

// moved tells whether planned changes of a task that this one waits for are there by now, on the same host: it starts from
// what these have made.
func (c *comparison) moved(in sched.Instance) bool {
	if c.before[in.Task] == nil {
		c.before[in.Task] = map[int]bool{}
		allBefore(c.leaves, in.Task, c.before[in.Task])
	}
	for other := range c.already {
		if c.before[in.Task][other.Task] && c.place(other) == c.place(in) {
			return true
		}
	}
	return false
}

// place is the host that an instance changes, as far as that is known before it runs.
func (c *comparison) place(in sched.Instance) int {
	switch place := c.leaves[in.Task].Place; {
	case !place.Elsewhere:
		return in.Host
	case len(place.Hosts) == 1:
		return place.Hosts[0]
	}
	return plan.NoHost
}

// notPlanned finds a change that is none of those that were planned, nor a part of one.
func notPlanned(said Planned, found []job.Change, moved bool) (job.Change, bool) {
	for _, c := range found {
		if !slices.ContainsFunc(said.Changes, func(p job.Change) bool { return fits(p, c, moved || c.Item > 0) }) {
			return c, true
		}
	}
	return job.Change{}, false
}
