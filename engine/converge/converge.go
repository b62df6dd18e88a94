// Package converge carries out a request on a host. It is the one code path for that: the agent, connection local and
// the simulator all call Run, so that a plan, a run and a rehearsal cannot differ.
//
// For each item of the request, in order:
//
//  1. The parameters are decoded into a fresh struct; a key the struct does not have is an error, since then the
//     engine and this program are not of one build.
//  2. Check, if the kind has it.
//  3. Changes, on a host that refuses writes. In a plan this is all, but for Outputs where nothing is to change.
//     Where the request is bound to changes that were agreed on, any other ends it here.
//  4. Where there are changes and lazy parameters are missing, the whole request ends with NeedsLazy: nothing has been
//     applied, the engine asks again with all parameters.
//  5. Apply of each change, each announced before.
//  6. Changes again, unless the task is an action: what remains is the failure.
//  7. Outputs.
//
// Whatever comes back for people, progress included, has the request's secrets masked (outputs are data and are left to
// the engine); a panic of a kind becomes a failure with its stack; the end of the context is told apart by its cause: the
// request's timeout, or a cancel.
package converge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/task"
)

// Limits of what comes back, in bytes. Middles are cut out.
const (
	maxDiff   = 64 << 10
	maxOutput = 16 << 10
)

// TimeoutError is the cause of a context that the timeout of a request ended.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return "timed out after " + e.After.String() }

// Is makes a TimeoutError a context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// A Binder is a Host that can send what a task reports (lines, progress, output of programs that stream) to a function.
// Run binds such a host; around any other it puts a decorator that has no output of programs to send.
type Binder interface {
	Bind(func(job.Progress)) task.Host
}

// Kinds are the kinds of task that there are; a task.Registry is such.
type Kinds interface {
	Lookup(name string) (task.Kind, bool)
	// Decode reads parameters into what New of their kind returned. A key that it does not have is an error.
	Decode(params []byte, into any) error
}

// Run carries out req on h with the kinds of reg. It always returns an Outcome. progress may be nil; it is called by one
// goroutine at a time, and not after Run has returned.
func Run(ctx context.Context, reg Kinds, h task.Host, req *job.Request, progress func(job.Progress)) *job.Outcome {
	out := &job.Outcome{}
	secrets := mask.New(req.Secrets...)
	kind, known := reg.Lookup(req.Kind)
	if !known {
		out.Failure = &job.Failure{Summary: fmt.Sprintf("there is no kind %q here", req.Kind),
			Hint: "kflow and its agent are of different builds: run make build"}
		return out
	}
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, req.Timeout, &TimeoutError{req.Timeout})
		defer cancel()
	}
	rep := &reporter{mask: secrets, to: progress}
	defer rep.end()
	r := &run{reg: reg, kind: kind, req: req, host: bind(h, rep.send), report: rep.send, out: out, mask: secrets}
	r.items(ctx)
	maskOutcome(secrets, out)
	return out
}

// run is the state of one request.
type run struct {
	reg    Kinds
	kind   task.Kind
	req    *job.Request
	host   task.Host
	report func(job.Progress)
	out    *job.Outcome
	mask   *mask.Masker
	step   string // summary of the change being applied; "" = while comparing
}

func (r *run) items(ctx context.Context) {
	for i, params := range r.req.Items {
		r.out.Outputs = append(r.out.Outputs, nil)
		err := r.guard(func() error { return r.item(ctx, i, params) })
		if err != nil {
			r.out.Failure = failure(ctx, err, r.step)
			return
		}
		if r.out.NeedsLazy || r.out.Reconnect != nil {
			return
		}
	}
}

// panicked is the error of a kind that panicked.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func (r *run) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	return f()
}

func (r *run) item(ctx context.Context, i int, params json.RawMessage) error {
	r.step = ""
	t, err := r.decode(params)
	if err != nil {
		return err
	}
	if c, ok := t.(task.Checker); ok {
		if err := c.Check(); err != nil {
			return err
		}
	}
	changes, err := t.Changes(ctx, task.ReadOnly(r.host))
	if err != nil {
		return r.planNotYet(err)
	}
	switch {
	case len(changes) == 0:
		return r.outputs(ctx, i, t)
	case r.req.Mode != job.Apply:
		for _, c := range changes {
			r.out.Changes = append(r.out.Changes, found(c, i, isAction(t)))
		}
		return nil
	case r.req.Bound && !r.agreed(i, t, changes):
		return task.Failf("the host has changed between two looks at it; nothing was changed").WithHint("see who else works on this host, then resume")
	case r.req.HasLazy && !r.req.LazyGiven:
		r.out.NeedsLazy = true
		return nil
	}
	return r.apply(ctx, i, t, changes)
}

