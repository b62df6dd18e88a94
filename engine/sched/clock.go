package sched

import (
	"context"
	"time"
)

// Clock is the time of a run. The one of the system just goes on. A simulated one (engine/sim/clock) moves on when
// nothing is under way that could still do something at this instant; so it is told what is: every Hold says that
// something is under way, its Release that it has ended or waits for the clock itself.
//
// The scheduler holds for itself while it turns, for every job from the moment it is sent until its answer has been
// taken, not while the job waits for a demand, and for every commit.
type Clock interface {
	Now() time.Time
	// Timer returns a timer that is not set.
	Timer() Timer
	// Within is context.WithTimeoutCause.
	Within(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc)
	Hold()
	Release()
	// Turn is called by a worker before it carries out a job; order is lower for what the scheduler would rather have
	// first. A clock that makes runs repeatable lets one worker go at a time.
	Turn(order int)
}

// Timer is a timer of a Clock. It belongs to one goroutine. A simulated clock holds for a time that was sent until Taken.
type Timer interface {
	C() <-chan time.Time
	Reset(d time.Duration)
	Stop()
	// Taken says that what came from C has been dealt with.
	Taken()
}

// SystemClock is the clock of the machine.
func SystemClock() Clock { return system{} }

type system struct{}

func (system) Now() time.Time { return time.Now() }
func (system) Hold()          {}
func (system) Release()       {}
func (system) Turn(int)       {}

func (system) Timer() Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return systemTimer{t}
}

func (system) Within(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, cause)
}

type systemTimer struct{ t *time.Timer }

func (s systemTimer) C() <-chan time.Time   { return s.t.C }
func (s systemTimer) Reset(d time.Duration) { s.t.Reset(d) }
func (s systemTimer) Stop()                 { s.t.Stop() }
func (systemTimer) Taken()                  {}
