package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/transport"
)

// A saved plan that is carried out holds for each instance at the moment its turn comes: it is asked for its changes once
// more, and what it finds must be what the plan says. Only then it is told to apply them, and nothing else. Fewer changes
// are no harm; an instance of which the plan said that it will be known later may do what it finds.

// agree tells whether an instance may do what it finds; nil means that it may. What it found is handed to the host with
// the request, so that it holds there until the first change is applied.
func (a *attempt) agree(ctx context.Context, conn transport.Conn, w *work) *sched.Result {
	said, bound := a.bound()
	if !bound {
		return nil
	}
	if said.Is == WillSkip || said.Is == "" {
		return a.refused(said, nil)
	}
	req := a.request(w, job.Plan)
	out, err := conn.Do(ctx, req, nil)
	if err != nil {
		r := a.unreachable(ctx, err)
		return &r
	}
	switch {
	case out.Failure != nil:
		r := a.result(out, w)
		return &r
	case out.NotYet != "":
		return a.refused(said, []job.Change{{Summary: out.NotYet + " is not there"}})
	}
	found := slices.Clone(out.Changes)
	maskChanges(a.Mask, found)
	if _, other := notPlanned(said, found, a.moved()); other {
		return a.refused(said, found)
	}
	if !slices.Equal(found, said.Changes) {
		a.changedBefore()
	}
	if a.agreed = out.Changes; a.agreed == nil {
		a.agreed = []job.Change{}
	}
	return nil
}

// foundDone notes that what could not be told when the plan was made is there without this run.
func (a *attempt) foundDone(out *job.Outcome) {
	if a.Agreed != nil && out.Failure == nil && len(out.Changes) == 0 && a.Agreed[a.plan.Name(a.in)].Is == KnownAfter {
		a.changedBefore()
	}
}

// changedBefore remembers that somebody has made planned changes of an instance before its turn came.
func (a *attempt) changedBefore() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.already[a.in] = a.host
}

// bound is what the plan says of an instance; false where the instance is free: there is no plan, it said that this will be
// known later, the task only waits, or this run has begun to change what the plan says.
func (a *attempt) bound() (Planned, bool) {
	if a.Agreed == nil || a.leaf.waits() || a.began(a.in) {
		return Planned{}, false
	}
	said := a.Agreed[a.plan.Name(a.in)]
	return said, said.Is != KnownAfter
}

// began tells whether changes of an instance were applied already: what is left of them need not be what was planned.
func (s *Session) began(in sched.Instance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changing[in] != nil {
		return true
	}
	if s.Prior == nil {
		return false
	}
	prior := s.Prior.Instances[s.plan.Name(in)]
	return prior != nil && (prior.Status == event.Unknown || prior.Failure != nil && prior.Failure.Step != "")
}

// fits compares a change with a planned one. It may be a part of that (of three packages one is there by now). A plan looks
// at hosts as they are before the run; a task starts from what those before it have made, as does a later turn of a loop:
// there the summary counts (a package has brought its own version of a file).
func fits(planned, found job.Change, moved bool) bool {
	switch {
	case planned.Item != found.Item || planned.Action != found.Action:
		return false
	case planned.Summary == found.Summary && (moved || planned.Diff == found.Diff):
		return true
	}
	return found.Diff != "" && partOf(found.Diff, planned.Diff)
}

// partOf tells whether every line of a diff is one of another.
func partOf(diff, whole string) bool {
	lines := strings.Split(whole, "\n")
	for line := range strings.SplitSeq(diff, "\n") {
		if !slices.Contains(lines, line) {
			return false
		}
	}
	return true
}

// applying remembers that an instance has begun to change its host.
func (a *attempt) applying() {
	if a.Agreed == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changing[a.in] = a.host
}

// moved tells whether a task that this one waits for has changed the same host since the plan was made: in this run, or
// somebody has done it. What it touches says too little: a package brings files that no task names.
func (a *attempt) moved() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.changing)+len(a.already) == 0 {
		return false
	}
	waits := map[int]bool{}
	allBefore(a.leaves, a.in.Task, waits)
	for _, moved := range []map[sched.Instance]*host{a.changing, a.already} {
		for in, host := range moved {
			if host == a.host && waits[in.Task] {
				return true
			}
		}
	}
	return false
}

// allBefore finds all that a task waits for, directly or not.
func allBefore(leaves []*leaf, leaf int, found map[int]bool) {
	for _, n := range leaves[leaf].after {
		if !found[n.Task] {
			found[n.Task] = true
			allBefore(leaves, n.Task, found)
		}
	}
}

// refused is the result of an instance that would not do what was planned. Nothing was changed.
func (a *attempt) refused(said Planned, found []job.Change) *sched.Result {
	var b strings.Builder
	planned := string(said.Is)
	if planned == "" {
		planned = "nothing: the plan does not have this instance"
	}
	fmt.Fprintf(&b, "planned: %s\n", planned)
	describe(&b, said.Changes)
	if len(found) > 0 {
		b.WriteString("now:\n")
		describe(&b, found)
	} else {
		b.WriteString("now: its condition is true\n")
	}
	return &sched.Result{Status: event.Failed, Err: &job.Failure{
		Summary: "it would not do what the plan says; nothing was changed",
		Output:  strings.TrimRight(b.String(), "\n"),
		Hint:    "see who has changed this host since it was planned; then plan again, or put it back as it was and resume",
	}}
}

// maskChanges masks all secrets of the run: the host knew those of this task alone; another's may stand in a file of its.
func maskChanges(m *mask.Masker, changes []job.Change) {
	for i, c := range changes {
		changes[i].Summary, changes[i].Diff = m.String(c.Summary), m.String(c.Diff)
	}
}

func describe(b *strings.Builder, changes []job.Change) {
	for _, c := range changes {
		fmt.Fprintf(b, "  %s\n", c.Summary)
		for line := range strings.Lines(c.Diff) {
			fmt.Fprintf(b, "      %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}
