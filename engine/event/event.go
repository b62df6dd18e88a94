// Package event is the one stream of a run: everything that shows or stores a run (plain lines, JSON lines, checkpoint,
// later the live display and the report) reads these events and nothing else. The package imports nothing of kflow.
//
// An Event is one flat JSON object; Type says which fields are set. Text in events is masked before it gets here.
package event

import (
	"encoding/json"
	"time"
)

// Type of an event.
type Type string

// The events, in the order in which a run meets them.
const (
	RunStarted      Type = "run_started"      // Run, Playbook, Inventory, Hosts, Tasks, Info
	HostUp          Type = "host_up"          // Host, Machine, Duration
	HostLost        Type = "host_lost"        // Host, Failure
	InstanceStarted Type = "instance_started" // Instance, Task, Host, Attempt, Pos
	Log             Type = "log"              // Instance, Line
	Output          Type = "output"           // Instance, Line
	Progress        Type = "progress"         // Instance, What, Done, Total
	Change          Type = "change"           // Instance, Summary, Diff
	AttemptFailed   Type = "attempt_failed"   // Instance, Attempt, Failure, Retry
	InstanceEnded   Type = "instance_ended"   // Instance, Task, Host, Status, Changed, ...
	Waiting         Type = "waiting"          // Instance, Line: what a long silence is waiting for
	Note            Type = "note"             // Line: something about the run as a whole
	RunEnded        Type = "run_ended"        // Run, Counts, Exit, Duration, Roots, Left
)

// Status is the result of an instance.
type Status string

// The results. See DESIGN section 1; Pending is the state before any.
const (
	Pending     Status = ""
	OK          Status = "ok"
	Changed     Status = "changed"
	Skipped     Status = "skipped"     // its `when` is false
	Blocked     Status = "blocked"     // something it needs failed
	Failed      Status = "failed"      //
	Unreachable Status = "unreachable" // the host could not be reached, or was lost
	TimedOut    Status = "timed-out"   //
	Cancelled   Status = "cancelled"   // the run was interrupted
	Unknown     Status = "unknown"     // started, and the end is not known
	Reused      Status = "reused"      // it succeeded in an earlier session of this run
)

// Good tells whether a need on an instance with this result is met.
func (s Status) Good() bool { return s == OK || s == Changed || s == Skipped || s == Reused }

// Event is one record of the stream.
type Event struct {
	Seq      int64     `json:"seq"` // counts from 1 in each run, over all its sessions
	Time     time.Time `json:"time"`
	Type     Type      `json:"type"`
	Run      string    `json:"run,omitempty"`
	Instance string    `json:"instance,omitempty"` // runtime/unit@k8s-mn02
	Task     string    `json:"task,omitempty"`     // runtime/unit
	Title    string    `json:"title,omitempty"`    // name of the task for people, where it has one
	Kind     string    `json:"kind,omitempty"`
	Host     string    `json:"host,omitempty"`
	At       string    `json:"at,omitempty"`  // host that carries it out, where that is another
	Pos      string    `json:"pos,omitempty"` // file:line of the task
	Attempt  int       `json:"attempt,omitempty"`

	Line    string `json:"line,omitempty"`
	What    string `json:"what,omitempty"`
	Done    int64  `json:"done,omitempty"`
	Total   int64  `json:"total,omitempty"`
	Summary string `json:"summary,omitempty"`
	Diff    string `json:"diff,omitempty"`

	Status      Status            `json:"status,omitempty"`
	First       Status            `json:"first,omitempty"` // of a reused instance: what it was when it ran
	Changed     bool              `json:"changed,omitempty"`
	Changes     int               `json:"changes,omitempty"`
	Duration    time.Duration     `json:"duration,omitempty"` // nanoseconds
	Failure     *Failure          `json:"failure,omitempty"`
	BlockedBy   []string          `json:"blocked_by,omitempty"` // instances that failed, the roots
	When        string            `json:"when,omitempty"`       // text of the condition that decided
	Allowed     bool              `json:"allowed,omitempty"`    // the failure is within allow_failure or max_failures
	Fingerprint string            `json:"fingerprint,omitempty"`
	Parts       map[string]string `json:"parts,omitempty"` // of the fingerprint, each a hash: for `explain`
	Outputs     json.RawMessage   `json:"outputs,omitempty"`
	Retry       time.Duration     `json:"retry,omitempty"` // until the next attempt

	Machine   *Machine       `json:"machine,omitempty"`
	Playbook  string         `json:"playbook,omitempty"`
	Name      string         `json:"name,omitempty"` // of the playbook
	Inventory string         `json:"inventory,omitempty"`
	Hosts     int            `json:"hosts,omitempty"`
	Tasks     int            `json:"tasks,omitempty"`
	Instances int            `json:"instances,omitempty"`
	Info      map[string]any `json:"info,omitempty"` // options of the run, needed to resume it; no secrets
	Counts    map[Status]int `json:"counts,omitempty"`
	Exit      int            `json:"exit,omitempty"`
	Roots     []Root         `json:"roots,omitempty"`
	Resumed   bool           `json:"resumed,omitempty"`
	Left      int            `json:"left,omitempty"` // instances of the run that are not done, and that this session has left out
}

// Failure is what a person needs to know: what happened, where, why, and what to do now.
type Failure struct {
	Summary string `json:"summary"`
	Step    string `json:"step,omitempty"`
	Output  string `json:"output,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Class   string `json:"class,omitempty"` // transient, unreachable, timed-out, ..
}

// Machine identifies the machine behind a host name, so that a replaced one starts afresh.
type Machine struct {
	ID          string `json:"id,omitempty"`
	ProductUUID string `json:"product_uuid,omitempty"`
	Address     string `json:"address,omitempty"`
	OS          string `json:"os,omitempty"`
	Boot        string `json:"boot,omitempty"` // before it is started anew
}

// Root is an instance whose failure ended a run or blocked others.
type Root struct {
	Instance string   `json:"instance"`
	Status   Status   `json:"status"`
	Pos      string   `json:"pos,omitempty"`
	Failure  *Failure `json:"failure,omitempty"`
	Blocked  int      `json:"blocked"` // instances that could not run because of it
}

// Sink takes events. It must not block for long and is called from one goroutine at a time.
type Sink interface{ Emit(Event) }

// SinkFunc is a function as a Sink.
type SinkFunc func(Event)

// Emit calls f.
func (f SinkFunc) Emit(e Event) { f(e) }
