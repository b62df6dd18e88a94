package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// Config is what a session needs.
type Config struct {
	Plan     *plan.Plan
	Dialer   transport.Dialer
	Targets  []transport.Target // by index of Plan.Hosts
	Files    Files              // content that requests refer to
	Log      Journal
	Prior    *checkpoint.State // of a run that is resumed; nil = a new one
	LeftOut  int               // instances of a run that is resumed that are not done, and are left out
	Mask     *mask.Masker
	Sink     event.Sink
	Limits   sched.Limits
	Clock    sched.Clock        // nil = the machine's
	Info     map[string]any     // what a resume needs to know; no secrets
	Signals  <-chan os.Signal   // the first stops softly, the second at once
	Quiet    time.Duration      // silence after which the run says what it waits for; 0 = 10 s, < 0 = it never does
	Agreed   map[string]Planned // a saved plan that is carried out, by instance; nil = there is none
	Playbook string             // paths, for the log
	Source   string             // of the inventory
}

// Files announces content to whoever opens it for the hosts.
type Files interface {
	// Announce makes a file of the controller available under its hash.
	Announce(sha256, path string) error
	// AddText does the same for a text; name is for people.
	AddText(name, text string) task.Content
}

// Result is what became of a session.
type Result struct {
	Summary     sched.Summary
	Interrupted bool
	Unreachable int // hosts that could not be reached or were lost
	Exit        int
}

// Exit codes of a session that carried tasks out.
const (
	exitOK          = 0
	exitFailed      = 3
	exitUnreachable = 4
	exitLocked      = 5
	exitInterrupted = 130
)

// Session is one go at a run.
type Session struct {
	Config
	plan       *plan.Plan
	dialer     transport.Dialer
	bus        *bus
	hosts      []*host
	controller *host
	noFacts    map[string]any
	known      plan.Known // what expressions see: the session itself, or a planner around it
	memo       *plan.Memo
	leaves     []*leaf
	sched      *sched.Scheduler
	start      time.Time
	connected  atomic.Bool // all hosts were dialled; before that nothing is touched

	mu      sync.Mutex
	results *outcomes
	running map[sched.Instance]time.Time
	lost    map[int]bool

	changing map[sched.Instance]*host // where there is a plan: instances that have begun to change a host
	already  map[sched.Instance]*host // the same: instances of which somebody had made planned changes before
	skips    int                      // instances that an earlier session had skipped already

	// Of a resumed run.
	anew    []hostSet                // by leaf: hosts on which it was decided anew in this session
	taken   map[sched.Instance]bool  // what Prior says of them was asked for
	entered map[string]bool          // the same for groups on hosts
	undone  map[sched.Instance]bool  // by the finally of their block
	starts  map[sched.Instance]int64 // see lastStartOf
}

