package sched

import "time"

// None stands for "no group" where the index of a group is asked for.
const None = -1

// Spec is what to run. A Scheduler keeps it: it must not be changed after New.
type Spec struct {
	Hosts  int     // hosts of the run; tasks name them by index, 0 to Hosts-1
	Tasks  []Task  //
	Groups []Group // blocks and parts
	Limits Limits  //
	Retry  Retry   // for tasks without a policy of their own: applies to failures marked Retryable
	Clock  Clock   // nil = SystemClock
}

// Task is one task. Its instances are itself on each of its hosts.
type Task struct {
	ID    string // for messages: runtime/unit
	Hosts []int  // in the order in which MaxParallel takes them; tasks may share the slice
	Needs []Need //
	Run   Run    //
	When  bool   // has a condition: Executor.When is asked once its needs are met
	Group int    // index in Spec.Groups of the group right around it, or None

	Lock         string        // a mutex of the whole run, held from before the first attempt until the result is durable
	MaxParallel  int           // hosts at once; 0 = no limit
	MaxFailures  int           // failures that are tolerated: needs on these instances are met
	FailFast     bool          // more than MaxFailures block what has not started; implied by MaxParallel, MaxFailures > 0
	AllowFailure bool          // any failure is tolerated
	Timeout      time.Duration // of one attempt; 0 = none
	Retry        *Retry        // asked for: applies to every failure. nil: Spec.Retry, for Retryable failures alone

	Class        string        // one of a class at a time on a host ("package"); "" = none
	Weight       time.Duration // estimated duration; 0 counts as a second
	Remote       bool          // carried out elsewhere: goes on when its host is lost
	DurableStart bool          // an action: Started is made durable before Do is called
}

// Group is a block or a part: tasks and groups that are entered, and left, together on each host.
//
// A group that holds something (Lock, MaxParallel, Retry) is entered when everything its tasks need outside it is done:
// while it holds, it waits for nothing but itself.
type Group struct {
	ID    string
	Hosts []int  // hosts of the tasks inside that are missing here are added at the end
	Needs []Need // met before it is entered; they need not be repeated at the tasks inside
	Run   Run    // not OnDemand
	When  bool   // Executor.Enter is asked, once per host, and the answer holds for all inside
	Group int    // the group around it, or None

	Lock         string // held from the first to the last step, as is the MaxParallel slot
	MaxParallel  int
	MaxFailures  int    // hosts on which it may fail; counts for needs from outside
	FailFast     bool   // as in Task
	AllowFailure bool   //
	Retry        *Retry // starts again at the first step; nil = never
}

// Run says when an instance runs, by the results of its own needs.
type Run uint8

// The values of Run.
const (
	OnSuccess Run = iota // all are met; otherwise it is blocked
	OnFailure            // any failed (tolerated or not) or was blocked; otherwise it is skipped
	Always               // all are final. Inside a group: a "finally", see the package comment
	OnDemand             // a running instance demands it
)

// Need is one need of a task. A need on an OnDemand task counts as met.
type Need struct {
	Task int
	Form Form
}

// Form says which instances of the needed task are waited for.
type Form uint8

// The forms of a need.
const (
	SameHost Form = iota // the one on the same host; met where the task does not run
	AllHosts             // all of them; met if there are none
)

// Limits bound what runs at the same time. Zero values stand for the defaults.
type Limits struct {
	Total   int // instances: 128
	PerHost int // instances on one host: 4
}

// Retry is a policy for attempts.
type Retry struct {
	Attempts int           // in all; 0 and 1 mean no second one
	Delay    time.Duration // before the second attempt
	Backoff  float64       // factor from delay to delay; below 1 counts as 1
	MaxDelay time.Duration // 0 = no bound
}

// after returns the delay that follows failed attempt n, counted from 1.
func (p Retry) after(n int) time.Duration {
	d := float64(p.Delay)
	for k := 1; k < n && p.Backoff > 1; k++ {
		d *= p.Backoff
		if p.MaxDelay > 0 && d >= float64(p.MaxDelay) {
			break
		}
	}
	if p.MaxDelay > 0 && d > float64(p.MaxDelay) {
		return p.MaxDelay
	}
	return time.Duration(min(d, float64(1<<62)))
}

func (l Limits) orDefault() Limits {
	if l.Total <= 0 {
		l.Total = 128
	}
	if l.PerHost <= 0 {
		l.PerHost = 4
	}
	return l
}
