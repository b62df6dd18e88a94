package run_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/transport"
)

func inUse(host string) func(context.Context) error {
	return func(context.Context) error {
		return &transport.Unreachable{Host: host, Stage: transport.Locked, Err: errors.New("run 1 (ops)"), Hint: "wait", Transient: true}
	}
}

func TestAHostThatAnotherRunWorksOnEndsTheRunBeforeAnythingIsTouched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2", "h3")
		s.machines["h2"].conn = inUse("h2")
		s.machines["h3"].down() // would be left out
		r := s.run("  - {id: a, put: {key: a}}\n").want(5, "")
		lost := r.of(event.HostLost)
		if n := s.machines["h1"].requests; n != 0 || len(lost) != 2 {
			t.Errorf("%d requests, lost: %+v", n, lost)
		}
		root := r.of(event.RunEnded)[0].Roots[0]
		if root.Instance != "h2" || root.Failure.Class != "locked" || root.Failure.Summary != "h2: in use by run 1 (ops)" {
			t.Errorf("%+v %+v", root, root.Failure)
		}
		s.machines["h1"].conn = func(context.Context) error {
			return &transport.Unreachable{Host: "h1", Stage: transport.Auth, Err: errors.New("no key")}
		}
		s.run("  - {id: a, put: {key: a}}\n").want(4, "") // to wait would not be enough
	})
}

// A host goes away in mid run, and when it is back another run works on it: its tasks fail as those of any host that is not
// reached, and are tried again as often as they say.
func TestAHostThatAnotherRunTakesInMidRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		asked := 0
		s.machines["h2"].link = func(_ *job.Request, done bool) error {
			if done {
				return nil
			}
			asked++
			return inUse("h2")(t.Context())
		}
		start := time.Now()
		s.run("  - {id: a, put: {key: a}, retry: {attempts: 3, delay: 10s}}\n").want(4, `
			a@h1 changed
			a@h2 unreachable
		`)
		if took := time.Since(start); asked != 3 || took < 20*time.Second {
			t.Errorf("asked %d times within %v", asked, took)
		}
	})
}

// Tasks on the controller for other hosts hinder no other run.
func TestTheControllerIsShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.run("  - {id: a, at: controller, put: {key: a}}\n").want(0, "a@h1 changed")
		if !s.shared["controller"] || s.shared["h1"] {
			t.Errorf("shared: %v", s.shared)
		}
	})
}
