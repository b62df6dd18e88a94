package run_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/run"
)

// result is what can be seen of one session.
type result struct {
	run.Result
	id     string
	err    error
	events []event.Event
	t      testing.TB
}

// ends are the ends of a session: "task@host status", sorted.
func (r *result) ends() string {
	var out []string
	for _, e := range r.events {
		if e.Type == event.InstanceEnded {
			line := e.Instance + " " + string(e.Status)
			if e.Allowed {
				line += " (allowed)"
			}
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// want compares the exit code and the ends with lines in any order and indentation.
func (r *result) want(exit int, ends string) *result {
	r.t.Helper()
	if r.err != nil {
		r.t.Errorf("error: %v", r.err)
	}
	if r.Exit != exit {
		r.t.Errorf("exit code %d, want %d", r.Exit, exit)
	}
	var want []string
	for line := range strings.Lines(ends) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	slices.Sort(want)
	if w := strings.Join(want, "\n"); w != r.ends() {
		r.t.Errorf("ended as\n%s\nwant\n%s\n%s", r.ends(), w, r.failures())
	}
	return r
}

// failures are the messages of all that failed.
func (r *result) failures() string {
	var b strings.Builder
	for _, e := range r.events {
		if e.Failure != nil {
			fmt.Fprintf(&b, "%s %s%s: %s: %s\n", e.Type, e.Instance, e.Host, e.Failure.Step, e.Failure.Summary)
		}
	}
	return b.String()
}

// fails tells that an instance failed with a message.
func (r *result) fails(instance, message string) {
	r.t.Helper()
	for _, e := range r.events {
		if e.Type == event.InstanceEnded && e.Instance == instance && e.Failure != nil {
			if !strings.Contains(e.Failure.Summary, message) {
				r.t.Errorf("%s failed with %q, want %q", instance, e.Failure.Summary, message)
			}
			return
		}
	}
	r.t.Errorf("%s did not fail", instance)
}

// of are the events of one type.
func (r *result) of(types ...event.Type) []event.Event {
	var out []event.Event
	for _, e := range r.events {
		if slices.Contains(types, e.Type) {
			out = append(out, e)
		}
	}
	return out
}

// text is everything the session said.
func (r *result) text() string {
	b, err := json.Marshal(r.events)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}
