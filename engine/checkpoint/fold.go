package checkpoint

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// State is what a log says about its run.
type State struct {
	Run       string
	Playbook  string
	Name      string // of the playbook
	Inventory string
	Hosts     int
	Tasks     int
	Info      map[string]any // options of the run, of its last session
	Sessions  int            // times the run was started or resumed
	Started   time.Time      // first session
	Last      time.Time      // of the last event

	Ended    bool // the last session wrote its run_ended
	Exit     int  // of the last session, when Ended
	Counts   map[event.Status]int
	Roots    []event.Root
	Left     int           // instances of the run that are not done, and that the last session has left out
	Duration time.Duration // of the last session, when Ended

	Instances map[string]*Instance
	Machines  map[string]event.Machine // by host, as last seen
	Entries   map[string]Entry         // conditions of blocks and parts, by block@host

	Seq   int64 // of the last event
	Lines int   // whole lines
	Bytes int64 // of the whole lines
	Torn  int64 // bytes behind the last whole line; 0 = the log ends cleanly
}

// Instance is what a log says about one instance.
type Instance struct {
	ID   string
	Task string
	Host string
	Kind string
	Pos  string

	Status    event.Status   // the last one; Unknown when it started and the end is not known, until it starts again
	Failure   *event.Failure // of the last attempt that failed, until one succeeds
	Allowed   bool           // the failure is within allow_failure or max_failures
	Failed    string         // fingerprint of the execution that failed last; "" = not known
	When      string
	BlockedBy []string
	Attempts  int           // of the last execution
	Duration  time.Duration // of the last execution that ended
	Started   time.Time     // zero = it never started
	StartedAt int64         // Seq of that event: order that no clock can turn round
	Boot      string        // of its machine at that time, where it was to start that anew
	EndedAt   int64         // Seq of its last end
	Ended     time.Time     // zero = no end is known

	Done     *Done // what can be reused; nil = nothing
	session  int   // in which it started last
	Starts   int   // executions that started, over all sessions; retries do not count
	Finished int   // executions that ended ok or changed: more than 1 means that finished work ran again
}

// Done is an execution that succeeded, or a condition that said it was not wanted. It stands until the instance is
// started again: that a later session was interrupted before its turn, or that something it needs failed, takes nothing
// from it.
type Done struct {
	Status      event.Status // OK, Changed or Skipped
	When        string       // text of the condition
	Changed     bool
	Changes     int
	Fingerprint string
	Parts       map[string]string
	Outputs     json.RawMessage
	Machine     *event.Machine // behind its host at that time; nil = not known
	Duration    time.Duration
	At          time.Time
	Seq         int64 // of its event
}

// Entry is what became of the condition of a block or part on a host when its turn came. A resumed run keeps it: the
// condition may well be false by now because of what the block has done.
type Entry struct {
	Seq     int64          // of its event
	Machine *event.Machine // behind its host at that time; nil = not known
	When    string         // text of the condition
	Entered bool           // it was true
}

// GroupEntered is the event that an Entry is made of: Instance (block@host), When, Status (OK or Skipped).
const GroupEntered event.Type = "group_entered"

// Fold reads a log. A torn end is no error: State.Torn tells of it. The errors are *DamageError and those of r; the
// State then holds what the lines before say.
func Fold(r io.Reader) (*State, error) {
	s := newState()
	var failed error
	for rec, err := range Records(r) {
		if err != nil {
			failed = err
			break
		}
		s.add(rec.Event)
		s.Lines, s.Bytes = rec.Line, rec.End
	}
	var torn *TornError
	if errors.As(failed, &torn) {
		s.Torn, failed = torn.Bytes, nil
	}
	return s, failed
}

func newState() *State {
	return &State{Instances: map[string]*Instance{}, Machines: map[string]event.Machine{}, Entries: map[string]Entry{}}
}

func (s *State) add(e event.Event) {
	s.Seq, s.Last = max(s.Seq, e.Seq), e.Time
	switch e.Type {
	case event.RunStarted:
		s.runStarted(e)
	case event.RunEnded:
		s.Ended, s.Exit, s.Counts, s.Roots, s.Duration, s.Left = true, e.Exit, e.Counts, e.Roots, e.Duration, e.Left
	case event.HostUp:
		if e.Machine != nil {
			s.Machines[e.Host] = *e.Machine
		}
	case GroupEntered:
		s.Entries[e.Instance] = Entry{Seq: e.Seq, Machine: s.machine(e.Host), When: e.When, Entered: e.Status != event.Skipped}
	case event.InstanceStarted:
		s.started(e)
	case event.AttemptFailed:
		i := s.instance(e)
		i.Attempts, i.Failure = max(i.Attempts, e.Attempt), e.Failure
	case event.InstanceEnded:
		s.ended(e)
	}
}

