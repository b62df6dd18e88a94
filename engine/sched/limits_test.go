package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

func TestTheTotalBoundsWhatRuns(t *testing.T) {
	p := newPlay(t, 10)
	p.spec.Limits.Total = 3
	p.task("a", 10)
	p.run().wantResults("a: ok ok ok ok ok ok ok ok ok ok")
	if p.most[""] != 3 {
		t.Errorf("%d at once", p.most[""])
	}
}

func TestAHostRunsNoMoreThanItsShare(t *testing.T) {
	p := newPlay(t, 2)
	p.spec.Limits.PerHost = 1
	p.task("a", 1)
	p.task("b", 1)
	p.task("c", 2)
	p.run().wantStarts("0s a@0", "0s c@1", "1s b@0", "2s c@0")
}

func TestOneOfAClassAtATimeOnAHost(t *testing.T) {
	p := newPlay(t, 2)
	packages := func(t *sched.Task) { t.Class = "package" }
	p.task("a", 2, packages)
	p.task("b", 2, packages)
	p.task("c", 1)
	p.run().wantStarts("0s a@0", "0s a@1", "0s c@0", "1s b@0", "1s b@1")
}

func TestWhoeverWaitsForAClassLeavesItsHostToOthers(t *testing.T) {
	p := newPlay(t, 1)
	p.spec.Limits.PerHost = 2
	packages := func(t *sched.Task) { t.Class = "package" }
	p.task("a", 1, packages)
	p.task("b", 1, packages)
	p.task("c", 1)
	p.task("d", 1)
	p.run().wantStarts("0s a@0", "0s c@0", "1s b@0", "1s d@0")
}

func TestAPlaceOnAHostIsNotWastedOnWhoCannotUseIt(t *testing.T) {
	for name, c := range map[string]struct {
		c    sched.Result
		want []string
	}{
		"b waits for its class": {sched.Result{}, []string{"0s a@0", "0s c@0", "1s d@0", "5s b@0"}},
		"b is blocked":          {sched.Result{HostLost: true, Status: event.Unreachable}, []string{"0s a@0", "0s c@0", "1s d@0"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, 1)
			p.spec.Limits.PerHost = 2
			first := func(t *sched.Task) { t.Weight = time.Hour }
			packages := func(t *sched.Task) { t.Class = "package" }
			p.task("a", 1, first, packages)
			p.task("c", 1, first)
			p.task("b", 1, packages)
			p.task("d", 1, func(t *sched.Task) { t.Remote = true })
			p.does("a", takes(5*time.Second, sched.Result{}))
			p.does("c", takes(time.Second, c.c))
			p.run().wantStarts(c.want...)
		})
	}
}

func TestWhatHasTriedIsNotBlockedByTheFailuresOfOthers(t *testing.T) {
	p := newPlay(t, 3)
	p.spec.Limits.PerHost = 1
	p.task("a", 3, attempts(2, 0), func(t *sched.Task) { t.MaxParallel, t.Weight = 2, time.Hour })
	p.task("hog", 1)
	p.does("a@0", failsFirst(1, sched.Result{Err: errBoom}))
	p.does("hog", takes(9*time.Second, sched.Result{}))
	p.fails("a@1")
	p.run().wantResults("a: changed failed blocked", "hog: ok")
	p.wantStarts("0s a@0", "0s a@1", "1s a@1 (2)", "1s hog@0", "10s a@0 (2)")
}

func TestMaxParallelTakesHostsInTheOrderOfTheTask(t *testing.T) {
	p := newPlay(t, 4)
	p.taskOn("a", []int{3, 1, 0, 2}, func(t *sched.Task) { t.MaxParallel = 2 })
	p.does("a@1", takes(5*time.Second, sched.Result{}))
	p.run().wantStarts("0s a@1", "0s a@3", "1s a@0", "2s a@2")
}

func TestARollingChangeStopsAtTheFirstFailure(t *testing.T) {
	p := newPlay(t, 5)
	a := p.task("a", 5, func(t *sched.Task) { t.MaxParallel = 2 })
	p.task("b", 5, needs(a))
	p.does("a@1", takes(2*time.Second, sched.Result{Err: errBoom}))
	p.does("a@2", takes(3*time.Second, sched.Result{}))
	p.run().wantResults("a: ok failed ok blocked blocked", "b: ok blocked ok blocked blocked")
	p.wantRoots("a@4", "a@1")
	p.wantSummary("a@1 blocked 5")
}

func TestARollingChangeToleratesMaxFailures(t *testing.T) {
	p := newPlay(t, 6)
	p.task("a", 6, func(t *sched.Task) { t.MaxParallel, t.MaxFailures = 1, 2 })
	p.fails("a@0", "a@2", "a@3")
	p.run().wantResults("a: failed ok failed failed blocked blocked")
	p.wantSummary("a@3 blocked 2")
}

