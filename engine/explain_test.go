package engine

import (
	"testing"

	"github.com/kflow/kflow/engine/event"
)

// TestWhy reads logs of two or more sessions and looks at what is said of the instance x@h in the last one.
func TestWhy(t *testing.T) {
	begin := event.Event{Type: event.RunStarted}
	start := func(name string) event.Event {
		return event.Event{Type: event.InstanceStarted, Instance: name, Attempt: 1}
	}
	end := func(s event.Status, parts ...string) event.Event {
		e := event.Event{Type: event.InstanceEnded, Instance: "x@h", Host: "h", Status: s, Parts: map[string]string{}}
		for i := 0; i < len(parts); i += 2 {
			e.Parts[parts[i]] = parts[i+1]
		}
		return e
	}
	machine := func(id string) event.Event {
		return event.Event{Type: event.HostUp, Host: "h", Machine: &event.Machine{ID: id}}
	}
	skipped := end(event.Skipped)
	skipped.When = "inputs.x"
	failed := event.Event{Type: event.InstanceEnded, Instance: "root@h", Status: event.Failed, Failure: &event.Failure{Summary: "no space"}}
	blocked := end(event.Blocked)
	blocked.BlockedBy = []string{"root@h"}
	for _, c := range []struct {
		name, want string
		log        []event.Event
	}{
		{"first time", "ran: what it needs was done", []event.Event{begin, start("x@h"), end(event.Changed)}},
		{"skipped", "its condition is false: inputs.x", []event.Event{begin, skipped}},
		{"blocked", "something it needs, directly or not, failed: root@h (no space)", []event.Event{begin, failed, blocked}},
		{"not its turn", "its turn did not come", []event.Event{begin}},
		{"killed", "it was started, and nobody saw its end", []event.Event{begin, start("x@h")}},
		{"after a kill", "ran again: it was started in session 1, and nobody saw its end", []event.Event{begin, start("x@h"), begin, start("x@h"), end(event.OK)}},
		{"after a failure", "ran again: in session 1 it was failed", []event.Event{begin, start("x@h"), end(event.Failed), begin, start("x@h"), end(event.OK)}},
		{"after it was blocked", "ran: in session 1 it was blocked", []event.Event{begin, blocked, begin, start("x@h"), end(event.OK)}},
		{"reused", "not done again: what it did in session 1 (changed) still holds; parameters and machine are the same, and nothing it needs ran anew",
			[]event.Event{begin, start("x@h"), end(event.Changed), begin, end(event.Reused)}},
		{"other parameters", "ran again, after it was changed in session 1: its parameters `mode`, `path` changed",
			[]event.Event{begin, start("x@h"), end(event.Changed, "params", "1", "params.path", "1", "params.mode", "1", "params.owner", "1"), begin,
				start("x@h"), end(event.OK, "params", "2", "params.path", "2", "params.owner", "1")}},
		{"other data", "ran again, after it was ok in session 1: what it reads from other tasks changed",
			[]event.Event{begin, start("x@h"), end(event.OK, "data", "1"), begin, start("x@h"), end(event.OK, "data", "2")}},
		{"a need ran", "ran again, after it was ok in session 1: it needs what ran anew: need@h",
			[]event.Event{begin, start("x@h"), end(event.OK), begin, start("need@h"), start("x@h"), end(event.OK)}},
		{"another machine", "ran again, after it was ok in session 1: the machine behind h is another one",
			[]event.Event{begin, machine("a"), start("x@h"), end(event.OK), begin, machine("b"), start("x@h"), end(event.OK)}},
		{"reused in between", "ran again, after it was ok in session 1: its kind changed",
			[]event.Event{begin, start("x@h"), end(event.OK, "kind", "file"), begin, end(event.Reused, "kind", "file"), begin, start("x@h"), end(event.OK, "kind", "command")}},
		{"not skipped any more", "ran: in session 1 its condition was false (inputs.x), and something it depends on has changed since",
			[]event.Event{begin, skipped, begin, start("x@h"), end(event.OK)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := &Explanation{}
			r := &reader{name: "x@h", needs: []string{"need@h"}, out: out, ends: map[string]event.Event{}, machines: map[string]event.Machine{}}
			for _, e := range c.log {
				r.read(e)
			}
			r.close()
			if got := out.Sessions[len(out.Sessions)-1].Why; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
