package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// demands returns an act that demands an instance, takes a second more, and ends as the demand did.
func (p *play) demands(task, host int, fresh bool) act {
	return func(ctx context.Context, _ int, ctl sched.Control) sched.Result {
		status, err := ctl.Demand(ctx, sched.Instance{Task: task, Host: host}, fresh)
		p.note("demand answered: %s %v", status, err != nil)
		if err != nil {
			return sched.Result{Err: err}
		}
		return takes(time.Second, sched.Result{})(ctx, 1, ctl)
	}
}

func TestWhatNobodyDemandsDoesNotRun(t *testing.T) {
	p := newPlay(t, 2)
	token := p.task("token", 2, run(sched.OnDemand))
	p.task("join", 2, needs(token), needsAll(token))
	p.run().wantResults("token: - -", "join: ok ok")
	if p.sum.NotNeeded != 2 {
		t.Error(p.sum.NotNeeded)
	}
}

func TestDemandsAtTheSameTimeShareOneExecution(t *testing.T) {
	p := newPlay(t, 3)
	token := p.task("token", 1, run(sched.OnDemand))
	p.task("join", 3)
	p.does("join", p.demands(token, 0, false))
	p.does("join@2", func(ctx context.Context, n int, ctl sched.Control) sched.Result {
		sleep(ctx, 5*time.Second) // it has run by then
		return p.demands(token, 0, false)(ctx, n, ctl)
	})
	p.run().wantResults("token: ok", "join: ok ok ok")
	p.wantStarts("0s join@0", "0s join@1", "0s join@2", "0s token@0")
}

func TestAFreshDemandRunsItAgain(t *testing.T) {
	p := newPlay(t, 2)
	token := p.task("token", 1, run(sched.OnDemand))
	p.task("join", 2, func(t *sched.Task) { t.Lock = "join" })
	p.does("join", p.demands(token, 0, true))
	p.run().wantResults("token: ok", "join: ok ok")
	p.wantStarts("0s join@0", "0s token@0", "2s join@1", "2s token@0")
}

func TestAFreshDemandTriesWhatFailedAgain(t *testing.T) {
	p := newPlay(t, 1)
	token := p.task("token", 1, run(sched.OnDemand), func(t *sched.Task) { t.MaxFailures = 1 })
	p.task("join", 1, attempts(2, time.Second))
	p.does("token", failsFirst(1, sched.Result{Err: errBoom}))
	p.does("join", func(ctx context.Context, n int, ctl sched.Control) sched.Result {
		return p.demands(token, 0, n > 1)(ctx, n, ctl)
	})
	p.run().wantResults("token: changed", "join: ok")
	p.wantSummary()
}

func TestWhoWaitsForADemandGivesItsRoomAway(t *testing.T) {
	p := newPlay(t, 3)
	p.spec.Limits = sched.Limits{Total: 1, PerHost: 1}
	token := p.taskOn("token", []int{0}, run(sched.OnDemand))
	p.task("join", 3)
	p.does("join", p.demands(token, 0, false))
	p.run().wantResults("token: ok", "join: ok ok ok")
	if p.most[""] > 4 {
		t.Error(p.most)
	}
}

func TestWhoWaitsForADemandKeepsItsLock(t *testing.T) {
	p := newPlay(t, 2)
	token := p.task("token", 2, run(sched.OnDemand))
	p.task("join", 2, func(t *sched.Task) { t.Lock = "join" })
	p.does("join@0", p.demands(token, 0, false))
	p.does("join@1", p.demands(token, 1, false))
	p.run().wantStarts("0s join@0", "0s token@0", "2s join@1", "2s token@1")
}

func TestADemandWaitsForTheNeedsOfWhatItDemands(t *testing.T) {
	p := newPlay(t, 2)
	initial := p.task("init", 1)
	token := p.task("token", 1, needs(initial), run(sched.OnDemand))
	p.task("join", 2)
	p.does("init", takes(7*time.Second, sched.Result{}))
	p.does("join@1", p.demands(token, 0, false))
	p.run().wantStarts("0s init@0", "0s join@0", "0s join@1", "7s token@0")
	p.wantResults("init: ok", "token: ok", "join: ok ok")
}