// agreed tells whether all changes are among those that were agreed on. A later turn of a loop starts from what the turns
// before it have made: there the summaries count.
func (r *run) agreed(item int, t task.Task, changes []task.Change) bool {
	for _, c := range changes {
		this := maskChange(r.mask, found(c, item, isAction(t)))
		if !slices.ContainsFunc(r.req.Agreed, func(a job.Change) bool {
			if item > 0 {
				a.Diff = this.Diff
			}
			return a == this
		}) {
			return false
		}
	}
	return true
}

// planNotYet records in a plan that what the task looks at is not there yet; otherwise it returns err.
func (r *run) planNotYet(err error) error {
	var ny *task.NotYetError
	if r.req.Mode == job.Apply || !errors.As(err, &ny) {
		return err
	}
	if r.out.NotYet == "" {
		r.out.NotYet = ny.Resource
	}
	return nil
}

func (r *run) decode(params json.RawMessage) (task.Task, error) {
	t := r.kind.New()
	if len(params) == 0 || string(params) == "null" {
		return t, nil
	}
	if err := r.reg.Decode(params, t); err != nil {
		return nil, task.Failf("the parameters do not fit kind %s: %w", r.kind.Name, err)
	}
	return t, nil
}

// apply carries out the changes and looks whether they had the effect that was declared.
func (r *run) apply(ctx context.Context, i int, t task.Task, changes []task.Change) error {
	action := isAction(t)
	for n, c := range changes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		shown := found(c, i, action)
		r.report(job.Progress{Change: &shown})
		if rb, ok := t.(task.Rebooter); ok && action && n == len(changes)-1 {
			r.out.Reconnect = &job.Reconnect{BootID: r.host.Facts().BootID, Timeout: rb.RebootTimeout()}
			r.report(job.Progress{Reconnect: r.out.Reconnect})
		}
		r.step = c.Summary
		if err := c.Apply(ctx, r.host); err != nil {
			r.out.Reconnect = nil
			return err
		}
		r.out.Applied = true
		r.out.Changes = append(r.out.Changes, shown)
	}
	r.step = ""
	if r.out.Reconnect != nil {
		return nil // the host is going down: nothing more can be asked
	}
	if !action {
		if err := r.verify(ctx, t); err != nil {
			return err
		}
	}
	return r.outputs(ctx, i, t)
}

// verify asks again: a state that still differs after its changes has failed.
func (r *run) verify(ctx context.Context, t task.Task) error {
	rest, err := t.Changes(ctx, task.ReadOnly(r.host))
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return nil
	}
	var text strings.Builder
	for _, c := range rest {
		shown := found(c, 0, false)
		fmt.Fprintf(&text, "%s\n", shown.Summary)
		if shown.Diff != "" {
			fmt.Fprintf(&text, "%s\n", strings.TrimRight(shown.Diff, "\n"))
		}
	}
	f := task.Failf("did not converge: its changes were applied, and asked again it still wants: %s", summaries(rest))
	f.Output = strings.TrimSpace(text.String())
	return f.WithHint("something on the host puts the old state back, or another task declares something else")
}

func summaries(cs []task.Change) string {
	s := make([]string, len(cs))
	for i, c := range cs {
		s[i] = c.Summary
	}
	return strings.Join(s, "; ")
}

func (r *run) outputs(ctx context.Context, i int, t task.Task) error {
	o, ok := t.(task.Outputter)
	if !ok {
		return nil
	}
	v, err := o.Outputs(ctx, task.ReadOnly(r.host))
	if err != nil {
		return r.planNotYet(err)
	}
	r.out.Outputs[i], err = json.Marshal(v)
	return err
}

func isAction(t task.Task) bool {
	a, ok := t.(task.Actor)
	return ok && a.Action()
}

// found is a change as it is shown.
func found(c task.Change, item int, action bool) job.Change {
	diff := c.Diff
	if c.Secret && c.Diff != "" {
		diff = fmt.Sprintf("(secret, %d bytes)", len(c.Diff))
	}
	return job.Change{Summary: c.Summary, Diff: diff, Item: item, Action: action}
}

// reporter masks progress and keeps it in order; after end it drops it.
type reporter struct {
	mask *mask.Masker
	to   func(job.Progress)

	mu    sync.Mutex
	ended bool
}

func (r *reporter) send(p job.Progress) {
	if r.to == nil {
		return
	}
	p.Log, p.Output, p.What = r.mask.String(p.Log), r.mask.String(p.Output), r.mask.String(p.What)
	if p.Change != nil {
		c := maskChange(r.mask, *p.Change)
		p.Change = &c
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.to(p)
	}
}

func (r *reporter) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func bind(h task.Host, report func(job.Progress)) task.Host {
	if b, ok := h.(Binder); ok {
		return b.Bind(report)
	}
	return &reporting{Host: h, report: report}
}

// reporting is a host whose lines and progress go to a function.
type reporting struct {
	task.Host
	report func(job.Progress)
}

func (r *reporting) Log(line string) { r.report(job.Progress{Log: line}) }
func (r *reporting) Progress(what string, done, total int64) {
	r.report(job.Progress{What: what, Done: done, Total: total})
}
