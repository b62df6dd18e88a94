package run

import (
	"cmp"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/sched"
)

var (
	_ sched.Observer      = (*Session)(nil)
	_ sched.Committer     = (*Session)(nil)
	_ sched.GroupObserver = (*Session)(nil)
)

// Started implements sched.Observer.
func (s *Session) Started(in sched.Instance, attempt int) {
	s.mu.Lock()
	s.running[in] = s.Clock.Now()
	s.mu.Unlock()
	e := s.about(in)
	e.Type, e.Attempt = event.InstanceStarted, attempt
	if when := s.leaves[in.Task].Task.When; when != nil {
		e.When = when.Text() // it was true: what is killed now need not find that again
	}
	e.Machine = s.bootBefore(in)
	s.bus.emit(e)
}

// AttemptFailed implements sched.Observer.
func (s *Session) AttemptFailed(in sched.Instance, attempt int, r sched.Result, retryIn time.Duration) {
	s.mu.Lock()
	delete(s.running, in)
	s.mu.Unlock()
	e := s.about(in)
	e.Type, e.Attempt, e.Status, e.Retry, e.Failure = event.AttemptFailed, attempt, r.Status, retryIn, failureOf(r.Err)
	s.bus.emit(e)
}

// Ended implements sched.Observer.
func (s *Session) Ended(in sched.Instance, end sched.Ending) {
	e := s.about(in)
	e.Type, e.Status, e.Allowed, e.When = event.InstanceEnded, end.Status, end.Allowed, end.When
	if end.Started {
		e.Attempt = len(end.Attempts) + 1
	}
	if s.skippedAgain(in, end) {
		e.Status, e.First = event.Reused, event.Skipped
	}
	if !end.Status.Good() {
		e.Failure = failureOf(end.Err)
		if w, ok := end.Data.(*work); ok {
			e.Fingerprint, e.Parts = w.fingerprint, w.parts
		}
	}
	for _, r := range end.Roots {
		e.BlockedBy = append(e.BlockedBy, s.plan.Name(r))
	}
	s.mu.Lock()
	if t, ok := s.running[in]; ok {
		e.Duration = s.Clock.Now().Sub(t)
		delete(s.running, in)
	}
	o := s.ended(in, end)
	fill(&e, o)
	if !s.leaves[in.Task].kept {
		s.results.forget(in, o)
	}
	s.mu.Unlock()
	s.bus.emit(e)
}

// skippedAgain tells whether an instance was skipped by an earlier session already, and nothing was decided anew: it need
// not be told once more.
func (s *Session) skippedAgain(in sched.Instance, end sched.Ending) bool {
	if end.Status != event.Skipped || s.Prior == nil {
		return false
	}
	prior := s.Prior.Instances[s.plan.Name(in)]
	s.mu.Lock()
	defer s.mu.Unlock()
	again := prior != nil && prior.Done != nil && prior.Done.Status == event.Skipped && !s.anew[in.Task].has(in.Host)
	if again {
		s.skips++
	}
	return again
}

// ended keeps how an instance ended, for expressions: one that failed or was skipped has no outcome from its attempts.
func (s *Session) ended(in sched.Instance, end sched.Ending) *outcome {
	if end.Status == event.Unreachable && end.HostLost {
		s.lost[in.Host] = true
	}
	o := s.results.get(in)
	if o == nil || !end.Status.Good() || end.Status == event.Skipped {
		o = &outcome{status: end.Status, allowed: end.Allowed}
		s.results.set(in, o)
	}
	return o
}

// fill adds what a result is kept for.
func fill(e *event.Event, o *outcome) {
	if e.Changed, e.Changes = o.changed, o.changes; o.fingerprint != "" {
		e.Fingerprint, e.Parts = o.fingerprint, o.parts
	}
	if e.Status == event.Reused {
		e.First = cmp.Or(e.First, o.status)
		return
	}
	if !o.secret {
		e.Outputs = o.raw
	}
}

// Commit implements sched.Committer.
func (s *Session) Commit() error { return s.bus.commit() }

// Entered implements sched.GroupObserver.
func (s *Session) Entered(int, int, int) {}

// Restarting implements sched.GroupObserver.
func (s *Session) Restarting(group, host, attempt int, in time.Duration) {
	s.bus.emit(event.Event{Type: event.Note, Task: s.plan.Groups[group].Path, Host: s.plan.Hosts[host].Name,
		Line: s.plan.Groups[group].Path + "@" + s.plan.Hosts[host].Name + " failed and starts again at its first step in " + in.String(), Attempt: attempt})
}

// Left implements sched.GroupObserver.
func (s *Session) Left(int, int, event.Status) {}

// about is an event with what identifies an instance.
func (s *Session) about(in sched.Instance) event.Event {
	l := s.leaves[in.Task]
	return event.Event{
		Instance: s.plan.Name(in), Task: l.Task.Path, Title: l.Task.Title, Kind: l.Task.Kind.Name, Host: s.plan.Hosts[in.Host].Name,
		At: s.at(l.Place), Pos: l.pos,
	}
}

// at is where an instance is carried out, where that is known beforehand and not its own host.
func (s *Session) at(p plan.Place) string {
	switch {
	case p.Controller:
		return s.controller.name
	case len(p.Hosts) == 1:
		return s.plan.Hosts[p.Hosts[0]].Name
	}
	return ""
}
