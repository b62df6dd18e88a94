package converge

import (
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/mask"
)

// maskChange masks before it cuts: what is left of a secret that was cut through would not be found.
func maskChange(m *mask.Masker, c job.Change) job.Change {
	c.Summary, c.Diff = m.String(c.Summary), job.Cut(m.String(c.Diff), maxDiff)
	return c
}

// maskOutcome masks all texts for people. Outputs are data: other tasks need them as they are, and the engine masks them
// where it shows or stores them.
func maskOutcome(m *mask.Masker, o *job.Outcome) {
	for i, c := range o.Changes {
		o.Changes[i] = maskChange(m, c)
	}
	o.NotYet = m.String(o.NotYet)
	if f := o.Failure; f != nil {
		f.Summary, f.Output, f.Hint = m.String(f.Summary), job.Cut(m.String(f.Output), maxOutput), m.String(f.Hint)
		f.Step, f.NotYet = m.String(f.Step), m.String(f.NotYet)
	}
}