// Run carries the plan out. The error says why the session could not be made or kept; what tasks did is in the Result.
func Run(ctx context.Context, c Config) (Result, error) {
	s := newSession(c)
	if err := s.schedule(); err != nil {
		return Result{}, err
	}
	s.announce()
	if err := s.bus.commit(); err != nil { // from here on the run can be resumed
		return Result{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer s.hangUp()
	unwatch := s.watch(ctx, cancel)
	if err := s.connect(ctx); err != nil {
		unwatch()
		return s.notConnected(ctx, err)
	}
	if err := s.lookBack(); err != nil {
		unwatch()
		return s.notConnected(ctx, err)
	}
	summary, err := s.sched.Run(ctx, s, s)
	unwatch()                                                                                                  // the end is the last word
	interrupted := errors.Is(context.Cause(ctx), sched.ErrInterrupted) || errors.Is(err, sched.ErrInterrupted) // else it came too late
	return s.end(summary, interrupted, err)
}

// schedule makes the scheduler.
func (s *Session) schedule() error {
	var err error
	if s.sched, err = sched.New(s.spec()); err != nil {
		return fmt.Errorf("the plan can't be carried out: %w", err)
	}
	return nil
}

func (s *Session) spec() sched.Spec {
	spec := *s.plan.Spec
	spec.Limits, spec.Clock = s.Limits, s.Clock
	spec.Tasks = s.withReuse(spec.Tasks)
	return spec
}

// lookBack finds, before anything is started, what of earlier sessions does not count any more, and what they left open.
func (s *Session) lookBack() error {
	if err := errors.Join(s.findUndone(), s.stopHosts()); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// notConnected ends a session that has touched nothing.
func (s *Session) notConnected(ctx context.Context, err error) (Result, error) {
	r := Result{Exit: exitUnreachable}
	var h *hostError
	switch told := errors.As(err, &h); {
	case lockedOnly(err):
		r.Exit = exitLocked
	case !told:
		r.Exit = exitFailed
	}
	if errors.Is(context.Cause(ctx), sched.ErrInterrupted) {
		r.Exit, r.Interrupted, err = exitInterrupted, true, nil
	}
	s.bus.emit(event.Event{Type: event.RunEnded, Run: s.Log.ID(), Exit: r.Exit, Duration: s.Clock.Now().Sub(s.start), Roots: rootsOf(err)})
	if h != nil {
		err = nil // the events have told it
	}
	return r, errors.Join(err, s.bus.commit())
}

// lockedOnly tells whether nothing but other runs is in the way: to wait for them is all there is to do.
func lockedOnly(err error) bool {
	var h *hostError
	if !errors.As(err, &h) {
		return false
	}
	for _, e := range h.errs {
		if u, ok := transport.AsUnreachable(e); !ok || u.Stage != transport.Locked {
			return false
		}
	}
	return true
}

func newSession(c Config) *Session {
	zero, err := plainFacts(&task.Facts{Addresses: []string{}, MACs: []string{}})
	if err != nil {
		panic(err) // the struct of facts is no JSON: a mistake of the programmer
	}
	if c.Clock == nil {
		c.Clock = sched.SystemClock()
	}
	s := &Session{
		Config: c, plan: c.Plan, dialer: c.Dialer, bus: newBus(c.Log, c.Mask, c.Sink, c.Clock), noFacts: zero, start: c.Clock.Now(),
		memo: plan.NewMemo(), results: newOutcomes(len(c.Plan.Leaves), len(c.Plan.Hosts)), running: map[sched.Instance]time.Time{}, lost: map[int]bool{},
		changing: map[sched.Instance]*host{}, already: map[sched.Instance]*host{},
		anew: make([]hostSet, len(c.Plan.Leaves)), taken: map[sched.Instance]bool{}, entered: map[string]bool{},
		undone: map[sched.Instance]bool{}, starts: map[sched.Instance]int64{},
	}
	for i, t := range c.Targets {
		s.hosts = append(s.hosts, newHost(c.Plan.Hosts[i].Name, t))
	}
	s.controller = newHost("controller", transport.Target{Name: "controller", Connection: transport.Local, Shared: true})
	s.leaves, s.known = makeLeaves(c.Plan), s
	return s
}

func (s *Session) announce() {
	s.bus.emit(event.Event{
		Type: event.RunStarted, Run: s.Log.ID(), Playbook: s.Playbook, Name: s.plan.Playbook.Name, Inventory: s.Source,
		Hosts: len(s.plan.UsedHosts()), Tasks: len(s.plan.Leaves), Instances: s.plan.Instances(), Info: s.Info, Resumed: s.Prior != nil,
	})
}

func rootsOf(err error) []event.Root {
	var h *hostError
	if !errors.As(err, &h) {
		return nil
	}
	var out []event.Root
	for _, e := range h.errs {
		r := event.Root{Status: event.Unreachable, Failure: failureOf(e)}
		if u, ok := transport.AsUnreachable(e); ok {
			r.Instance = u.Host
		}
		out = append(out, r)
	}
	return out
}

// withReuse asks for every task's condition when a run is resumed: there it is decided whether it need run at all.
func (s *Session) withReuse(tasks []sched.Task) []sched.Task {
	if s.Prior == nil {
		return tasks
	}
	tasks = slices.Clone(tasks)
	for i := range tasks {
		if tasks[i].Run != sched.OnDemand {
			tasks[i].When = true
		}
	}
	return tasks
}

func (s *Session) end(sum sched.Summary, interrupted bool, err error) (Result, error) {
	sum.Counts = s.foldSkips(sum.Counts)
	r := Result{Summary: sum, Interrupted: interrupted, Unreachable: len(s.lost)}
	r.Exit = exitCode(sum, interrupted)
	if err != nil && r.Exit == exitOK {
		r.Exit = exitFailed // stopped before its end, whatever is well so far
	}
	e := event.Event{Type: event.RunEnded, Run: s.Log.ID(), Counts: sum.Counts, Exit: r.Exit, Duration: s.Clock.Now().Sub(s.start), Left: s.LeftOut}
	for _, root := range sum.Roots {
		if !counts(root) {
			continue
		}
		e.Roots = append(e.Roots, event.Root{
			Instance: s.plan.Name(root.Instance), Status: root.Status, Pos: s.plan.Leaves[root.Task].Task.Pos.String(),
			Failure: failureOf(root.Err), Blocked: root.Blocked,
		})
	}
	s.bus.emit(e)
	if interrupted && errors.Is(err, sched.ErrInterrupted) {
		err = nil
	}
	last := s.bus.commit()
	if stored := (*sched.CommitError)(nil); errors.As(err, &stored) {
		return r, err // it says the same
	}
	return r, errors.Join(err, last)
}

// foldSkips counts what was skipped by an earlier session as reused.
func (s *Session) foldSkips(counts map[event.Status]int) map[event.Status]int {
	if s.skips == 0 {
		return counts
	}
	counts = maps.Clone(counts)
	counts[event.Reused] += s.skips
	if counts[event.Skipped] -= s.skips; counts[event.Skipped] == 0 {
		delete(counts, event.Skipped)
	}
	return counts
}

func exitCode(sum sched.Summary, interrupted bool) int {
	if interrupted {
		return exitInterrupted
	}
	code := exitOK
	for _, r := range sum.Roots {
		switch {
		case !counts(r):
		case r.Status == event.Unreachable:
			return exitUnreachable
		default:
			code = exitFailed
		}
	}
	return code
}

// counts tells whether a root makes a run one that did not end well. A failure that is tolerated does not, also where it
// kept the rest of its own block from running; the loss of a host does, where it kept other tasks from running.
func counts(r sched.Root) bool {
	return !r.Allowed || r.Status == event.Unreachable && r.Blocked > 0
}
