// Package task is the contract between the engine and the kinds.
//
// # A task is a comparison
//
// A kind is a Go struct: its fields are the parameters, its one method, Changes, compares the host with what the fields
// declare and returns the differences. It never writes. Each difference carries its own Apply. From this one method the
// engine makes everything: a plan shows the changes, a run applies them in order and asks again, and the second answer
// must be empty: a task that does not converge has failed. There is no check mode, and so no second implementation.
//
// # What a kind may touch
//
// A kind reaches the world through its Host alone: no os, no net, no clock of its own. During Changes the Host refuses
// writes, and commands that are not marked ReadOnly. The Host is the machine itself (the agent runs there), the
// controller, or a simulated machine; a kind cannot tell.
//
// # Lifecycle of one instance
//
//  1. The engine resolves the parameters for the host and decodes them strictly into a fresh struct (Kind.New).
//  2. Check (Checker), if there is one, looks at the parameters alone.
//  3. Changes finds the differences. No difference: the instance is ok.
//  4. If there are differences and the task has lazy parameters, the engine obtains these now (an on-demand producer
//     runs) and starts again at 1 with all parameters. Changes therefore must not look at lazy parameters.
//  5. Apply of each change, in order.
//  6. Changes again: must be empty, unless the task is an action (Actor).
//  7. Outputs (Outputter), if there are any.
//
// Optional abilities are one-method interfaces, found by type assertion: Checker, Outputter, Actor, Repeater,
// Toucher, Waiter, Looker, Coupler, Rebooter.
package task

import (
	"context"
	"fmt"
	"time"
)

// Task is one declared state of one host. Implementations are pointers to parameter structs. What their lists, maps and
// pointers lead to is only read: others may share it.
type Task interface {
	// Changes compares the host with the declaration, without writing. It is called at least twice per run of a task that
	// changes something. Errors: NotYet where what it looks at is not there before an earlier task has run; Fail for
	// anything a person should act on; other errors are shown as they are.
	Changes(ctx context.Context, h Host) ([]Change, error)
}

// Change is one difference between a host and its declaration.
type Change struct {
	Summary string // what applying does, imperative and short: "write /etc/hosts", "start containerd"
	Diff    string // unified diff or a "key: old -> new" list; empty when there is none to show
	Secret  bool   // Diff holds secret data: only its size is shown
	Apply   func(ctx context.Context, h Host) error
}

// Checker looks at parameters alone, before any host is touched: combinations the struct tags cannot express.
type Checker interface {
	// Check returns what is wrong, or nil. Join several findings with errors.Join.
	Check() error
}

// Outputter has outputs, read after the task has converged (and, in a plan, when it found no changes).
// The type of the value must be the type of Kind.Outputs.
type Outputter interface {
	Outputs(ctx context.Context, h Host) (any, error)
}

// Actor tells whether this task, with these parameters, is an action (a reboot, a drain, an unguarded command): it runs
// once per run, and Changes is not asked again after it. A task without this method is a state.
type Actor interface {
	Action() bool
}

// Repeater tells whether an action may be carried out again when nobody knows whether it ended (the connection was lost, or
// kflow was killed). An action without this method may not.
type Repeater interface {
	Repeatable() bool
}

// Waiter tells that a task changes nothing: applying its changes is waiting until something else has made them. A plan
// does not count on them, because what it waits for is made by the tasks before it.
type Waiter interface {
	Waits() bool
}

// Looker tells that a task, with these parameters, only looks at its host. In a plan it may look too early: what it looks for is
// perhaps made by a task before it.
type Looker interface {
	Looks() bool
}

// Toucher says what a task reads and writes on its host, for the race check: "path:/etc/hosts", "unit:containerd",
// "sysctl:net.ipv4.ip_forward", "package:socat", "module:overlay", "repository:kubernetes", "cluster".
// It looks at parameters alone, which may be partly unknown (zero) at that time.
type Toucher interface {
	Touches() Touches
}

// Touches are the resources of a host a task reads and writes. A path ending in "/" stands for all below it.
type Touches struct {
	Reads  []string `json:"reads,omitempty"`
	Writes []string `json:"writes,omitempty"`
}

// ControllerUser asks something of the controller (Host.Controller). A host may be in other hands than its owner's, so that
// its agent gets what the parameters of the request under way say here, and nothing else of the controller.
type ControllerUser interface {
	Uses() ControllerUse
}

// ControllerUse is what a task asks of the controller, as it names it there.
type ControllerUse struct {
	Files []string // looked at and written
	URLs  []string // downloaded
}

// Rebooter is an Actor whose Apply takes its host down. The engine expects the connection to end after Apply, dials
// again until the boot id differs from the one before, and fails the instance when that takes longer than the timeout.
type Rebooter interface {
	RebootTimeout() time.Duration
}

// NotYetError says that what a task looks at does not exist before an earlier task has run. A plan shows
// "known after <task>"; an apply treats it as a failure.
type NotYetError struct{ Resource string }

func (e *NotYetError) Error() string { return e.Resource + " is not there yet" }

// NotYet returns a NotYetError for a resource in the notation of Toucher: NotYet("unit:containerd").
func NotYet(resource string) error { return &NotYetError{Resource: resource} }

// Failure is an error with what a person at night needs: what happened, what was said, and what to do now.
type Failure struct {
	Summary   string // what happened, one line, lower case
	Output    string // what the failing program said (its last lines), if any
	Hint      string // what to do now, if it is known
	Transient bool   // trying again may help (a lock is held, an API is not up yet)
	cause     error
}

func (f *Failure) Error() string { return f.Summary }

// Unwrap returns the error that Failf formatted, so that errors.Is and errors.As see its causes.
func (f *Failure) Unwrap() error { return f.cause }

// Failf returns a Failure. %w works as in fmt.Errorf.
func Failf(format string, args ...any) *Failure {
	err := fmt.Errorf(format, args...)
	return &Failure{Summary: err.Error(), cause: err}
}

// WithHint sets what to do now, and returns f.
func (f *Failure) WithHint(format string, args ...any) *Failure {
	f.Hint = fmt.Sprintf(format, args...)
	return f
}

// WithOutput sets what the failing program said, and returns f.
func (f *Failure) WithOutput(o Output) *Failure {
	f.Output = o.Tail(4096)
	return f
}

// Retryable marks the failure as one that trying again may heal, and returns f.
func (f *Failure) Retryable() *Failure {
	f.Transient = true
	return f
}