func TestAWaitingRetryKeepsItsMaxParallelSlot(t *testing.T) {
	p := newPlay(t, 2)
	p.task("a", 2, func(t *sched.Task) { t.MaxParallel = 1 }, attempts(2, time.Minute))
	p.does("a@0", failsFirst(1, sched.Result{Err: errBoom}))
	p.run().wantStarts("0s a@0", "1m1s a@0 (2)", "1m2s a@1")
}

func TestALockHasOneHolderInTheWholeRun(t *testing.T) {
	p := newPlay(t, 2)
	lock := func(t *sched.Task) { t.Lock = "etcd" }
	p.task("a", 2, lock)
	p.task("b", 2, lock)
	p.task("c", 1)
	p.run().wantStarts("0s a@0", "0s c@0", "1s a@1", "2s b@0", "3s b@1")
}

func TestALockGoesToTheLongestRemainingPath(t *testing.T) {
	p := newPlay(t, 1)
	lock := func(t *sched.Task) { t.Lock = "etcd" }
	p.task("short", 1, lock)
	holder := p.task("holder", 1, func(t *sched.Task) { t.Lock, t.Weight = "etcd", time.Hour })
	long := p.task("long", 1, lock)
	p.task("after_long", 1, needs(long), func(t *sched.Task) { t.Weight = time.Minute })
	_ = holder
	p.run().wantStarts("0s holder@0", "1s long@0", "2s after_long@0", "2s short@0")
}

func TestReadyInstancesAreTakenLongestRemainingPathFirst(t *testing.T) {
	weigh := func(d time.Duration) func(*sched.Task) { return func(t *sched.Task) { t.Weight = d } }
	p := newPlay(t, 1)
	p.spec.Limits.Total = 1
	p.task("short", 1, weigh(3*time.Second))
	a := p.task("a", 1, weigh(time.Second))
	b := p.task("b", 1, needs(a), weigh(time.Second))
	p.task("c", 1, needs(b), weigh(2*time.Second))
	p.run().wantStarts("0s a@0", "1s short@0", "2s b@0", "3s c@0")
}

func TestNobodyWaitsForASlotWhileHoldingALock(t *testing.T) {
	p := newPlay(t, 6)
	p.spec.Limits = sched.Limits{Total: 2, PerHost: 1}
	both := func(t *sched.Task) { t.Lock, t.MaxParallel = "l", 2 }
	a := p.task("a", 6, both)
	p.task("b", 6, both)
	p.task("c", 6, needs(a), func(t *sched.Task) { t.Class = "x" })
	p.run()
	if got := p.counts(); got != "ok 18" || p.err != nil {
		t.Error(got, p.err)
	}
}

func TestRetriesOfTransientFailuresAreTheDefault(t *testing.T) {
	transient := sched.Result{Err: errBoom, Retryable: true}
	p := newPlay(t, 1)
	p.spec.Retry = sched.Retry{Attempts: 3, Delay: time.Second, Backoff: 2}
	p.task("heals", 1)
	p.task("stays", 1)
	p.task("permanent", 1)
	p.does("heals", failsFirst(2, transient))
	p.does("stays", takes(time.Second, transient))
	p.fails("permanent")
	p.run().wantResults("heals: changed", "stays: failed", "permanent: failed")
	p.wantStarts("0s heals@0", "0s permanent@0", "0s stays@0", "2s heals@0 (2)", "2s stays@0 (2)",
		"5s heals@0 (3)", "5s stays@0 (3)")
	if e := p.endings["stays@0"]; len(e.Attempts) != 2 || !errors.Is(e.Err, errBoom) {
		t.Errorf("%+v", e)
	}
	if e := p.endings["heals@0"]; len(e.Attempts) != 2 {
		t.Errorf("%+v", e)
	}
}

func TestARetryThatIsAskedForAppliesToEveryFailure(t *testing.T) {
	p := newPlay(t, 1)
	p.task("a", 1, attempts(2, 0))
	p.task("slow", 1, attempts(2, 0), func(t *sched.Task) { t.Timeout = time.Second })
	p.task("unknown", 1, attempts(2, 0))
	p.fails("a")
	p.does("slow", takes(time.Hour, sched.Result{}))
	p.does("unknown", takes(time.Second, sched.Result{Status: event.Unknown})) // the exception: it must be looked at
	p.run().wantResults("a: failed", "slow: timed-out", "unknown: unknown")
	p.wantStarts("0s a@0", "0s slow@0", "0s unknown@0", "1s a@0 (2)", "1s slow@0 (2)")
}

