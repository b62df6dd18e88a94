package run

import (
	"errors"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/transport"
)

// failureOf is an error as an event shows it.
func failureOf(err error) *event.Failure {
	if err == nil {
		return nil
	}
	var d *sched.DemandError
	if errors.As(err, &d) && d.Err != nil {
		in := failureOf(d.Err)
		in.Summary = "what it needs now could not be made: " + in.Summary
		return in
	}
	var f *job.Failure
	if errors.As(err, &f) {
		return &event.Failure{Summary: f.Summary, Step: f.Step, Output: f.Output, Hint: f.Hint, Class: classOf(f)}
	}
	if u, ok := transport.AsUnreachable(err); ok {
		class := "unreachable"
		if u.Stage == transport.Locked {
			class = "locked"
		}
		return &event.Failure{Summary: u.Error(), Hint: u.Hint, Class: class}
	}
	if ds, ok := diag.As(err); ok && len(ds) > 0 {
		return &event.Failure{Summary: ds[0].Pos.String() + ": " + ds[0].Summary, Hint: ds[0].Hint, Class: "expression"}
	}
	var t *sched.TimeoutError
	if errors.As(err, &t) {
		return &event.Failure{Summary: t.Error(), Class: "timed-out", Hint: "a longer `timeout:` on the task allows more"}
	}
	return &event.Failure{Summary: err.Error()}
}

func classOf(f *job.Failure) string {
	switch {
	case f.TimedOut:
		return "timed-out"
	case f.Cancelled:
		return "cancelled"
	case f.Transient:
		return "transient"
	case f.NotYet != "":
		return "not-yet"
	}
	return ""
}
