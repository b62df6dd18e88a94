package sched_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

func TestEachHostGoesOnByItself(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	p.task("b", 2, needs(a))
	p.does("a@1", takes(5*time.Second, sched.Result{}))
	p.run().wantLog(
		"0s start a@0", "0s start a@1", "1s end a@0 ok", "1s start b@0", "2s end b@0 ok",
		"5s end a@1 ok", "5s start b@1", "6s end b@1 ok")
}

func TestANeedOnAllHostsWaitsForTheSlowest(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	p.task("b", 2, needsAll(a))
	p.does("a@1", takes(5*time.Second, sched.Result{}))
	p.run().wantStarts("0s a@0", "0s a@1", "5s b@0", "5s b@1")
}

func TestANeedIsMetWhereItDoesNotRun(t *testing.T) {
	p := newPlay(t, 3)
	a := p.taskOn("a", []int{1})
	nowhere := p.taskOn("nowhere", nil)
	p.task("b", 3, needs(a), needsAll(nowhere), needs(nowhere))
	p.run().wantStarts("0s a@1", "0s b@0", "0s b@2", "1s b@1")
}

func TestWhichResultsMeetANeed(t *testing.T) {
	for _, c := range []struct {
		result sched.Result
		want   string
	}{
		{sched.Result{Status: event.OK}, "ok"},
		{sched.Result{}, "ok"},
		{sched.Result{Status: event.Changed}, "ok"},
		{sched.Result{Status: event.Reused}, "ok"},
		{sched.Result{Status: event.Skipped}, "ok"},
		{sched.Result{Err: errBoom}, "blocked"},
		{sched.Result{Status: event.Failed}, "blocked"},
		{sched.Result{Status: event.Unreachable}, "blocked"},
		{sched.Result{Status: event.TimedOut}, "blocked"},
		{sched.Result{Status: event.Unknown}, "blocked"},
		{sched.Result{Status: event.Cancelled}, "blocked"},
		{sched.Result{Status: event.Blocked}, "blocked"}, // not something an attempt can be: it counts as failed
		{sched.Result{Status: "nonsense"}, "blocked"},
	} {
		for _, form := range []func(...int) func(*sched.Task){needs, needsAll} {
			p := newPlay(t, 1)
			a := p.task("a", 1)
			b := p.task("b", 1, form(a))
			p.does("a", takes(0, c.result))
			p.run()
			if got := p.sum.Status(sched.Instance{Task: b}); string(got) != c.want {
				t.Errorf("a is %q: b is %q, want %q", c.result.Status, got, c.want)
			}
		}
	}
}

func TestAFailureBlocksWhatDependsOnItAndNothingElse(t *testing.T) {
	p := newPlay(t, 3)
	a := p.task("a", 3)
	b := p.task("b", 3, needs(a))
	c := p.taskOn("c", []int{2}, needsAll(b))
	p.task("d", 3, needs(c))
	p.task("other", 3)
	p.fails("a@1")
	p.run().wantResults("a: ok failed ok", "b: ok blocked ok", "c: blocked", "d: ok ok blocked", "other: ok ok ok")
	p.wantRoots("b@1", "a@1")
	p.wantRoots("d@2", "a@1")
	p.wantSummary("a@1 blocked 3")
	if got := p.counts(); got != "blocked 3, failed 1, ok 9" {
		t.Error(got)
	}
}

func TestRootsAreTheFailuresNotTheBlocked(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	b := p.task("b", 2, needs(a))
	p.task("c", 1, needsAll(b))
	p.fails("a")
	p.run().wantRoots("c@0", "a@0", "a@1")
	p.wantSummary("a@0 blocked 2", "a@1 blocked 2")
}

