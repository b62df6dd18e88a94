package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
)

// Killed tells whether a run ended because its controller was killed.
func Killed(err error) bool { return errors.Is(err, errKilled) }

// Path finds the critical path of a run: the chain of instances of which each waited for the one before, up to the one
// that ended last. It is a sink of events.
type Path struct {
	p     *engine.Project
	spans map[string]engine.Span // nil: there were too many instances
	total time.Duration
}

// NewPath returns a Path for a run of a project.
func NewPath(p *engine.Project) *Path { return &Path{p: p, spans: map[string]engine.Span{}} }

// most is the number of instances up to which the critical path is looked for.
const most = 200_000

// Emit implements event.Sink.
func (c *Path) Emit(e event.Event) {
	switch e.Type {
	case event.InstanceStarted:
		s, again := c.spans[e.Instance]
		switch {
		case again:
			s.End = e.Time
			c.spans[e.Instance] = s
		case len(c.spans) == most:
			c.spans = nil // their memory is wanted for other things
		case c.spans != nil:
			c.spans[e.Instance] = engine.Span{Start: e.Time, End: e.Time}
		}
	case event.InstanceEnded:
		if s, ok := c.spans[e.Instance]; ok {
			s.End = e.Time
			c.spans[e.Instance] = s
		}
	case event.RunEnded:
		c.total = e.Duration
	}
}

// Steps are the critical path; none where there were too many instances to look for it.
func (c *Path) Steps() []engine.Step {
	if c.spans == nil {
		return nil
	}
	return c.p.CriticalPath(c.spans)
}

// Report says how long the run took and what that was made of.
func (c *Path) Report(took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nsimulated time %s (took %s)\n", short(c.total), took.Round(time.Millisecond))
	if c.spans == nil {
		fmt.Fprintf(&b, "the critical path is looked for up to %d instances\n", most)
	}
	steps := c.Steps()
	if len(steps) == 0 {
		return b.String()
	}
	b.WriteString("critical path:\n")
	width, hidden := 0, 0
	var hiddenTime time.Duration
	var shown []engine.Step
	for _, s := range steps {
		if s.Took+s.Waited < c.total/100 {
			hidden++
			hiddenTime += s.Took + s.Waited
			continue
		}
		shown = append(shown, s)
		width = max(width, len(s.Instance))
	}
	for _, s := range shown {
		fmt.Fprintf(&b, "  %-*s  %8s", width, s.Instance, short(s.Took))
		if s.Waited > time.Second {
			fmt.Fprintf(&b, "  after waiting %s for a lock or a slot", short(s.Waited))
		}
		b.WriteByte('\n')
	}
	if hidden > 0 {
		fmt.Fprintf(&b, "  %-*s  %8s\n", width, fmt.Sprintf("%d shorter ones", hidden), short(hiddenTime))
	}
	return b.String()
}

func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// FileFault is a line of a fault file.
type FileFault struct {
	Pos, Text string
}

// ParseFaultFile reads a file with a fault per line; # begins a comment, and the lines may be a YAML list under `faults:`.
func ParseFaultFile(name, text string) ([]FileFault, error) {
	var out []FileFault
	line := 0
	for l := range strings.Lines(text) {
		line++
		l, _, _ = strings.Cut(l, "#")
		l = strings.Trim(strings.TrimPrefix(strings.TrimSpace(l), "- "), `"' `)
		if l == "" || l == "faults:" {
			continue
		}
		f := FileFault{Pos: fmt.Sprintf("%s:%d", name, line), Text: l}
		if _, err := ParseFault(l); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Pos, err)
		}
		out = append(out, f)
	}
	return out, nil
}
