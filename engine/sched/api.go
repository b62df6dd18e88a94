package sched

import (
	"context"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// Instance is one task on one host, both by their index in the Spec.
type Instance struct{ Task, Host int }

// Executor carries instances out. Its methods are called from many goroutines at once; a panic in one of them is the
// failure of its instance.
type Executor interface {
	// When evaluates the condition of an instance whose needs are met, once, before anything is acquired or started.
	When(ctx context.Context, in Instance) Condition

	// Enter evaluates the condition of a group on a host, once, when the needs of the group are met.
	Enter(ctx context.Context, group, host int) Condition

	// Do makes one attempt, counted from 1. It must return soon after ctx has ended; context.Cause tells why it ended
	// (a *TimeoutError, or the cause with which the run was cancelled).
	Do(ctx context.Context, in Instance, attempt int, ctl Control) Result
}

// Condition is the answer to When and Enter.
type Condition struct {
	Run    bool    // go on
	Text   string  // the condition, for people; kept where it decided against
	Result *Result // if not nil, ends the instance as it is: reused after all, or the condition could not be evaluated
}

// Result is the end of an attempt.
type Result struct {
	Status    event.Status // OK, Changed, Skipped, Reused, Failed, Unreachable, TimedOut, Cancelled or Unknown; "" = by Err
	Err       error        //
	Retryable bool         // trying again may heal it
	HostLost  bool         // nothing more can be done on this host: what has not started there is blocked
	Data      any          // handed through to the Observer
}

// Control is what an attempt can ask of the scheduler.
type Control interface {
	// Demand makes an OnDemand instance run, unless it has run or is running already, and waits for it. While it waits the
	// instance that asks does not count against the limits, but keeps its lock and its MaxParallel slot. fresh asks for a
	// new execution if the last one has ended. The error is a *DemandError unless ctx ended.
	// An attempt can wait for one demand at a time.
	Demand(ctx context.Context, in Instance, fresh bool) (event.Status, error)
}

// Observer hears what happens, in order, from one goroutine. It must not block.
// Optional abilities: Committer, GroupObserver.
type Observer interface {
	Started(in Instance, attempt int)
	AttemptFailed(in Instance, attempt int, r Result, retryIn time.Duration)
	Ended(in Instance, e Ending)
}

// Committer is an Observer that makes durable what it was told.
type Committer interface {
	// Commit returns when everything the observer was told before the call is durable. It is called from a goroutine of
	// its own, once for many results, while the other methods go on being called. Nothing that depends on a result
	// starts before the Commit after it has returned. After an error nothing new starts, and Run returns it.
	Commit() error
}

// GroupObserver is an Observer that wants to hear of groups, too.
type GroupObserver interface {
	Entered(group, host, attempt int)
	Restarting(group, host, attempt int, in time.Duration) // attempt failed; the next begins after the delay
	Left(group, host int, s event.Status)
}

// Ending is the end of an instance.
type Ending struct {
	Result              // of the last attempt, or what ended it without one
	Started  bool       // at least one attempt was made
	Attempts []Result   // the failed attempts before the last
	Allowed  bool       // the failure is within AllowFailure or MaxFailures of the task
	Roots    []Instance // if it is blocked: the instances whose failure is the cause, at most MaxRoots
	When     string     // if it is skipped by a condition, its own or that of a group: the text
}

// MaxRoots bounds the list of causes of one blocked instance.
const MaxRoots = 16

// Preset is the result of an instance from an earlier session. It does not run.
type Preset struct {
	Instance
	Status  event.Status // OK, Changed and Reused become Reused; Skipped stays; failures only if Allowed
	Allowed bool
}

// Summary is what has become of a run.
type Summary struct {
	Counts    map[event.Status]int // instances by result
	NotNeeded int                  // OnDemand instances that nobody demanded
	Roots     []Root               // failures that are not tolerated or have blocked something, by task and host

	graph  *graph
	status []code
}

// Root is a failed instance.
type Root struct {
	Instance
	Status  event.Status
	Err     error
	Allowed bool // tolerated
	Blocked int  // instances that could not run because of it
}

// Status tells how an instance ended: event.Pending if it was not demanded, or is not part of the run.
func (s Summary) Status(in Instance) event.Status {
	if s.graph == nil {
		return event.Pending
	}
	if i := s.graph.find(in); i >= 0 {
		return s.status[i].status()
	}
	return event.Pending
}

type nobody struct{}

func (nobody) Started(Instance, int)                              {}
func (nobody) AttemptFailed(Instance, int, Result, time.Duration) {}
func (nobody) Ended(Instance, Ending)                             {}