func TestTheListOfRootsIsBounded(t *testing.T) {
	p := newPlay(t, 100)
	a := p.task("a", 100)
	p.task("b", 1, needsAll(a))
	p.fails("a")
	p.run()
	if n := len(p.endings["b@0"].Roots); n != sched.MaxRoots {
		t.Errorf("%d roots", n)
	}
	if n := len(p.sum.Roots); n != 100 {
		t.Errorf("%d roots of the run", n)
	}
}

func TestNothingLooksFurtherUpThanItsOwnNeeds(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1, func(t *sched.Task) { t.AllowFailure = true })
	b := p.task("b", 1, needs(a))
	p.task("c", 1, needs(b))
	p.task("d", 1, needs(b), run(sched.OnFailure))
	p.fails("a")
	p.run().wantResults("a: failed", "b: ok", "c: ok", "d: skipped")
}

func TestASkippedConditionMeetsNeeds(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2, conditional)
	p.task("b", 2, needs(a))
	p.conditionIs("a@0", false)
	p.conditionIs("a@1", true)
	p.run().wantResults("a: skipped ok", "b: ok ok")
	if e := p.endings["a@0"]; e.When != "a@0 wants" || e.Started {
		t.Errorf("%+v", e)
	}
}

func TestAConditionIsAskedOnceWhenNeedsAreMet(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1)
	b := p.task("b", 1, needs(a), conditional, attempts(3, time.Second))
	p.task("c", 1, needs(b))
	asked := 0
	p.conds["b"] = func() sched.Condition {
		p.note("condition")
		asked++
		return sched.Condition{Run: true}
	}
	p.does("b", failsFirst(2, sched.Result{Err: errBoom}))
	p.run().wantResults("a: ok", "b: changed", "c: ok")
	if asked != 1 || p.log[2] != "1s condition" {
		t.Error(asked, p.log)
	}
}

func TestAConditionThatCannotBeEvaluatedIsAFailure(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1, conditional)
	p.task("b", 1, needs(a))
	p.conds["a"] = func() sched.Condition {
		return sched.Condition{Result: &sched.Result{Err: errBoom, Status: event.Failed}}
	}
	p.run().wantResults("a: failed", "b: blocked")
	if e := p.endings["a@0"]; !errors.Is(e.Err, errBoom) || e.Started {
		t.Errorf("%+v", e)
	}
}

func TestAConditionCanEndAnInstanceAsReused(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1, conditional)
	p.task("b", 1, needs(a))
	p.conds["a"] = func() sched.Condition { return sched.Condition{Result: &sched.Result{Status: event.Reused}} }
	p.run().wantResults("a: reused", "b: ok")
	p.wantStarts("0s b@0")
}

func TestOnFailureRunsIfAnyOfItsOwnNeedsFailed(t *testing.T) {
	p := newPlay(t, 4)
	a := p.task("a", 4, func(t *sched.Task) { t.MaxFailures = 1 }) // host 0: ok, 1: tolerated, 2: not, 3: ok
	b := p.task("b", 4, needs(a))                                  // ok, ok, blocked, ok
	p.task("of_a", 4, needs(a), run(sched.OnFailure))
	p.task("of_b", 4, needs(b), run(sched.OnFailure))
	p.task("of_all", 1, needsAll(a), run(sched.OnFailure))
	p.does("a@1", takes(2*time.Second, sched.Result{Err: errBoom}))
	p.does("a@2", takes(3*time.Second, sched.Result{Err: errBoom}))
	p.run().wantResults("a: ok failed failed ok", "b: ok ok blocked ok", "of_a: skipped ok ok skipped",
		"of_b: skipped skipped ok skipped", "of_all: ok")
}

func TestAlwaysRunsWhateverTheResult(t *testing.T) {
	p := newPlay(t, 3)
	a := p.task("a", 3)
	b := p.task("b", 3, needs(a))
	p.task("c", 3, needs(b), run(sched.Always))
	p.fails("a@0", "b@1")
	p.run().wantResults("a: failed ok ok", "b: blocked failed ok", "c: ok ok ok")
}

