package run

import (
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
)

// unknown is the result of an action that may have happened, or not. The scheduler starts nothing more on its host.
func unknown(why string) sched.Result {
	return sched.Result{Status: event.Unknown, Err: &job.Failure{
		Summary: why,
		Hint:    "whether it was carried out is not known, so nothing more is started on its host. Look at the host. " + wayOut,
	}}
}

const wayOut = "If it was done, take the task out or give the command `creates` or `unless`; if it may be done twice, `rerun: safe`; then resume"

// endNotSeen says that an action was started in an earlier session and nobody saw its end.
func endNotSeen(started time.Time) error {
	return &job.Failure{
		Summary: "it was started at " + started.Format(time.DateTime) + " and nobody saw its end: it may have happened, and is not done twice",
		Hint:    "nothing is done on its host before somebody has looked at it. " + wayOut,
	}
}

// stopHosts finds, before anything is started, the hosts on which an earlier session has left an action that may have
// happened. What else could be done on them does not depend on chance then: nothing.
func (s *Session) stopHosts() error {
	if s.Prior == nil || !anyUnknown(s.Prior) {
		return nil
	}
	forget := s.recall()
	defer forget()
	for _, l := range s.leaves {
		for _, h := range l.Hosts {
			in := sched.Instance{Task: l.Index, Host: h}
			prior := s.Prior.Instances[s.plan.Name(in)]
			if prior == nil || l.Task.Run == playbook.OnDemand || !s.mayHaveHappened(l, in, prior) {
				continue
			}
			if err := s.sched.Unknown(in, endNotSeen(prior.Started)); err != nil {
				return err
			}
		}
	}
	return nil
}

func anyUnknown(prior *checkpoint.State) bool {
	for _, i := range prior.Instances {
		if i.Status == event.Unknown {
			return true
		}
	}
	return false
}

// unknownAction ends an action that an earlier session has left unknown, where that could not be told before its turn:
// its parameters are made of what other tasks find out anew.
func (s *Session) unknownAction(l *leaf, in sched.Instance, prior *checkpoint.Instance) *sched.Result {
	if !s.mayHaveHappened(l, in, prior) {
		return nil
	}
	return &sched.Result{Status: event.Unknown, Err: endNotSeen(prior.Started)}
}

// bootBefore is the machine of a task that will start it anew, as long as that has not happened; nil for other tasks, and
// where that can't be told.
func (s *Session) bootBefore(in sched.Instance) *event.Machine {
	l := s.leaves[in.Task]
	if _, ok := l.Task.Kind.New().(task.Rebooter); !ok || l.Place.Elsewhere {
		return nil
	}
	conn, err := s.hosts[in.Host].state()
	if err != nil || conn == nil || conn.Facts().BootID == "" {
		return nil
	}
	return &event.Machine{Boot: conn.Facts().BootID}
}

// rebooted tells whether a reboot of which an earlier session has not seen the end has happened: the machine has been
// started anew since. Else it has not, and is done again.
func (s *Session) rebooted(in sched.Instance, prior *checkpoint.Instance) bool {
	if prior.Status != event.Unknown || prior.Boot == "" {
		return false
	}
	now := s.bootBefore(in)
	if now == nil || now.Boot == prior.Boot {
		return false
	}
	w, err := s.resolve(in, nil)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results.set(in, &outcome{status: event.Changed, changed: true, changes: 1, fingerprint: w.fingerprint, parts: w.parts})
	return true
}

// mayHaveHappened tells whether an earlier session has started an action that may not be repeated, on this machine, and
// has not seen its end.
func (s *Session) mayHaveHappened(l *leaf, in sched.Instance, prior *checkpoint.Instance) bool {
	if prior.Status != event.Unknown || l.Task.SecretOutputs {
		return false
	}
	if boot := s.bootBefore(in); boot != nil && prior.Boot != "" {
		return false // a reboot leaves its mark
	}
	was, known := s.Prior.Machines[s.plan.Hosts[in.Host].Name]
	if known && !s.sameMachine(in.Host, &was) {
		return false
	}
	w, err := s.resolve(in, nil)
	return err == nil && w.action
}
