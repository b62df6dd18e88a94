// Package job is what travels between the engine and the place a task is carried out (agent on a host, this process, a
// simulated host): a Request in, Progress while it runs, an Outcome back. All of it is plain JSON.
package job

import (
	"encoding/json"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Mode says how far a request may go.
type Mode string

// The modes. There is one code path for all: Plan stops after Changes.
const (
	Plan  Mode = "plan"
	Apply Mode = "apply"
)

// Request asks for one instance to be carried out.
type Request struct {
	Instance  string            `json:"instance"` // for logs on the host: runtime/unit@k8s-mn02
	Kind      string            `json:"kind"`
	Items     []json.RawMessage `json:"items"` // resolved parameters, one per turn of for_each; without for_each exactly one
	Mode      Mode              `json:"mode"`
	LazyGiven bool              `json:"lazy_given,omitempty"` // Items hold the lazy parameters too
	HasLazy   bool              `json:"has_lazy,omitempty"`   // the task has lazy parameters
	Secrets   []string          `json:"secrets,omitempty"`    // texts to mask in everything that comes back
	Timeout   time.Duration     `json:"timeout,omitempty"`    // 0 = none

	// Uses is what the host may ask of the controller for this request; it does not travel.
	Uses task.ControllerUse `json:"-"`

	// Bound says that nothing but Agreed may be applied, which is what the same request in a plan has found just now.
	Bound  bool     `json:"bound,omitempty"`
	Agreed []Change `json:"agreed,omitempty"`
}

// Outcome is the answer to a Request.
type Outcome struct {
	Changes   []Change          `json:"changes,omitempty"`    // found (plan) or applied (apply), in order
	Applied   bool              `json:"applied,omitempty"`    // changes were applied
	NeedsLazy bool              `json:"needs_lazy,omitempty"` // there are changes, and lazy parameters are needed to apply them
	NotYet    string            `json:"not_yet,omitempty"`    // plan: the resource that is not there yet
	Outputs   []json.RawMessage `json:"outputs,omitempty"`    // one per item; null where there are none
	Failure   *Failure          `json:"failure,omitempty"`    // nil: it succeeded
	Reconnect *Reconnect        `json:"reconnect,omitempty"`  // the host is going down and must be dialled again
}

// Change is a task.Change without its function, masked.
type Change struct {
	Summary string `json:"summary"`
	Diff    string `json:"diff,omitempty"`
	Item    int    `json:"item,omitempty"`
	Action  bool   `json:"action,omitempty"`
}

// Failure is what a person needs to know of a failed request. It is an error.
type Failure struct {
	Summary   string `json:"summary"`
	Output    string `json:"output,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Step      string `json:"step,omitempty"` // summary of the change that failed; "" = while comparing
	Transient bool   `json:"transient,omitempty"`
	TimedOut  bool   `json:"timed_out,omitempty"`
	Cancelled bool   `json:"cancelled,omitempty"`
	NotYet    string `json:"not_yet,omitempty"`
}

func (f *Failure) Error() string {
	if f.Step != "" {
		return f.Step + ": " + f.Summary
	}
	return f.Summary
}

// Reconnect tells the transport to expect the end of the connection and to dial until the boot id differs.
type Reconnect struct {
	BootID  string        `json:"boot_id"`
	Timeout time.Duration `json:"timeout"`
}

// Progress is sent while a request runs.
type Progress struct {
	Log    string  `json:"log,omitempty"`    // a line for people
	Output string  `json:"output,omitempty"` // an output line of a program
	What   string  `json:"what,omitempty"`   // of something long
	Done   int64   `json:"done,omitempty"`
	Total  int64   `json:"total,omitempty"`
	Change *Change `json:"change,omitempty"` // found; sent before it is applied
	// Reconnect is sent before a change is applied that takes the host down: the end of the connection after it is no
	// failure. The transport uses it up.
	Reconnect *Reconnect `json:"reconnect,omitempty"`
}

// Facts is the answer of an agent to "who are you".
type Facts = task.Facts
