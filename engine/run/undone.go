package run

import (
	"maps"
	"slices"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
)

// findUndone finds what does not count any more because the finally of its block has undone it: where the finally ran, and
// a step of the block is still to do or has to be done again, the block starts afresh on that host.
func (s *Session) findUndone() error {
	if s.Prior == nil {
		return nil
	}
	last := s.finallysThatBegan()
	if len(last) == 0 { // nothing can be undone
		return nil
	}
	probe, err := sched.New(s.spec())
	if err != nil {
		return err
	}
	have := s.doneBefore()
	forget := s.recall()
	defer forget()
	for more := true; more; {
		s.dropStale(have)
		maps.Copy(have, last) // that it runs again changes nothing of what it has undone
		dropped, err := probe.Preset(slices.Collect(maps.Values(have)))
		if err != nil {
			return err
		}
		more = false
		for _, p := range dropped {
			more = more || !s.undone[p.Instance]
			s.undone[p.Instance] = true
			delete(have, p.Instance)
		}
	}
	return nil
}

// doneBefore is what earlier sessions have finished.
func (s *Session) doneBefore() map[sched.Instance]sched.Preset {
	have := map[sched.Instance]sched.Preset{}
	for _, l := range s.leaves {
		for _, h := range l.Hosts {
			in := sched.Instance{Task: l.Index, Host: h}
			switch p := s.Prior.Instances[s.plan.Name(in)]; {
			case p == nil || l.Task.Run == playbook.OnDemand:
			case p.Done != nil:
				have[in] = sched.Preset{Instance: in, Status: p.Done.Status}
			case tolerated(p):
				have[in] = sched.Preset{Instance: in, Status: p.Status, Allowed: true}
			}
		}
	}
	return have
}

// finallysThatBegan are those that have undone something, or a part of it: well, badly, or cut off.
func (s *Session) finallysThatBegan() map[sched.Instance]sched.Preset {
	last := map[sched.Instance]sched.Preset{}
	for _, l := range s.leaves {
		if !isFinally(l.Task) {
			continue
		}
		for _, h := range l.Hosts {
			in := sched.Instance{Task: l.Index, Host: h}
			if p := s.Prior.Instances[s.plan.Name(in)]; p != nil && p.Starts > 0 {
				last[in] = sched.Preset{Instance: in, Status: event.OK}
			}
		}
	}
	return last
}

// isFinally tells whether a task is, or is in, the finally of a block.
func isFinally(t *playbook.Task) bool {
	for ; t.Parent != nil; t = t.Parent {
		if t.Run == playbook.Always {
			return true
		}
	}
	return false
}

// recall makes the outcomes of earlier sessions known, as if all of them held. What it returns forgets them again, and
// what was found with them.
func (s *Session) recall() (forget func()) {
	for _, l := range s.leaves {
		for _, h := range l.Hosts {
			in := sched.Instance{Task: l.Index, Host: h}
			p := s.Prior.Instances[s.plan.Name(in)]
			if p == nil || p.Done == nil {
				continue
			}
			if o := earlierOutcome(p.Done); o != nil {
				s.results.set(in, o)
			}
		}
	}
	return func() {
		s.results.clear()
		s.startOver()
	}
}

// startOver forgets what was decided anew.
func (s *Session) startOver() {
	clear(s.entered)
	s.anew = make([]hostSet, len(s.leaves))
}

// dropStale takes out of have what is going to run again: it has changed, or something that it needs runs again.
func (s *Session) dropStale(have map[sched.Instance]sched.Preset) {
	s.startOver()
	for _, l := range s.leaves {
		for _, h := range l.Hosts {
			if in := (sched.Instance{Task: l.Index, Host: h}); l.Task.Run != playbook.OnDemand {
				if _, done := have[in]; !done {
					s.markAnew(in)
				}
			}
		}
	}
	for more := true; more; {
		more = false
		clear(s.entered)
		s.enterBlocks()
		for in := range have {
			if l, prior := s.leaves[in.Task], s.Prior.Instances[s.plan.Name(in)]; !s.stillHolds(l, in, prior) {
				s.markAnew(in)
				delete(have, in)
				more = true
			}
		}
	}
}

// enterBlocks marks what is inside blocks whose condition has to be asked again.
func (s *Session) enterBlocks() {
	for g := range s.plan.Spec.Groups {
		t := s.plan.Groups[g]
		if t.When == nil {
			continue
		}
		for _, h := range s.plan.Spec.Groups[g].Hosts {
			s.takeEntry(g, h, t.Path+"@"+s.plan.Hosts[h].Name)
		}
	}
}

// stillHolds tells whether earlier would take the result over.
func (s *Session) stillHolds(l *leaf, in sched.Instance, prior *checkpoint.Instance) bool {
	return !s.anew[in.Task].has(in.Host) &&
		(s.skippedBefore(l, in, prior) || s.skippedAround(l, in, prior) || s.toleratedBefore(l, in, prior) || s.holds(l, in, prior) != nil)
}

// skippedAround tells whether an instance was skipped, and that stands, although its own condition has not said so: that of a
// block around it did (where it has to be asked again, all inside is marked), or it waits for a failure that did not come.
func (s *Session) skippedAround(l *leaf, in sched.Instance, prior *checkpoint.Instance) bool {
	d := prior.Done
	if d == nil || d.Status != event.Skipped || s.undone[in] {
		return false
	}
	for g := s.plan.Spec.Tasks[in.Task].Group; g != sched.None; g = s.plan.Spec.Groups[g].Group {
		t := s.plan.Groups[g]
		e, known := s.Prior.Entries[t.Path+"@"+s.plan.Hosts[in.Host].Name]
		if t.When != nil && known && !e.Entered && e.When == t.When.Text() {
			return true
		}
	}
	return d.When == "" && forFailures(l.Task) && s.stands(l, in, d)
}

// forFailures tells whether a task is, or is in, what runs when something has failed.
func forFailures(t *playbook.Task) bool {
	for ; t != nil; t = t.Parent {
		if t.Run == playbook.OnFailure {
			return true
		}
	}
	return false
}
