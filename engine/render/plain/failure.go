package plain

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/kflow/kflow/engine/event"
)

// failed tells whether a result is one a person has to look at.
func failed(s event.Status) bool {
	switch s {
	case event.Failed, event.Unreachable, event.TimedOut, event.Unknown:
		return true
	}
	return false
}

// failure shows a failure in full and at once, or, when one like it has been shown, as a folded line.
func (r *Renderer) failure(e event.Event, l *live) {
	same := strings.Join([]string{string(e.Status), e.Task, failureText(e.Failure)}, "\x00")
	if e.Status == event.Unreachable {
		same = strings.Join([]string{string(e.Status), e.Host, failureText(e.Failure)}, "\x00")
	}
	if first, shown := r.seen[same]; shown {
		r.fold(&group{same: same, status: string(e.Status), color: colorOf(e.Status), task: e.Task,
			instance: e.Instance, hosts: []string{e.Host}, dur: e.Duration, detail: "as " + first})
		return
	}
	r.seen[same] = e.Instance
	r.flush(func(*group) bool { return true })
	text := failureText(e.Failure)
	if e.Allowed {
		text += " (allowed)"
	}
	r.line(string(e.Status), colorOf(e.Status), e.Instance, e.Duration, text)
	if e.Failure != nil {
		r.details(e, l)
	}
}

// details are the lines below a failure: where, which attempt, what was said, what to do.
func (r *Renderer) details(e event.Event, l *live) {
	r.field("task", taskText(e))
	host := e.Host
	if e.At != "" && e.At != e.Host {
		host += ", carried out on " + e.At
	}
	r.field("host", host)
	r.field("playbook", e.Pos)
	if e.Attempt > 1 {
		r.field("attempt", fmt.Sprint(e.Attempt))
	}
	r.field("while", e.Failure.Step)
	output := e.Failure.Output
	if output == "" {
		output = strings.Join(l.tail, "\n")
	}
	r.field("output", lastLines(output))
	r.field("do", e.Failure.Hint)
}

// taskText is the title of a task, or its path, and its kind.
func taskText(e event.Event) string {
	text := cmp.Or(e.Title, e.Task)
	if e.Kind != "" {
		text += " (" + e.Kind + ")"
	}
	return text
}

// field writes a labelled text of one or more lines, or nothing.
func (r *Renderer) field(label, text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(&r.out, "    %-9s %s\n", label, clean(line))
		label = ""
	}
}

// lastLines is the end of an output, with a word on what is left out.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	if over := len(lines) - tailLines; over > 0 {
		lines = append([]string{"(" + count(over, "line") + " before)"}, lines[over:]...)
	}
	return strings.Join(lines, "\n")
}

func failureText(f *event.Failure) string {
	if f == nil {
		return ""
	}
	return clean(f.Summary)
}

func attempt(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf("attempt %d", n)
}
