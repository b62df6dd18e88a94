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

// failure shows a failure in full and at once, or, when one like it has been shown, as a folded line. A host that can't be
// reached has one reason, whatever was to be done there, and often it is the reason of many hosts.
func (r *Renderer) failure(e event.Event, l *live) {
	text := failureText(e.Host, e.Failure)
	same := strings.Join([]string{string(e.Status), e.Task, text}, "\x00")
	like := same
	if e.Status == event.Unreachable {
		like = strings.Join([]string{string(e.Status), text}, "\x00")
	}
	if first, shown := r.seen[like]; shown {
		r.fold(&group{same: same, status: string(e.Status), color: colorOf(e.Status), task: e.Task,
			instance: e.Instance, hosts: []string{e.Host}, dur: e.Duration, detail: "as " + first})
		return
	}
	r.seen[like] = e.Instance
	r.flush(func(*group) bool { return true })
	if e.Allowed {
		text += " (allowed)"
	}
	r.line(string(e.Status), colorOf(e.Status), e.Instance, e.Duration, text)
	if e.Failure != nil {
		r.details(e, l)
	}
}

// lost shows that a host is not reached, the first time in full. The same is not said again while a task on it is tried
// again; other hosts of which it is true are folded.
func (r *Renderer) lost(e event.Event) {
	text := failureText(e.Host, e.Failure)
	if r.lostOn[e.Host] == text && !r.o.Verbose {
		return
	}
	r.lostOn[e.Host] = text
	word := "lost"
	if inUse(e.Failure) {
		word = "locked"
	}
	like := word + "\x00" + text
	if first, shown := r.seen[like]; shown {
		r.fold(&group{same: like, status: word, color: colorBad, hosts: []string{e.Host}, detail: "as " + first})
		return
	}
	r.seen[like] = e.Host
	r.flush(func(*group) bool { return true })
	r.line(word, colorBad, e.Host, 0, text)
	if e.Failure != nil {
		r.field("do", e.Failure.Hint)
	}
}

// inUse tells whether a host was not reached because another run works on it.
func inUse(f *event.Failure) bool { return f != nil && f.Class == "locked" }

// retry shows that an attempt failed. Hosts on which the same attempt failed in the same way share a line; the pause
// before the next one differs by a little, the first one's is shown.
func (r *Renderer) retry(e event.Event) {
	text := fmt.Sprintf("attempt %d: %s", e.Attempt, failureText(e.Host, e.Failure))
	r.fold(&group{same: strings.Join([]string{"retry", e.Task, text}, "\x00"), status: "retry", color: colorWarn,
		task: e.Task, instance: e.Instance, hosts: []string{e.Host}, detail: text + "; again in " + duration(e.Retry)})
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

// failureText is what happened, without the name of the host it happened on: that stands beside it.
func failureText(host string, f *event.Failure) string {
	if f == nil {
		return ""
	}
	return clean(strings.TrimPrefix(f.Summary, host+": "))
}

func attempt(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf("attempt %d", n)
}