func TestAllowedFailuresMeetNeeds(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2, func(t *sched.Task) { t.AllowFailure = true })
	b := p.task("b", 2, needs(a))
	p.task("c", 1, needsAll(a), needsAll(b))
	p.fails("a")
	p.run().wantResults("a: failed failed", "b: ok ok", "c: ok")
	p.wantSummary()
	if !p.endings["a@0"].Allowed {
		t.Error("the ending does not say that the failure is allowed")
	}
}

func TestMoreThanMaxFailuresBlockWhatNeedsThem(t *testing.T) {
	p := newPlay(t, 3)
	a := p.task("a", 3, func(t *sched.Task) { t.MaxFailures = 1 })
	p.task("same", 3, needs(a))
	p.task("all", 1, needsAll(a))
	p.fails("a@0")
	p.does("a@1", takes(3*time.Second, sched.Result{Err: errBoom}))
	p.run().wantResults("a: failed failed ok", "same: ok blocked ok", "all: blocked")
	p.wantRoots("all@0", "a@1")
	p.wantSummary("a@1 blocked 2")
}

func TestALostHostBlocksWhatHasNotStartedThere(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	p.task("b", 2, needs(a))
	late := p.task("late", 2, needsAll(p.taskOn("slow", []int{1})))
	p.task("drain", 2, needsAll(p.taskOn("slow2", []int{1})), func(t *sched.Task) { t.Remote = true })
	p.task("running", 2)
	p.task("after", 2, needs(late), run(sched.Always))
	p.does("slow", takes(9*time.Second, sched.Result{}))
	p.does("slow2", takes(9*time.Second, sched.Result{}))
	p.does("running", takes(9*time.Second, sched.Result{}))
	p.does("a@0", takes(time.Second, sched.Result{Status: event.Unreachable, HostLost: true}))
	p.run().wantResults("a: unreachable ok", "b: blocked ok", "slow: ok", "late: blocked ok", "slow2: ok", "drain: ok ok",
		"running: ok ok", "after: blocked ok")
	p.wantRoots("late@0", "a@0")
	p.wantSummary("a@0 blocked 3")
	if at := slices.Index(p.log, "1s end a@0 unreachable"); p.log[at+1] != "1s end b@0 blocked" {
		t.Error("not blocked at once:", p.log)
	}
}

func TestALostHostCountsAsAToleratedFailure(t *testing.T) {
	p := newPlay(t, 3)
	some := func(t *sched.Task) { t.MaxFailures = 1 }
	a := p.task("a", 3, some)
	b := p.task("b", 3, needs(a), some)
	p.task("c", 1, needsAll(b))
	p.does("a@2", takes(0, sched.Result{Status: event.Unreachable, HostLost: true}))
	p.run().wantResults("a: ok ok unreachable", "b: ok ok blocked", "c: ok")
	p.wantSummary("a@2 blocked 1, allowed")
}

func TestAPanicIsAFailureWithItsStack(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	p.task("b", 2, needs(a), conditional)
	p.conds["b"] = func() sched.Condition { panic("no such fact") }
	p.does("a@0", func(context.Context, int, sched.Control) sched.Result { panic("oh") })
	p.run().wantResults("a: failed ok", "b: blocked failed")
	var panicked *sched.PanicError
	if !errors.As(p.endings["a@0"].Err, &panicked) || panicked.Value != "oh" || panicked.Stack == "" {
		t.Error(p.endings["a@0"].Err)
	}
}

func TestAnExecutorThatEndsItsGoroutineIsAFailure(t *testing.T) {
	p := newPlay(t, 3)
	p.spec.Limits.Total = 1
	p.task("a", 3)
	p.does("a@1", func(context.Context, int, sched.Control) sched.Result {
		runtime.Goexit() // as t.Fatal does
		return sched.Result{}
	})
	p.run().wantResults("a: ok failed ok")
}
