package plain

import (
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// noAnswer is a failure as transports say it, with the host's name before it.
func noAnswer(host string) *event.Failure {
	return &event.Failure{Summary: host + ": no answer", Hint: "is it on?"}
}

func lost(host string) event.Event {
	return event.Event{Type: event.HostLost, Host: host, Failure: noAnswer(host)}
}

func again(task, host string, pause time.Duration) event.Event {
	return event.Event{Type: event.AttemptFailed, Instance: task + "@" + host, Task: task, Host: host, Attempt: 1,
		Retry: pause, Failure: noAnswer(host)}
}

func unreached(task, host string) event.Event {
	e := ended(task+"@"+host, event.Unreachable)
	e.Pos, e.Failure = "p:1", noAnswer(host)
	return e
}

func TestOneReasonIsSaidOnceForAllHostsThatAreNotReached(t *testing.T) {
	got := show(t, Options{}, run(4),
		lost("mn01"), lost("mn02"), lost("mn03"), time.Second,
		again("f", "mn01", 2*time.Second), again("f", "mn02", 2100*time.Millisecond), again("f", "mn03", 2*time.Second), 2*time.Second,
		lost("mn02"), lost("mn01"), lost("mn03"),
		unreached("f", "mn02"), unreached("f", "mn01"), unreached("f", "mn03"), unreached("g", "mn03"))
	want(t, got[strings.Index(got, "\n")+1:],
		"lost       mn01  no answer",
		"    do        is it on?",
		"lost       2 hosts: mn[02-03]  as mn01",
		"retry      f  3 hosts: mn[01-03]  attempt 1: no answer; again in 2.0s",
		"unreachable  f@mn02  0.8s  no answer",
		"    task      f",
		"    host      mn02",
		"    playbook  p:1",
		"    do        is it on?",
		"unreachable  f  2 hosts: mn[01,03]  as f@mn02",
		"unreachable  g@mn03  0.8s  as f@mn02")
}

func TestAHostThatIsLostForAnotherReasonIsSaidAnew(t *testing.T) {
	other := lost("mn01")
	other.Failure = &event.Failure{Summary: "mn01: its key has changed", Hint: "who changed it?"}
	got := show(t, Options{}, lost("mn01"), lost("mn01"), other)
	want(t, got, "lost       mn01  no answer", "    do        is it on?",
		"lost       mn01  its key has changed", "    do        who changed it?")
}

func TestHostsThatWereNotReachedShareALineOfTheSummary(t *testing.T) {
	root := func(id, pos string) event.Root {
		_, host, _ := strings.Cut(id, "@")
		return event.Root{Instance: id, Status: event.Unreachable, Pos: pos, Blocked: 1, Failure: noAnswer(host)}
	}
	end := event.Event{Type: event.RunEnded, Exit: 4, Roots: []event.Root{root("f@a1", "p:1"), root("g@a1", "p:2"), root("f@a2", "p:1"),
		root("f@a3", "p:1"), root("f@b1", "p:1"), root("g@b1", "p:2"), root("h@c1", "p:3"), root("i@c1", "p:4")}}
	got := show(t, Options{}, run(5), end)
	want(t, got[strings.Index(got, "\n\n")+2:],
		"unreachable  2 hosts: a1 b1  4 instances  no answer (blocked 4 instances)",
		"unreachable  f  2 hosts: a[2-3]  p:1  no answer (blocked 2 instances)",
		"unreachable  c1  2 instances  no answer (blocked 2 instances)",
		"failed after 0.0s: 0 changed",
		"to go on from here: kflow resume 20261121-131501-ab3f")
}

func TestHostsThatAnotherRunWorksOn(t *testing.T) {
	inUse := func(host string) *event.Failure {
		return &event.Failure{Summary: host + ": in use by run 1", Hint: "wait", Class: "locked"}
	}
	lostTo := func(host string) event.Event {
		return event.Event{Type: event.HostLost, Host: host, Failure: inUse(host)}
	}
	root := func(host string) event.Root {
		return event.Root{Instance: host, Status: event.Unreachable, Failure: inUse(host)}
	}
	got := show(t, Options{}, run(3), lostTo("a1"), lostTo("a2"), lostTo("a3"),
		event.Event{Type: event.RunEnded, Exit: 5, Roots: []event.Root{root("a1"), root("a2"), root("a3")}})
	want(t, got[strings.Index(got, "\n")+1:], "locked     a1  in use by run 1", "    do        wait", "locked     2 hosts: a[2-3]  as a1", "",
		"locked     3 hosts: a[1-3]  in use by run 1", "refused after 0.0s: 0 changed")
}