func TestDelaysGrowUpToTheirBound(t *testing.T) {
	p := newPlay(t, 1)
	p.task("a", 1, func(t *sched.Task) {
		t.Retry = &sched.Retry{Attempts: 5, Delay: 10 * time.Second, Backoff: 3, MaxDelay: time.Minute}
	})
	p.does("a", takes(0, sched.Result{Err: errBoom}))
	p.run().wantLog("0s start a@0", "0s attempt 1 of a@0: failed, again in 10s",
		"10s start a@0 (2)", "10s attempt 2 of a@0: failed, again in 30s",
		"40s start a@0 (3)", "40s attempt 3 of a@0: failed, again in 1m0s",
		"1m40s start a@0 (4)", "1m40s attempt 4 of a@0: failed, again in 1m0s",
		"2m40s start a@0 (5)", "2m40s end a@0 failed")
}

func TestAWaitingRetryGivesItsHostToOthers(t *testing.T) {
	p := newPlay(t, 1)
	p.spec.Limits = sched.Limits{Total: 1, PerHost: 1}
	p.task("a", 1, attempts(2, 10*time.Second))
	p.task("b", 1)
	p.does("a", failsFirst(1, sched.Result{Err: errBoom}))
	p.run().wantStarts("0s a@0", "1s b@0", "11s a@0 (2)")
}

func TestATimeoutEndsAnAttemptWithItsCause(t *testing.T) {
	p := newPlay(t, 1)
	p.task("a", 1, func(t *sched.Task) { t.Timeout = 3 * time.Second })
	p.task("says_more", 1, func(t *sched.Task) { t.Timeout = 3 * time.Second })
	p.task("makes_it", 1, func(t *sched.Task) { t.Timeout = 3 * time.Second })
	p.task("does_not_know", 1, func(t *sched.Task) { t.Timeout = 3 * time.Second })
	p.does("a", takes(time.Hour, sched.Result{}))
	p.does("says_more", func(ctx context.Context, _ int, _ sched.Control) sched.Result {
		<-ctx.Done()
		return sched.Result{Err: errBoom}
	})
	p.does("makes_it", func(ctx context.Context, _ int, _ sched.Control) sched.Result {
		<-ctx.Done()
		return sched.Result{Status: event.Changed}
	})
	p.does("does_not_know", func(ctx context.Context, _ int, _ sched.Control) sched.Result {
		<-ctx.Done()
		return sched.Result{Status: event.Unknown}
	})
	p.run().wantResults("a: timed-out", "says_more: timed-out", "makes_it: changed", "does_not_know: unknown")
	var timeout *sched.TimeoutError
	if err := p.endings["a@0"].Err; !errors.As(err, &timeout) || timeout.After != 3*time.Second {
		t.Error(err)
	}
	if err := p.endings["says_more@0"].Err; !errors.As(err, &timeout) || !errors.Is(err, errBoom) {
		t.Error(err)
	}
}

func TestWhatWaitsCanBeExplained(t *testing.T) {
	p := newPlay(t, 2)
	p.spec.Limits.PerHost = 3
	first := func(t *sched.Task) { t.Weight = time.Hour }
	token := p.task("token", 1, run(sched.OnDemand), first)
	p.task("join", 2, first, func(t *sched.Task) { t.Lock = "l" })
	p.task("rolling", 2, func(t *sched.Task) { t.MaxParallel = 1 })
	p.task("retried", 1, attempts(2, time.Hour))
	g := p.group("g", 1, func(g *sched.Group) { g.Lock = "l" })
	p.task("x", 1, in(g))
	p.task("late", 1)
	p.fails("retried")
	p.does("token", takes(time.Hour, sched.Result{}))
	p.does("rolling", takes(time.Hour, sched.Result{}))
	p.does("late", takes(time.Hour, sched.Result{}))
	p.does("join@0", p.demands(token, 0, false))
	var got []string
	p.run(func() {
		time.Sleep(2 * time.Second)
		for _, w := range p.sched.Waiting(context.Background(), 10) {
			line := p.name(w.Instance) + " waits for " + w.For
			if w.Holder.Task != sched.None {
				line += ": " + p.name(w.Holder)
			}
			got = append(got, line)
		}
	})
	p.wantLines(got, []string{"join@0 waits for what it demands: token@0", "join@1 waits for a lock: join@0",
		"rolling@1 waits for a max_parallel slot", "retried@0 waits for its retry", "x@0 waits for a lock: join@0"})
}

func TestNothingWaitsAfterTheRun(t *testing.T) {
	s, _ := sched.New(chain(1, 1))
	if _, err := s.Run(t.Context(), noop{}, nil); err != nil || s.Waiting(t.Context(), 10) != nil {
		t.Error(err)
	}
}
