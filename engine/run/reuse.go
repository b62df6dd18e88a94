package run

import (
	"context"
	"errors"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
)

// When implements sched.Executor: what an earlier session did and what still holds is not done again; else the condition
// decides.
func (s *Session) When(_ context.Context, in sched.Instance) sched.Condition {
	l := s.leaves[in.Task]
	prior := s.take(in)
	if prior != nil {
		if c := s.earlier(l, in, prior); c != nil {
			return *c
		}
	}
	s.ran(in) // or will not: in any case it is decided anew
	if l.Task.When == nil || s.wasTrue(l, in, prior) {
		return sched.Condition{Run: true}
	}
	ok, err := s.plan.Condition(l.Task.When, in.Host, s, nil)
	if err != nil {
		return sched.Condition{Text: l.Task.When.Text(), Result: &sched.Result{Status: event.Failed, Err: err}}
	}
	return sched.Condition{Run: ok, Text: l.Task.When.Text()}
}

// wasTrue tells whether an instance was cut off in the middle after its condition had said yes: what it had done by then
// may well have made the condition false.
func (s *Session) wasTrue(l *leaf, in sched.Instance, prior *checkpoint.Instance) bool {
	if prior == nil || prior.Status != event.Unknown || prior.When != l.Task.When.Text() {
		return false
	}
	was := s.Prior.Machines[s.plan.Hosts[in.Host].Name]
	return !s.undone[in] && !s.neededRanAnew(l.after, in.Host, prior.StartedAt) && s.sameMachine(in.Host, &was)
}