func TestWhyADemandFails(t *testing.T) {
	var demanded *sched.DemandError
	for name, c := range map[string]struct {
		setUp  func(p *play, token int)
		status event.Status
		is     error
	}{
		"it fails":           {func(p *play, _ int) { p.fails("token") }, event.Failed, errBoom},
		"its need failed":    {func(p *play, _ int) { p.fails("init") }, event.Blocked, nil},
		"its host is lost":   {loseHost, event.Blocked, nil},
		"it is no such task": {func(p *play, token int) { p.spec.Tasks[token].Run = sched.OnSuccess }, "", nil},
		"its group is off": {func(p *play, token int) {
			p.spec.Tasks[token].Group = p.group("g", 2, func(g *sched.Group) { g.When = true })
			p.conditionIs("g", false)
		}, event.Skipped, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, 2)
			initial := p.task("init", 1)
			token := p.task("token", 1, needs(initial), run(sched.OnDemand))
			p.taskOn("join", []int{1}, needsAll(initial), run(sched.Always))
			p.does("join", p.demands(token, 0, false))
			c.setUp(p, token)
			p.run()
			err := p.endings["join@1"].Err
			if !errors.As(err, &demanded) || c.is != nil && !errors.Is(err, c.is) || p.err != nil {
				t.Fatal(err, p.err)
			}
			for inner := demanded; errors.As(inner.Err, &inner); {
				demanded = inner
			}
			if demanded.Status != c.status || (c.status == event.Blocked && len(demanded.Roots) == 0) {
				t.Errorf("%+v", demanded)
			}
			t.Log(err)
		})
	}
}

func loseHost(p *play, _ int) {
	p.does("init", takes(time.Second, sched.Result{Status: event.Unreachable, HostLost: true}))
	p.spec.Tasks[0].AllowFailure = true
}

func TestADemandThatWaitsForItselfFailsAndTheRunGoesOn(t *testing.T) {
	p := newPlay(t, 2)
	join := p.task("join", 2)
	token := p.task("token", 1, needsAll(join), run(sched.OnDemand))
	a := p.task("a", 1, run(sched.OnDemand))
	b := p.task("b", 1, run(sched.OnDemand))
	p.task("circle", 1)
	locked := p.task("locked", 1, run(sched.OnDemand), func(t *sched.Task) { t.Lock = "l" })
	p.task("holder", 1, func(t *sched.Task) { t.Lock = "l" })
	p.task("other", 2, needs(join))
	p.does("join@0", p.demands(token, 0, false))
	p.does("circle", p.demands(a, 0, false))
	p.does("a", p.demands(b, 0, false))
	p.does("b", p.demands(a, 0, false))
	p.does("holder", p.demands(locked, 0, false))
	p.run().wantResults("join: failed ok", "token: -", "a: failed", "b: failed", "circle: failed", "locked: -",
		"holder: failed", "other: blocked ok")
}

func TestADemandEndsWithItsContext(t *testing.T) {
	p := newPlay(t, 1)
	p.spec.Limits.Total = 1
	token := p.task("token", 1, run(sched.OnDemand))
	p.task("join", 1, func(t *sched.Task) { t.Timeout = 3 * time.Second })
	p.task("other", 1)
	p.does("token", takes(10*time.Second, sched.Result{}))
	p.does("join", p.demands(token, 0, false))
	p.run().wantResults("token: ok", "join: timed-out", "other: ok")
}

func TestAnAttemptWaitsForOneDemandAtATime(t *testing.T) {
	p := newPlay(t, 1)
	token := p.task("token", 1, run(sched.OnDemand))
	p.task("join", 1)
	p.does("join", func(ctx context.Context, n int, ctl sched.Control) sched.Result {
		second := make(chan sched.Result)
		go func() {
			sleep(ctx, time.Millisecond)
			second <- p.demands(token, 0, false)(ctx, n, ctl)
		}()
		p.demands(token, 0, false)(ctx, n, ctl)
		return <-second
	})
	p.run().wantResults("token: ok", "join: failed")
}

func TestADemandedTaskIsRetriedAndReported(t *testing.T) {
	p := newPlay(t, 1)
	token := p.task("token", 1, run(sched.OnDemand), attempts(2, time.Second), conditional)
	p.task("join", 1)
	p.conditionIs("token", true)
	p.does("token", failsFirst(1, sched.Result{Err: errBoom}))
	p.does("join", p.demands(token, 0, false))
	p.run().wantLog("0s start join@0", "0s start token@0", "1s attempt 1 of token@0: failed, again in 1s",
		"2s start token@0 (2)", "3s end token@0 changed", "3s demand answered: changed false", "4s end join@0 ok")
}
