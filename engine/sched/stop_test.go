package sched_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// stopAt returns a function that stops the run after a time.
func (p *play) stopAt(d time.Duration) func() {
	return func() {
		time.Sleep(d)
		p.sched.Stop(sched.ErrInterrupted)
	}
}

func TestStopLetsWhatRunsFinishAndStartsNothingNew(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	p.task("b", 2, needs(a))
	p.task("always", 1, needs(a), run(sched.Always))
	p.does("a@0", takes(5*time.Second, sched.Result{Status: event.Changed}))
	p.run(p.stopAt(3*time.Second)).wantStatuses("a: changed ok", "b: cancelled ok", "always: cancelled")
	if !errors.Is(p.err, sched.ErrInterrupted) {
		t.Error(p.err)
	}
	p.wantSummary()
}

func TestStopBeforeTheRun(t *testing.T) {
	p := newPlay(t, 1)
	p.task("a", 1)
	s, _ := sched.New(p.spec)
	s.Stop(sched.ErrInterrupted)
	s.Stop(nil)
	if sum, err := s.Run(t.Context(), noop{}, nil); !errors.Is(err, sched.ErrInterrupted) {
		t.Error(sum, err)
	}
}

func TestAFinallyRunsAfterStop(t *testing.T) {
	p := newPlay(t, 3)
	g := p.group("g", 3, func(g *sched.Group) { g.MaxParallel = 2 })
	drain := p.task("drain", 3, in(g))
	upgrade := p.task("upgrade", 3, in(g), needs(drain))
	p.task("uncordon", 3, in(g), needs(drain, upgrade), run(sched.Always), attempts(2, time.Second))
	p.does("upgrade@0", takes(10*time.Second, sched.Result{}))
	p.does("drain@1", takes(10*time.Second, sched.Result{}))
	p.does("uncordon@0", failsFirst(1, sched.Result{Err: errBoom}))
	p.run(p.stopAt(3*time.Second)).wantStatuses("drain: ok ok cancelled", "upgrade: ok cancelled cancelled",
		"uncordon: changed ok cancelled")
}

func TestAFinallyWithNothingToUndoIsCancelledByStop(t *testing.T) {
	p := newPlay(t, 1)
	p.spec.Limits.Total = 1
	p.task("slow", 1, func(t *sched.Task) { t.Weight = time.Hour })
	g := p.group("g", 1)
	drain := p.task("drain", 1, in(g))
	p.task("uncordon", 1, in(g), needs(drain), run(sched.Always))
	p.does("slow", takes(9*time.Second, sched.Result{}))
	p.run(p.stopAt(time.Second)).wantStatuses("slow: ok", "drain: cancelled", "uncordon: cancelled")
}

func TestStopEndsARetryThatWaitsWithItsFailure(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1, attempts(5, time.Hour))
	p.task("b", 1, needs(a))
	g := p.group("g", 1, func(g *sched.Group) { g.Retry = &sched.Retry{Attempts: 5, Delay: time.Hour} })
	p.task("x", 1, in(g))
	p.fails("a", "x")
	p.run(p.stopAt(2*time.Second)).wantStatuses("a: failed", "b: cancelled", "x: failed")
	if e := p.endings["a@0"]; !errors.Is(e.Err, errBoom) || len(e.Attempts) != 0 {
		t.Errorf("%+v", e)
	}
	if len(p.log) != 6 || p.log[5] != "2s end b@0 cancelled" && p.log[4] != "2s end b@0 cancelled" {
		t.Error(p.log)
	}
}

func TestAfterStopARunningInstanceCanStillDemand(t *testing.T) {
	p := newPlay(t, 1)
	later := p.task("later", 1, needs(p.task("a", 1)))
	token := p.task("token", 1, run(sched.OnDemand))
	never := p.task("never", 1, needs(later), run(sched.OnDemand))
	p.task("join", 1)
	p.task("stuck", 1)
	for name, producer := range map[string]int{"join": token, "stuck": never} {
		p.does(name, func(ctx context.Context, n int, ctl sched.Control) sched.Result {
			sleep(ctx, 5*time.Second)
			return p.demands(producer, 0, false)(ctx, n, ctl)
		})
	}
	p.does("a", takes(3*time.Second, sched.Result{}))
	p.run(p.stopAt(time.Second)).wantStatuses("a: ok", "later: cancelled", "token: ok", "never: cancelled", "join: ok", "stuck: failed")
}

func TestTheEndOfTheContextCancelsWhatRuns(t *testing.T) {
	cause := errors.New("interrupted twice")
	p := newPlay(t, 2)
	g := p.group("g", 2)
	a := p.task("a", 2, in(g))
	p.task("undo", 2, in(g), needs(a), run(sched.Always))
	p.task("retrying", 1, attempts(3, time.Hour))
	p.task("waiting", 1, needs(a), conditional)
	p.does("a", takes(time.Hour, sched.Result{}))
	p.fails("retrying")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p.runContext(ctx, p, p.stopAt(2*time.Second), func() {
			time.Sleep(4 * time.Second)
			cancel(cause)
		})
		if d := time.Since(p.zero); d != 4*time.Second {
			t.Errorf("the run took %v", d)
		}
	})
	p.wantStatuses("a: cancelled cancelled", "undo: cancelled cancelled", "retrying: failed", "waiting: cancelled")
	if !errors.Is(p.err, sched.ErrInterrupted) || !errors.Is(p.endings["a@0"].Err, cause) {
		t.Error(p.err, p.endings["a@0"].Err)
	}
}

func TestTheEndOfTheContextEndsDemandsAndConditions(t *testing.T) {
	p := newPlay(t, 1)
	token := p.task("token", 1, run(sched.OnDemand))
	p.task("join", 1)
	p.task("cond", 1, conditional)
	p.does("token", takes(time.Hour, sched.Result{}))
	p.does("join", p.demands(token, 0, false))
	p.conds["cond"] = func() sched.Condition { time.Sleep(time.Minute); return sched.Condition{Run: true} }
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		p.runContext(ctx, p)
	})
	p.wantStatuses("token: cancelled", "join: cancelled", "cond: cancelled")
	if !errors.Is(p.err, context.DeadlineExceeded) {
		t.Error(p.err)
	}
}
