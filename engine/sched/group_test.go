package sched_test

import (
	"context"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// observed is a play that hears of groups, too.
type observed struct{ *play }

func (o observed) Entered(group, host, attempt int) {
	o.note("enter %s@%d (%d)", o.spec.Groups[group].ID, host, attempt)
}

func (o observed) Restarting(group, host, attempt int, in time.Duration) {
	o.note("restart %s@%d (%d) in %v", o.spec.Groups[group].ID, host, attempt, in)
}

func (o observed) Left(group, host int, s event.Status) {
	o.note("leave %s@%d %s", o.spec.Groups[group].ID, host, s)
}

func groupNeeds(tasks ...int) func(*sched.Group) {
	return func(g *sched.Group) {
		for _, k := range tasks {
			g.Needs = append(g.Needs, sched.Need{Task: k})
		}
	}
}

func tries(n int) func(*sched.Group) {
	return func(g *sched.Group) { g.Retry = &sched.Retry{Attempts: n, Delay: 10 * time.Second} }
}

func TestTheConditionOfAGroupIsAskedOncePerHostAndHoldsForAllInside(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	g := p.group("g", 2, groupNeeds(a), func(g *sched.Group) { g.When = true })
	inner := p.group("inner", 2, func(s *sched.Group) { s.Group = g })
	x := p.task("x", 2, in(g))
	y := p.task("y", 2, in(inner), needs(x))
	p.task("after", 2, needs(y))
	asked := 0
	p.conds["g@0"] = func() sched.Condition { asked++; return sched.Condition{Text: "no"} }
	p.conditionIs("g@1", true)
	p.runWith(observed{p}).wantResults("a: ok ok", "x: skipped ok", "y: skipped ok", "after: ok ok")
	if asked != 1 || p.endings["y@0"].When != "no" {
		t.Error(asked, p.endings["y@0"])
	}
}

func TestAGroupWhoseNeedsFailedIsBlocked(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	g := p.group("g", 2, groupNeeds(a))
	x := p.task("x", 2, in(g))
	p.task("y", 2, in(g), needs(x))
	p.task("finally", 2, in(g), needs(x), run(sched.Always))
	p.fails("a@1")
	p.run().wantResults("a: ok failed", "x: ok blocked", "y: ok blocked", "finally: ok blocked")
	p.wantSummary("a@1 blocked 3")
}

func TestAGroupConditionThatFailsIsTheFailureOfItsFirstTask(t *testing.T) {
	p := newPlay(t, 1)
	g := p.group("g", 1, func(g *sched.Group) { g.When = true })
	x := p.task("x", 1, in(g))
	p.task("y", 1, in(g), needs(x))
	p.conds["g"] = func() sched.Condition {
		return sched.Condition{Result: &sched.Result{Status: event.Failed, Err: errBoom}}
	}
	p.run().wantResults("x: failed", "y: blocked")
	p.wantRoots("y@0", "x@0")
}

func TestALockOfAGroupIsHeldFromItsFirstToItsLastStep(t *testing.T) {
	p := newPlay(t, 2)
	g := p.group("g", 2, func(g *sched.Group) { g.Lock = "etcd" })
	x := p.task("x", 2, in(g))
	p.task("y", 2, in(g), needs(x))
	p.task("other", 1, func(t *sched.Task) { t.Lock = "etcd" })
	p.runWith(observed{p}).wantStarts("0s x@0", "1s y@0", "2s x@1", "3s y@1", "4s other@0")
}

func TestAGroupRollsHostByHost(t *testing.T) {
	p := newPlay(t, 4)
	g := p.group("g", 0, func(g *sched.Group) { g.MaxParallel, g.Hosts = 1, []int{2, 0, 1, 3} })
	x := p.task("x", 4, in(g))
	p.task("y", 4, in(g), needs(x))
	p.fails("y@0")
	p.run().wantResults("x: ok blocked ok blocked", "y: failed blocked ok blocked")
	p.wantStarts("0s x@2", "1s y@2", "2s x@0", "3s y@0")
	p.wantRoots("x@1", "y@0")
}

func TestAGroupThatHoldsSomethingWaitsForNothingOutside(t *testing.T) {
	p := newPlay(t, 2)
	slow := p.task("slow", 2)
	g := p.group("g", 2, func(g *sched.Group) { g.Lock = "l" })
	x := p.task("x", 2, in(g))
	p.task("y", 2, in(g), needs(x), needsAll(slow))
	p.does("slow@1", takes(20*time.Second, sched.Result{Err: errBoom}))
	p.run().wantResults("slow: ok failed", "x: ok ok", "y: blocked blocked")
	p.wantStarts("0s slow@0", "0s slow@1", "20s x@0", "21s x@1")
}

func TestAFinallyRunsAlsoAfterAFailure(t *testing.T) {
	p := newPlay(t, 3)
	g := p.group("g", 3)
	drain := p.task("drain", 3, in(g), conditional)
	upgrade := p.task("upgrade", 3, in(g), needs(drain))
	p.task("uncordon", 3, in(g), needs(drain, upgrade), run(sched.Always))
	for _, h := range []string{"drain@0", "drain@1"} {
		p.conditionIs(h, true)
	}
	p.conditionIs("drain@2", false)
	p.fails("drain@0", "upgrade@1")
	p.run().wantResults("drain: failed ok skipped", "upgrade: blocked failed ok", "uncordon: ok ok ok")
}

func TestAFinallyDoesNotRunIfNothingWasStarted(t *testing.T) {
	p := newPlay(t, 2)
	before := p.task("before", 2)
	g := p.group("g", 2)
	drain := p.task("drain", 2, in(g), conditional, needs(before))
	p.task("uncordon", 2, in(g), needs(drain), run(sched.Always))
	p.fails("before@0")
	p.conditionIs("drain", false)
	p.run().wantResults("before: failed ok", "drain: blocked skipped", "uncordon: blocked skipped")
	p.wantRoots("uncordon@0", "before@0")
}

func TestAGroupCanBeAFinally(t *testing.T) {
	p := newPlay(t, 1)
	g := p.group("g", 1)
	x := p.task("x", 1, in(g))
	undo := p.group("undo", 1, groupNeeds(x), func(s *sched.Group) { s.Group, s.Run = g, sched.Always })
	u1 := p.task("u1", 1, in(undo))
	p.task("u2", 1, in(undo), needs(u1))
	p.fails("x")
	p.run().wantResults("x: failed", "u1: ok", "u2: ok")
}

func TestAGroupStartsAgainAtItsFirstStep(t *testing.T) {
	p := newPlay(t, 2)
	g := p.group("g", 2, tries(3))
	x := p.task("x", 2, in(g))
	y := p.task("y", 2, in(g), needs(x))
	p.task("z", 2, in(g), needs(x, y), run(sched.Always))
	p.task("after", 2, needs(y))
	p.task("if_failed", 2, needs(y), run(sched.OnFailure))
	p.does("y@0", failsFirst(1, sched.Result{Err: errBoom}))
	p.runWith(observed{p}).wantResults("x: ok ok", "y: changed ok", "z: ok ok", "after: ok ok", "if_failed: skipped skipped")
	p.wantSummary()
	p.wantStarts("0s x@0", "0s x@1", "1s y@0", "1s y@1", "2s z@0", "2s z@1", "3s after@1",
		"13s x@0", "14s y@0", "15s z@0", "16s after@0")
}

func TestAGroupThatFailsAtItsLastAttemptHasFailed(t *testing.T) {
	p := newPlay(t, 1)
	outer := p.group("outer", 1, tries(2))
	g := p.group("g", 1, tries(2), func(s *sched.Group) { s.Group = outer })
	x := p.task("x", 1, in(g))
	y := p.task("y", 1, in(g), needs(x))
	p.task("in_outer", 1, in(outer), needs(y))
	p.task("after", 1, needs(y))
	p.does("x", takes(time.Second, sched.Result{}))
	p.fails("y")
	p.runWith(observed{p}).wantResults("x: ok", "y: failed", "in_outer: blocked", "after: blocked")
	p.wantSummary("y@0 blocked 2")
	p.wantLog(
		"0s enter outer@0 (1)", "0s enter g@0 (1)", "0s start x@0", "1s end x@0 ok", "1s start y@0", "2s end y@0 failed",
		"2s restart g@0 (1) in 10s", "12s enter g@0 (2)", "12s start x@0", "13s end x@0 ok", "13s start y@0",
		"14s end y@0 failed", "14s leave g@0 failed", "14s end in_outer@0 blocked",
		"14s restart outer@0 (1) in 10s", "24s enter outer@0 (2)", "24s enter g@0 (1)", "24s start x@0", "25s end x@0 ok",
		"25s start y@0", "26s end y@0 failed", "26s restart g@0 (1) in 10s", "36s enter g@0 (2)", "36s start x@0",
		"37s end x@0 ok", "37s start y@0", "38s end y@0 failed", "38s leave g@0 failed", "38s end in_outer@0 blocked",
		"38s leave outer@0 failed", "38s end after@0 blocked")
}

func TestAFailureThatARestartMayHealDoesNotStopARollingChange(t *testing.T) {
	p := newPlay(t, 2)
	g := p.group("g", 2, tries(2))
	rolling := p.group("rolling", 2, func(s *sched.Group) { s.Group, s.MaxParallel = g, 1 })
	p.task("x", 2, in(g), func(t *sched.Task) { t.MaxParallel = 2 })
	p.task("y", 2, in(rolling))
	p.does("x@0", failsFirst(1, sched.Result{Err: errBoom}))
	p.does("y@1", failsFirst(1, sched.Result{Err: errBoom}))
	p.run().wantResults("x: changed ok", "y: ok changed")
}

func TestAnOnDemandTaskInAGroupOutlivesARestart(t *testing.T) {
	p := newPlay(t, 1)
	g := p.group("g", 1, tries(3))
	token := p.task("token", 1, in(g), run(sched.OnDemand))
	p.task("x", 1, in(g))
	calls := 0
	p.does("x", func(ctx context.Context, n int, ctl sched.Control) sched.Result {
		if calls++; calls == 1 {
			return sched.Result{Err: errBoom}
		}
		if p.demands(token, 0, false)(ctx, n, ctl); calls == 2 {
			return sched.Result{Err: errBoom}
		}
		return sched.Result{}
	})
	p.run().wantResults("token: ok", "x: ok")
	p.wantStarts("0s x@0", "10s token@0", "10s x@0", "22s x@0")
}

func TestAnOnDemandTaskOfAGroupThatIsThroughCanBeDemanded(t *testing.T) {
	p := newPlay(t, 2)
	g := p.group("g", 1, func(g *sched.Group) { g.When = true })
	first := p.task("init", 1, in(g))
	token := p.task("token", 1, in(g), run(sched.OnDemand))
	p.taskOn("join", []int{1})
	p.conditionIs("g", true)
	p.does("join", p.demands(token, 0, false))
	p.presets = []sched.Preset{{Instance: sched.Instance{Task: first}, Status: event.OK}} // from an earlier session
	p.run().wantResults("init: reused", "token: ok", "join: ok")
}

func TestNestedGroupsShareTheResultOfTheOuterCondition(t *testing.T) {
	for _, result := range []event.Status{event.Failed, event.OK} { // a group can't be ok without being entered
		p := newPlay(t, 1)
		g := p.group("g", 1, func(g *sched.Group) { g.When = true })
		inner := p.group("inner", 1, func(s *sched.Group) { s.Group = g })
		p.task("x", 1, in(inner))
		p.task("y", 1, in(g), needs(0), run(sched.OnFailure))
		p.conds["g"] = func() sched.Condition { return sched.Condition{Result: &sched.Result{Status: result, Err: errBoom}} }
		p.run().wantResults("x: failed", "y: blocked")
	}
}

func TestARestartKeepsLockAndSlot(t *testing.T) {
	p := newPlay(t, 2)
	g := p.group("g", 2, tries(2), func(g *sched.Group) { g.MaxParallel, g.Lock = 1, "l" })
	p.task("x", 2, in(g))
	p.does("x@0", failsFirst(1, sched.Result{Err: errBoom}))
	p.run().wantStarts("0s x@0", "11s x@0", "12s x@1")
	p.wantResults("x: changed ok")
}

func TestFailuresOfAGroupAreToleratedByThoseOutsideIt(t *testing.T) {
	p := newPlay(t, 3)
	g := p.group("g", 3, func(g *sched.Group) { g.MaxFailures = 1 })
	x := p.task("x", 3, in(g))
	y := p.task("y", 3, in(g), needs(x))
	p.task("same", 3, needs(y))
	p.fails("x@0")
	p.does("y@1", takes(5*time.Second, sched.Result{Err: errBoom}))
	p.run().wantResults("x: failed ok ok", "y: blocked failed ok", "same: ok blocked ok")
	p.wantSummary("x@0 blocked 1, allowed", "y@1 blocked 1")
}

func TestAGroupNeedsNothingToDoOnALostHost(t *testing.T) {
	p := newPlay(t, 2)
	probe := p.task("probe", 2)
	g := p.group("g", 2, groupNeeds(p.task("slow", 2)), func(g *sched.Group) { g.MaxParallel, g.When = 1, true })
	p.task("x", 2, in(g))
	p.conditionIs("g", true)
	p.does("slow", takes(5*time.Second, sched.Result{}))
	p.does("probe@0", takes(time.Second, sched.Result{Status: event.Unreachable, HostLost: true}))
	_ = probe
	p.run().wantResults("probe: unreachable ok", "slow: ok ok", "x: blocked ok")
}

func TestAnEmptyGroupIsLeftAtOnce(t *testing.T) {
	p := newPlay(t, 2)
	g := p.group("g", 2, func(g *sched.Group) { g.Lock = "l" })
	p.task("later", 2, in(g), run(sched.OnDemand))
	p.task("a", 1)
	p.run().wantResults("later: - -", "a: ok")
}

func TestWhatMayNotLieInAGroupThatHoldsSomething(t *testing.T) {
	for name, f := range map[string]func(p *play){
		"a lock inside a lock": func(p *play) {
			g := p.group("g", 2, func(g *sched.Group) { g.Lock = "l" })
			p.task("x", 2, in(g), func(t *sched.Task) { t.Lock = "m" })
		},
		"waiting for all hosts": func(p *play) {
			g := p.group("g", 2, func(g *sched.Group) { g.MaxParallel = 1 })
			p.task("y", 2, in(g), needsAll(p.task("x", 2, in(g))))
		},
		"waiting for what waits for the group": func(p *play) {
			g := p.group("g", 2, tries(2))
			between := p.task("between", 2, needs(p.task("x", 2, in(g))))
			p.task("y", 2, in(g), needs(between))
		},
	} {
		p := newPlay(t, 2)
		f(p)
		if _, err := sched.New(p.spec); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(err)
		}
	}
}