// machine is the one behind a host, as last seen; nil = not known.
func (s *State) machine(host string) *event.Machine {
	m, known := s.Machines[host]
	if !known {
		return nil
	}
	return &m
}

func (s *State) runStarted(e event.Event) {
	if s.Sessions == 0 {
		s.Started = e.Time
	}
	s.Sessions++
	s.Ended, s.Exit, s.Counts, s.Roots, s.Duration, s.Left = false, 0, nil, nil, 0, 0
	keep(&s.Run, e.Run)
	keep(&s.Playbook, e.Playbook)
	keep(&s.Name, e.Name)
	keep(&s.Inventory, e.Inventory)
	keep(&s.Hosts, e.Hosts)
	keep(&s.Tasks, e.Tasks)
	if e.Info != nil {
		s.Info = e.Info
	}
}

func (s *State) instance(e event.Event) *Instance {
	i := s.Instances[e.Instance]
	if i == nil {
		i = &Instance{ID: e.Instance}
		s.Instances[e.Instance] = i
	}
	keep(&i.Task, e.Task)
	keep(&i.Host, e.Host)
	keep(&i.Kind, e.Kind)
	keep(&i.Pos, e.Pos)
	return i
}

// started opens an execution, or a further attempt of the one that is open. Until its end is read it is Unknown.
func (s *State) started(e event.Event) {
	i := s.instance(e)
	if e.Attempt <= 1 {
		i.Starts++
		i.Attempts, i.Started, i.StartedAt, i.Failure = 0, e.Time, e.Seq, nil
	}
	if e.Machine != nil {
		i.Boot = e.Machine.Boot
	}
	i.session, i.Attempts = s.Sessions, max(i.Attempts, e.Attempt, 1)
	i.Status, i.Ended, i.Done, i.When = event.Unknown, time.Time{}, nil, e.When
}

func (s *State) ended(e event.Event) {
	i := s.instance(e)
	if i.Status == event.Unknown && i.session < s.Sessions && !ran(e.Status) {
		return // that its turn did not come in a later session says nothing about the start before
	}
	i.Status, i.Ended, i.EndedAt = e.Status, e.Time, e.Seq
	i.When, i.BlockedBy, i.Allowed, i.Failure = e.When, e.BlockedBy, e.Allowed, e.Failure
	i.Attempts = max(i.Attempts, e.Attempt)
	i.Failed = ""
	if !e.Status.Good() {
		i.Failed = e.Fingerprint
	}
	switch e.Status {
	case event.Reused:
		i.reused(e)
		return
	case event.OK, event.Changed, event.Skipped:
		if e.Status != event.Skipped {
			i.Finished++
		}
		i.Done = &Done{Status: e.Status, Changed: e.Changed, Changes: e.Changes, Fingerprint: e.Fingerprint,
			Parts: e.Parts, Outputs: e.Outputs, When: e.When, Duration: e.Duration, At: e.Time,
			Seq: e.Seq, Machine: s.machine(i.Host)}
	}
	i.Duration = e.Duration
}

// ran tells whether a result is that of an execution, and not of one that never began.
func ran(s event.Status) bool {
	return s != event.Cancelled && s != event.Blocked && s != event.Unreachable
}

// reused keeps what the execution in the earlier session said; the event adds only what is new.
func (i *Instance) reused(e event.Event) {
	if i.Done == nil {
		i.Done = &Done{Status: event.OK, At: e.Time}
	}
	keep(&i.Done.Status, e.First)
	keep(&i.Done.When, e.When)
	keep(&i.Done.Changed, e.Changed)
	keep(&i.Done.Fingerprint, e.Fingerprint)
	if e.Parts != nil {
		i.Done.Parts = e.Parts
	}
	if e.Outputs != nil {
		i.Done.Outputs = e.Outputs
	}
}

// keep sets *at to v unless v is zero.
func keep[T comparable](at *T, v T) {
	var zero T
	if v != zero {
		*at = v
	}
}
