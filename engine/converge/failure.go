package converge

import (
	"context"
	"errors"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// failure makes an error of a kind into what travels back. step is the summary of the change that was being applied.
func failure(ctx context.Context, err error, step string) *job.Failure {
	f := &job.Failure{Summary: err.Error(), Step: step}
	var known *task.Failure
	if errors.As(err, &known) {
		f.Output, f.Hint, f.Transient = known.Output, known.Hint, known.Transient
	}
	var p *panicked
	if errors.As(err, &p) {
		f.Output, f.Hint = string(p.stack), "this is a mistake in kflow: report it with the stack"
	}
	var ny *task.NotYetError
	if errors.As(err, &ny) {
		f.NotYet = ny.Resource
		if f.Hint == "" {
			f.Hint = "an earlier task has to make it: add that task to `needs`"
		}
	}
	ended(ctx, err, f)
	return f
}

// ended tells a timeout and a cancel from other failures: the context has ended, and its cause says why.
func ended(ctx context.Context, err error, f *job.Failure) {
	if ctx.Err() == nil {
		return
	}
	cause := context.Cause(ctx)
	f.Transient = false
	if errors.Is(cause, context.DeadlineExceeded) {
		f.TimedOut = true
	} else {
		f.Cancelled = true
	}
	switch {
	case errors.Is(err, cause), errors.Is(err, ctx.Err()):
		f.Summary = causeText(cause)
	default: // what it was doing says more than that time was up
		f.Summary = causeText(cause) + ": " + f.Summary
	}
}

func causeText(cause error) string {
	switch cause { // these two themselves: what wraps them says more
	case context.Canceled: //nolint:errorlint // nobody gave a reason
		return "cancelled"
	case context.DeadlineExceeded:
		return "timed out"
	}
	return cause.Error()
}