// take is what earlier sessions say of an instance. It is asked for once: a block that starts again at its first step does
// its steps again.
func (s *Session) take(in sched.Instance) *checkpoint.Instance {
	if s.Prior == nil || s.leaves[in.Task].Task.Run == playbook.OnDemand {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[in] {
		return nil
	}
	s.taken[in] = true
	return s.Prior.Instances[s.plan.Name(in)]
}

// earlier decides an instance by what earlier sessions say of it; nil means that they decide nothing.
func (s *Session) earlier(l *leaf, in sched.Instance, prior *checkpoint.Instance) *sched.Condition {
	switch {
	case s.skippedBefore(l, in, prior):
		return &sched.Condition{Text: l.Task.When.Text()}
	case s.toleratedBefore(l, in, prior):
		return &sched.Condition{Run: true, Result: &sched.Result{
			Status: prior.Status, Err: earlierFailure(prior), Data: &work{fingerprint: prior.Failed}}}
	}
	if o := s.holds(l, in, prior); o != nil {
		s.mu.Lock()
		s.results.set(in, o)
		s.mu.Unlock()
		return &sched.Condition{Run: true, Result: &sched.Result{Status: event.Reused}}
	}
	if s.rebooted(in, prior) {
		return &sched.Condition{Run: true, Result: &sched.Result{Status: event.Changed}}
	}
	if r := s.unknownAction(l, in, prior); r != nil {
		return &sched.Condition{Run: true, Result: r}
	}
	return nil
}

// skippedBefore tells whether a condition said no, and need not be asked again. It may well say something else now,
// because of what the run has done since.
func (s *Session) skippedBefore(l *leaf, in sched.Instance, prior *checkpoint.Instance) bool {
	d := prior.Done
	return d != nil && d.Status == event.Skipped && l.Task.When != nil && d.When == l.Task.When.Text() && s.stands(l, in, d)
}

// toleratedBefore tells whether an instance has failed within what its task allows: that is no reason to try again.
func (s *Session) toleratedBefore(l *leaf, in sched.Instance, prior *checkpoint.Instance) bool {
	if !tolerated(prior) {
		return false
	}
	allows := l.Task.AllowFailure || l.Task.MaxFailures != nil
	was := s.Prior.Machines[s.plan.Hosts[in.Host].Name]
	return allows && !s.neededRanAnew(l.after, in.Host, prior.EndedAt) && s.sameMachine(in.Host, &was) && s.sameWork(in, prior.Failed)
}

// sameWork tells whether an instance would do what it did then. Where that is not known nothing says otherwise.
func (s *Session) sameWork(in sched.Instance, fingerprint string) bool {
	if fingerprint == "" {
		return true
	}
	w, err := s.resolve(in, nil)
	return err == nil && w.fingerprint == fingerprint
}

func tolerated(prior *checkpoint.Instance) bool {
	return prior.Allowed && (prior.Status == event.Failed || prior.Status == event.TimedOut)
}

// earlierFailure is the failure of an earlier session.
func earlierFailure(prior *checkpoint.Instance) error {
	f := prior.Failure
	if f == nil {
		return errors.New("it failed in an earlier session")
	}
	return &job.Failure{Summary: f.Summary, Step: f.Step, Output: f.Output, Hint: f.Hint}
}

// stands tells whether nothing has happened since an earlier end that would make it come out differently.
func (s *Session) stands(l *leaf, in sched.Instance, d *checkpoint.Done) bool {
	return !s.undone[in] && !s.neededRanAnew(l.after, in.Host, d.Seq) && s.sameMachine(in.Host, d.Machine)
}

// holds returns the earlier outcome of an instance if it still holds.
func (s *Session) holds(l *leaf, in sched.Instance, prior *checkpoint.Instance) *outcome {
	d := prior.Done
	if d == nil || d.Status == event.Skipped || !s.stands(l, in, d) {
		return nil
	}
	if l.read && l.Task.Kind.Outputs != nil && len(d.Outputs) == 0 {
		return nil // its outputs were not stored, and somebody wants them
	}
	w, err := s.resolve(in, nil)
	if err != nil || w.fingerprint != d.Fingerprint {
		return nil
	}
	return earlierOutcome(d)
}

// earlierOutcome is what a log says came out; nil where its outputs can't be read.
func earlierOutcome(d *checkpoint.Done) *outcome {
	o := &outcome{status: d.Status, changed: d.Changed, changes: d.Changes, fingerprint: d.Fingerprint, parts: d.Parts}
	if len(d.Outputs) > 0 {
		v, err := decode(d.Outputs)
		if err != nil {
			return nil
		}
		o.outputs = v
	}
	return o
}

// neededRanAnew tells whether something that is needed was decided anew in this session, or was started in an earlier one
// after the event with the result in question.
func (s *Session) neededRanAnew(needs []sched.Need, host int, at int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range needs {
		ran := &s.anew[n.Task]
		if n.Form == sched.AllHosts && ran.some || ran.has(host) || s.lastStart(n, host) > at {
			return true
		}
	}
	return false
}

// lastStart is the event with which a need was started last, in an earlier session: numbers, since clocks jump. Through what
// was skipped it looks at what that needs.
func (s *Session) lastStart(n sched.Need, host int) int64 {
	if n.Form == sched.SameHost {
		return s.lastStartOf(sched.Instance{Task: n.Task, Host: host})
	}
	all := sched.Instance{Task: n.Task, Host: plan.NoHost} // asked for on every host, and always the same
	last, known := s.starts[all]
	if !known {
		for _, h := range s.leaves[n.Task].Hosts {
			last = max(last, s.lastStartOf(sched.Instance{Task: n.Task, Host: h}))
		}
		s.starts[all] = last
	}
	return last
}

func (s *Session) lastStartOf(in sched.Instance) int64 {
	if t, known := s.starts[in]; known {
		return t
	}
	var t int64
	p := s.Prior.Instances[s.plan.Name(in)]
	switch {
	case p == nil:
	case p.Done != nil && p.Done.Status == event.Skipped:
		for _, n := range s.leaves[in.Task].after {
			t = max(t, s.lastStart(n, in.Host))
		}
	default:
		t = p.StartedAt
	}
	s.starts[in] = t
	return t
}

// sameMachine tells whether the machine behind a host name is the one it was. A replaced host starts afresh.
func (s *Session) sameMachine(host int, was *event.Machine) bool {
	h := s.hosts[host]
	h.mu.Lock()
	defer h.mu.Unlock()
	if was == nil || h.conn == nil {
		return true // not known, or not to be seen now: nothing says that it is another
	}
	f := h.conn.Facts()
	return (was.ID == "" || f.MachineID == "" || was.ID == f.MachineID) &&
		(was.ProductUUID == "" || f.ProductUUID == "" || was.ProductUUID == f.ProductUUID)
}

// Enter implements sched.Executor: the condition of a block on a host, evaluated once in the whole run.
func (s *Session) Enter(_ context.Context, group, host int) sched.Condition {
	t := s.plan.Groups[group]
	if t.When == nil {
		return sched.Condition{Run: true}
	}
	text, name := t.When.Text(), t.Path+"@"+s.plan.Hosts[host].Name
	if e := s.takeEntry(group, host, name); e != nil && e.When == text {
		return sched.Condition{Run: e.Entered, Text: text}
	}
	ok, err := s.plan.Condition(t.When, host, s, nil)
	if err != nil {
		return sched.Condition{Text: text, Result: &sched.Result{Status: event.Failed, Err: err}}
	}
	e := event.Event{Type: checkpoint.GroupEntered, Instance: name, Task: t.Path, Host: s.plan.Hosts[host].Name, When: text, Status: event.OK}
	if !ok {
		e.Status = event.Skipped
	}
	s.bus.emit(e)
	// What is inside may make the condition false: that it was true has to be known before anything is done.
	if err := s.bus.commit(); err != nil {
		return sched.Condition{Text: text, Result: &sched.Result{Status: event.Failed, Err: err}}
	}
	return sched.Condition{Run: ok, Text: text}
}

// takeEntry is what an earlier session found at the way into a group; nil where it has to be found out anew. It is asked
// for once: a group inside one that starts again is entered again.
func (s *Session) takeEntry(group, host int, name string) *checkpoint.Entry {
	if s.Prior == nil {
		return nil
	}
	spec := s.plan.Spec
	needs := needsOf(spec, spec.Groups[group].Needs, spec.Groups[group].Group)
	e, known := s.Prior.Entries[name]
	same := s.sameMachine(host, e.Machine) && !s.neededRanAnew(needs, host, e.Seq)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known && same && !s.entered[name] {
		s.entered[name] = true
		return &e
	}
	s.entered[name] = true
	s.anewInside(group, host)
	return nil
}

// anewInside marks all in a group: whether it is done was decided anew.
func (s *Session) anewInside(group, host int) {
	for i := range s.plan.Spec.Tasks {
		for g := s.plan.Spec.Tasks[i].Group; g != sched.None; g = s.plan.Spec.Groups[g].Group {
			if g == group {
				s.markAnew(sched.Instance{Task: i, Host: host})
			}
		}
	}
}
