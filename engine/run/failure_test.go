package run_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

func TestAFailureBlocksWhatNeedsItAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.program("check", says("fine"))
		s.program("check", exits(2, "disk is broken"), "h1")
		r := s.run(`
  - {id: a, ask: check}
  - {id: b, needs: [a], put: {key: b}}
  - {id: c, needs: [b], put: {key: c}}
  - {id: other, put: {key: other}}
`).want(3, `
			a@h1 failed
			a@h2 ok
			b@h1 blocked
			b@h2 changed
			c@h1 blocked
			c@h2 changed
			other@h1 changed
			other@h2 changed
		`)
		roots := r.of(event.RunEnded)[0].Roots
		if len(roots) != 1 || roots[0].Instance != "a@h1" || roots[0].Blocked != 2 || roots[0].Failure.Output != "disk is broken" {
			t.Errorf("roots %+v", roots)
		}
		for _, e := range r.of(event.InstanceEnded) {
			if e.Status == event.Blocked && fmt.Sprint(e.BlockedBy) != "[a@h1]" {
				t.Errorf("%s is blocked by %v", e.Instance, e.BlockedBy)
			}
		}
	})
}

func TestWhatCanHealIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("locked", first(2, 75))
		s.program("broken", exits(1, ""))
		start := time.Now()
		r := s.run(`
  - {id: heals, ask: locked}
  - {id: does_not, ask: broken}
`).want(3, `
			heals@h1 ok
			does_not@h1 failed
		`)
		again := r.of(event.AttemptFailed)
		if len(again) != 2 || again[0].Instance != "heals@h1" || again[0].Attempt != 1 || again[0].Retry != 2*time.Second || again[1].Retry != 4*time.Second {
			t.Errorf("attempts %+v", again)
		}
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestRetryIsForEveryFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("broken", exits(1, ""))
		s.program("twice", first(2, 1))
		r := s.run(`
  - id: in_vain
    retry: {attempts: 3, delay: 10s, backoff: 2, max_delay: 15s}
    ask: broken
  - id: heals
    retry: {attempts: 3, delay: 1s}
    ask: twice
`).want(3, `
			in_vain@h1 failed
			heals@h1 ok
		`)
		var waits []time.Duration
		for _, e := range r.of(event.AttemptFailed) {
			if e.Instance == "in_vain@h1" {
				waits = append(waits, e.Retry)
			}
		}
		if fmt.Sprint(waits) != "[10s 15s]" {
			t.Errorf("waits %v", waits)
		}
		for _, e := range r.of(event.InstanceEnded) {
			if e.Attempt != 3 {
				t.Errorf("%s ended at attempt %d", e.Instance, e.Attempt)
			}
		}
	})
}

func TestUntilLooksAtTheResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		n := 0
		s.program("count", func(context.Context, []string) (task.Output, error) {
			n++
			return task.Output{Stdout: fmt.Sprint(n)}, nil
		})
		r := s.run(`
  - id: grows
    retry: {attempts: 10, delay: 1s, until: "result.outputs.said == '4'"}
    ask: count
  - id: never
    needs: [grows]
    retry: {attempts: 2, until: "result.outputs.said == '4'"}
    ask: count
`).want(3, `
			grows@h1 ok
			never@h1 failed
		`)
		r.fails("never@h1", "not yet: `result.outputs.said == '4'`")
		if n != 6 {
			t.Errorf("counted to %d", n)
		}
	})
}

func TestATimeoutIsOfOneAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("slow", takes(time.Hour))
		start := time.Now()
		r := s.run(`
  - id: a
    timeout: 1m
    retry: {attempts: 2, delay: 1s}
    ask: slow
`).want(3, "a@h1 timed-out")
		r.fails("a@h1", "timed out after 1m0s")
		if took := time.Since(start); took != 2*time.Minute+time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestToleratedFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2", "h3")
		s.program("check", says("fine"))
		s.program("check", exits(1, ""), "h2")
		r := s.run(`
  - {id: allowed, allow_failure: true, ask: check}
  - {id: after_allowed, needs: [allowed@all], put: {key: a}}
  - {id: one_may, max_failures: 1, ask: check}
  - {id: after_one, needs: [one_may@all], put: {key: b}}
`).want(0, `
			allowed@h1 ok
			allowed@h2 failed (allowed)
			allowed@h3 ok
			after_allowed@h1 changed
			after_allowed@h2 changed
			after_allowed@h3 changed
			one_may@h1 ok
			one_may@h2 failed (allowed)
			one_may@h3 ok
			after_one@h1 changed
			after_one@h2 changed
			after_one@h3 changed
		`)
		if roots := r.of(event.RunEnded)[0].Roots; len(roots) > 0 {
			t.Errorf("what is tolerated is no root: %+v", roots)
		}
	})
}

func TestARollingChangeStopsAtTheFirstFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2", "h3")
		s.program("drain", takes(time.Second))
		s.program("drain", exits(1, "in use"), "h2")
		r := s.run(`
  - id: roll
    max_parallel: 1
    steps:
      - {id: drain, act: drain}
      - {id: upgrade, put: {key: v, value: 2}}
`).want(3, `
			roll/drain@h1 changed
			roll/upgrade@h1 changed
			roll/drain@h2 failed
			roll/upgrade@h2 blocked
			roll/drain@h3 blocked
			roll/upgrade@h3 blocked
		`)
		if root := r.of(event.RunEnded)[0].Roots[0]; root.Instance != "roll/drain@h2" || root.Blocked != 3 {
			t.Errorf("root %+v", root)
		}
	})
}

func TestABlockStartsAgainAtItsFirstStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("reset", says(""))
		s.program("join", first(2, 1))
		s.program("clean", says(""))
		r := s.run(`
  - id: member
    retry: {attempts: 3, delay: 5s}
    steps:
      - {id: reset, act: reset}
      - {id: join, act: join}
      - {id: clean, act: clean, run: always}
  - {id: after, needs: [member], put: {key: a}}
`)
		if r.Exit != 0 {
			t.Errorf("exit code %d\n%s", r.Exit, r.failures())
		}
		want := "[reset join clean reset join clean reset join clean]"
		if got := fmt.Sprint(s.machines["h1"].runs()); got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
		if notes := r.of(event.Note); len(notes) != 2 || !strings.Contains(notes[0].Line, "member@h1 failed and starts again at its first step in 5s") {
			t.Errorf("notes %+v", notes)
		}
	})
}

func TestABlockIsSkippedAsAWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1 zone=a", "h2 zone=b")
		s.run(`
  - id: block
    when: host.vars.zone == "a"
    steps:
      - {id: a, put: {key: a}}
      - {id: b, put: {key: b}, run: always}
  - {id: after, needs: [block], put: {key: c}}
`).want(0, `
			block/a@h1 changed
			block/b@h1 changed
			block/a@h2 skipped
			block/b@h2 skipped
			after@h1 changed
			after@h2 changed
		`)
	})
}

func TestFinallyAndOnFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.program("mount", says(""))
		s.program("work", says(""))
		s.program("work", exits(1, ""), "h2")
		s.program("umount", says(""))
		s.run(`
  - id: block
    steps:
      - {id: mount, act: mount}
      - {id: work, act: work}
      - {id: umount, act: umount, run: always}
  - {id: repair, needs: [block], run: on_failure, put: {key: repair}}
`).want(3, `
			block/mount@h1 changed
			block/work@h1 changed
			block/umount@h1 changed
			block/mount@h2 changed
			block/work@h2 failed
			block/umount@h2 changed
			repair@h1 skipped
			repair@h2 changed
		`)
	})
}

func TestConditionsThatCanNotBeEvaluatedAreFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1 zone=a", "h2 zone=b")
		s.program("none", says(""))
		r := s.run(`
  - {id: a, when: host.vars.zone == "a", ask: none}
  - id: b
    when: tasks.a.outputs.said == ""
    put: {key: b}
  - id: block
    when: tasks.a.outputs.said == ""
    steps:
      - {id: s, put: {key: s}}
      - {id: t, put: {key: t}}
`).want(3, `
			a@h1 ok
			a@h2 skipped
			b@h1 changed
			b@h2 failed
			block/s@h1 changed
			block/t@h1 changed
			block/s@h2 failed
			block/t@h2 blocked
		`)
		r.fails("b@h2", "a@h2 is skipped")
	})
}

func TestAKindThatPanicsFailsItsInstance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("bug", func(context.Context, []string) (task.Output, error) { panic("index out of range") })
		r := s.run(`
  - {id: a, ask: bug}
  - {id: b, put: {key: b}}
`).want(3, `
			a@h1 failed
			b@h1 changed
		`)
		r.fails("a@h1", "index out of range")
	})
}

func TestAnErrorOfTheTransportIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.machines["h1"].silent = func(context.Context, *job.Request) error { return errors.New("the agent speaks version 3") }
		s.run("  - {id: a, put: {key: a}}\n").want(3, "a@h1 failed").fails("a@h1", "the agent speaks version 3")
	})
}
