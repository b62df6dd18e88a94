package sched

import "github.com/kflow/kflow/engine/event"

// state says where an instance is on its way.
type state uint8

const (
	sWaiting state = iota // for its needs
	sIdle                 // on demand, and not demanded yet
	sCondQ                // in the ready set, to have its condition evaluated
	sCondRun              // its condition is being evaluated
	sSlot                 // for a MaxParallel slot
	sLock                 // for a lock
	sReady                // in the ready set, for an attempt
	sStart                // its start is being made durable
	sRunning              // in Do
	sDemand               // in Do, waits for what it demanded
	sResume               // in Do, has what it demanded, in the ready set to go on
	sRetry                // for the time of its next attempt
	sOpen                 // a group that is entered
	sRefused              // a group that is not entered; what is inside is being ended
	sEnding               // its result is being made durable
	sFinal                // the end
)

func (s state) String() string {
	return [...]string{"its needs", "a demand", "a free host", "its condition", "a max_parallel slot", "a lock",
		"a free host", "its start to be stored", "its end", "what it demands", "a free host", "its retry",
		"what is inside", "what is inside", "its result to be stored", "nothing"}[s]
}

// notStarted tells whether an instance, or a group, can be kept from starting. While its condition is being evaluated
// nothing is done to it: the answer comes to the same.
func (s state) notStarted() bool { return s == sWaiting || s == sCondQ || s >= sSlot && s <= sReady }

// code is a result in one byte.
type code uint8

const (
	cPending code = iota
	cOK
	cChanged
	cSkipped
	cReused
	cCancelled // from here on: a need is not met
	cBlocked
	cFailed // from here on: failures
	cUnreachable
	cTimedOut
	cUnknown
)

func (c code) bad() bool     { return c >= cCancelled }
func (c code) failure() bool { return c >= cFailed }

func (c code) status() event.Status {
	return [...]event.Status{event.Pending, event.OK, event.Changed, event.Skipped, event.Reused, event.Cancelled,
		event.Blocked, event.Failed, event.Unreachable, event.TimedOut, event.Unknown}[c]
}

func codeOf(s event.Status) code {
	for c := cPending; c <= cUnknown; c++ {
		if c.status() == s {
			return c
		}
	}
	return cFailed
}

// flags of an instance.
type flags uint8

const (
	fStarted flags = 1 << iota // an attempt was made, now or in an earlier session; a group was entered
	fAllowed                   // its failure is tolerated
	fCounted                   // its failure counts in its node
	fSlot                      // holds a slot
	fLock                      // holds a lock
	fShort                     // counts against total, host and class
	fClass                     // counts in its class
)

// nodeState is what changes in a node during a run.
type nodeState struct {
	used     int32 // slots
	failures int32
	closed   int32 // root set that keeps its instances from starting, or None
	shut     bool  // they have been told
	waiting  queue // for a slot
}

// edgeState is what changes in an edge to all hosts.
type edgeState struct {
	left   int32 // instances to wait for
	toll   toll
	judged bool
}

// toll is what one or more needs mean for an instance.
type toll struct {
	needs   bool  // there are any
	bad     bool  // not met
	failed  bool  // something failed or is blocked, tolerated or not
	blocked bool  // something is blocked or failed: a finally that has nothing to do is blocked, too
	started bool  // something was started
	roots   int32 // root set of what is bad
}

// lockState is a lock.
type lockState struct {
	held    bool
	holder  inst
	waiting queue
}

// trail is what is kept of an instance, or a group on a host, that has been tried more than once, or that has failed.
type trail struct {
	attempt  int // begun so far
	failures []Result
}
