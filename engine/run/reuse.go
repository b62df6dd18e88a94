package run

import (
	"context"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// presets are the instances whose end needs no second look: failures that were tolerated. All others are decided when it
// is their turn (see When).
func (s *Session) presets() []sched.Preset {
	if s.Prior == nil {
		return nil
	}
	var out []sched.Preset
	for _, l := range s.plan.Leaves {
		for _, h := range l.Hosts {
			in := sched.Instance{Task: l.Index, Host: h}
			if p := s.Prior.Instances[s.plan.Name(in)]; p != nil && p.Allowed && p.Status == event.Failed {
				out = append(out, sched.Preset{Instance: in, Status: p.Status, Allowed: true})
			}
		}
	}
	return out
}

// When implements sched.Executor: what an earlier session did and what still holds is not done again; else the condition
// decides.
func (s *Session) When(_ context.Context, in sched.Instance) sched.Condition {
	l := s.leaves[in.Task]
	text := ""
	if l.Task.When != nil {
		text = l.Task.When.Text()
	}
	if prior := s.prior(in); prior != nil {
		if prior.Status == event.Skipped && prior.When == text && text != "" {
			return sched.Condition{Text: text}
		}
		if o := s.holds(l, in, prior); o != nil {
			s.mu.Lock()
			s.results[in] = o
			s.mu.Unlock()
			return sched.Condition{Run: true, Result: &sched.Result{Status: event.Reused}}
		}
		if r := s.unknownAction(l, in, prior); r != nil {
			return sched.Condition{Run: true, Result: r}
		}
	}
	if l.Task.When == nil {
		return sched.Condition{Run: true}
	}
	ok, err := s.plan.Condition(l.Task.When, in.Host, s, nil)
	if err != nil {
		return sched.Condition{Text: text, Result: &sched.Result{Status: event.Failed, Err: err}}
	}
	return sched.Condition{Run: ok, Text: text}
}

func (s *Session) prior(in sched.Instance) *checkpoint.Instance {
	if s.Prior == nil {
		return nil
	}
	return s.Prior.Instances[s.plan.Name(in)]
}

// holds returns the earlier outcome of an instance if it still holds.
func (s *Session) holds(l *leaf, in sched.Instance, prior *checkpoint.Instance) *outcome {
	d := prior.Done
	if d == nil || s.neededRanAnew(in) || !s.sameMachine(in.Host, d.Machine) {
		return nil
	}
	if l.read && l.Task.Kind.Outputs != nil && len(d.Outputs) == 0 {
		return nil // its outputs were not stored, and somebody wants them
	}
	w, err := s.resolve(in, nil)
	if err != nil || w.fingerprint != d.Fingerprint {
		return nil
	}
	o := &outcome{status: d.Status, changed: d.Changed, changes: d.Changes, fingerprint: d.Fingerprint, parts: d.Parts}
	if len(d.Outputs) > 0 {
		if o.outputs, err = decode(d.Outputs); err != nil {
			return nil
		}
	}
	return o
}

// neededRanAnew tells whether something the instance needs was carried out in this session.
func (s *Session) neededRanAnew(in sched.Instance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.plan.Spec.Tasks[in.Task].Needs {
		ran := s.anew[n.Task]
		if n.Form == sched.AllHosts && len(ran) > 0 || ran[in.Host] {
			return true
		}
	}
	return false
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

// unknownAction stops an action whose end an earlier session did not see: it may have happened.
func (s *Session) unknownAction(l *leaf, in sched.Instance, prior *checkpoint.Instance) *sched.Result {
	if prior.Status != event.Unknown {
		return nil
	}
	w, err := s.resolve(in, nil)
	if err != nil || !w.action || l.Task.SecretOutputs {
		return nil
	}
	return &sched.Result{Status: event.Unknown, Err: unknownEnd(prior.Started)}
}

func unknownEnd(started time.Time) error {
	return &unknownError{started}
}

// unknownError says that an action was started and nobody saw its end.
type unknownError struct{ started time.Time }

func (e *unknownError) Error() string {
	return "it was started at " + e.started.Format(time.DateTime) + " and its end was not seen; an action is not done twice. Look at the host; " +
		"then give the command `rerun: safe`, or `creates`/`unless`, and resume"
}

// Enter implements sched.Executor: the condition of a block on a host, evaluated once in the whole run.
func (s *Session) Enter(_ context.Context, group, host int) sched.Condition {
	t := s.plan.Groups[group]
	if t.When == nil {
		return sched.Condition{Run: true}
	}
	text, name := t.When.Text(), t.Path+"@"+s.plan.Hosts[host].Name
	if s.Prior != nil {
		if e, ok := s.Prior.Entries[name]; ok && e.When == text {
			return sched.Condition{Run: e.Entered, Text: text}
		}
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
	return sched.Condition{Run: ok, Text: text}
}
