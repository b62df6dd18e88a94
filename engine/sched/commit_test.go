package sched_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// disk is an observer whose commits take a while, and fail from the given one on.
type disk struct {
	*play
	takes   time.Duration
	failsAt int
	commits int
}

func (d *disk) Commit() error {
	d.commits++
	d.note("commit %d", d.commits)
	time.Sleep(d.takes)
	if d.failsAt > 0 && d.commits >= d.failsAt {
		return errBoom
	}
	d.note("durable %d", d.commits)
	return nil
}

func TestNothingStartsBeforeWhatItNeedsIsDurable(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1)
	p.task("b", 1, needs(a))
	p.runWith(&disk{play: p, takes: 100 * time.Millisecond}).wantLog("0s start a@0", "1s end a@0 ok", "1s commit 1",
		"1.1s durable 1", "1.1s start b@0", "2.1s end b@0 ok", "2.1s commit 2", "2.2s durable 2")
}

func TestACommitServesAllThatHasEndedMeanwhile(t *testing.T) {
	p := newPlay(t, 50)
	a := p.task("a", 50)
	p.task("b", 50, needs(a))
	for h := range 50 {
		p.does(p.name(sched.Instance{Task: a, Host: h}), takes(time.Duration(h)*time.Millisecond, sched.Result{}))
	}
	d := &disk{play: p, takes: time.Second}
	p.runWith(d)
	if d.commits > 6 {
		t.Errorf("%d commits", d.commits)
	}
	if got := p.counts(); got != "ok 100" {
		t.Error(got)
	}
}

func TestASlowDiskDoesNotStopWhatIsIndependent(t *testing.T) {
	p := newPlay(t, 1)
	p.spec.Limits.Total = 1
	p.task("a", 1)
	p.task("b", 1)
	p.task("c", 1)
	p.runWith(&disk{play: p, takes: time.Minute}).wantStarts("0s a@0", "1s b@0", "2s c@0")
}

func TestALockIsKeptUntilTheResultIsDurable(t *testing.T) {
	p := newPlay(t, 2)
	p.task("a", 2, func(t *sched.Task) { t.Lock = "l" })
	p.runWith(&disk{play: p, takes: time.Minute}).wantStarts("0s a@0", "1m1s a@1")
}

func TestADurableStartIsStoredBeforeTheActionBegins(t *testing.T) {
	p := newPlay(t, 1)
	p.task("reboot", 1, attempts(2, 0), func(t *sched.Task) { t.DurableStart = true })
	p.does("reboot", failsFirst(1, sched.Result{Err: errBoom}))
	p.runWith(&disk{play: p, takes: time.Minute}).wantLog("0s start reboot@0", "0s commit 1", "1m0s durable 1",
		"1m1s attempt 1 of reboot@0: failed, again in 0s", "1m1s start reboot@0 (2)", "1m1s commit 2", "2m1s durable 2",
		"2m2s end reboot@0 changed", "2m2s commit 3", "3m2s durable 3")
}

func TestBlockedIsNotWaitedForButStored(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1)
	b := p.task("b", 1, needs(a))
	p.task("c", 1, needs(b))
	p.fails("a")
	p.runWith(&disk{play: p}).wantLog("0s start a@0", "1s end a@0 failed", "1s commit 1", "1s durable 1",
		"1s end b@0 blocked", "1s end c@0 blocked", "1s commit 2", "1s durable 2")
}

func TestAnErrorOfTheLastCommitIsReported(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1)
	p.task("b", 1, needs(a))
	p.fails("a")
	p.runWith(&disk{play: p, failsAt: 2}).wantStatuses("a: failed", "b: blocked")
	if stored := (*sched.CommitError)(nil); !errors.As(p.err, &stored) {
		t.Error(p.err)
	}
}

func TestAFullDiskStopsTheRun(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	p.task("b", 2, needs(a))
	g := p.group("g", 1)
	x := p.task("x", 1, in(g))
	p.task("undo", 1, in(g), needs(x), run(sched.Always))
	p.task("start", 1, needs(x), func(t *sched.Task) { t.DurableStart = true })
	p.does("a@1", takes(5*time.Second, sched.Result{Status: event.Changed}))
	p.does("x", takes(4*time.Second, sched.Result{}))
	p.runWith(&disk{play: p, failsAt: 1, takes: time.Second})
	p.wantStatuses("a: ok changed", "b: cancelled cancelled", "x: ok", "undo: cancelled", "start: cancelled")
	var stored *sched.CommitError
	if !errors.As(p.err, &stored) || !errors.Is(p.err, errBoom) {
		t.Error(p.err)
	}
	if log := strings.Join(p.log, "\n"); strings.Count(log, "commit") != 1 {
		t.Error(log)
	}
}

func TestAnActionDoesNotBeginIfItsStartCannotBeStored(t *testing.T) {
	p := newPlay(t, 1)
	p.task("reboot", 1, func(t *sched.Task) { t.DurableStart = true })
	p.does("reboot", nil)
	p.runWith(&disk{play: p, failsAt: 1})
	p.wantStatuses("reboot: cancelled")
	if p.most[""] != 0 || p.endings["reboot@0"].Started {
		t.Error("it began")
	}
}

func TestPresetsDoNotRun(t *testing.T) {
	p := newPlay(t, 2)
	a := p.task("a", 2)
	b := p.task("b", 2, needs(a))
	p.task("c", 2, needs(b), needsAll(a))
	allowed := p.task("allowed", 2, func(t *sched.Task) { t.MaxFailures = 1 })
	p.task("d", 2, needs(allowed))
	g := p.group("g", 2, func(g *sched.Group) { g.When, g.Lock = true, "l" })
	x := p.task("x", 2, in(g))
	y := p.task("y", 2, in(g), needs(x))
	p.conds["g@1"] = func() sched.Condition { p.note("asked"); return sched.Condition{Run: true} }
	p.presets = []sched.Preset{
		{Instance: sched.Instance{Task: a, Host: 0}, Status: event.Changed},
		{Instance: sched.Instance{Task: b, Host: 0}, Status: event.Skipped},
		{Instance: sched.Instance{Task: a, Host: 1}, Status: event.OK},
		{Instance: sched.Instance{Task: allowed, Host: 0}, Status: event.Failed, Allowed: true},
		{Instance: sched.Instance{Task: x, Host: 0}, Status: event.OK},
		{Instance: sched.Instance{Task: y, Host: 0}, Status: event.OK},
		{Instance: sched.Instance{Task: x, Host: 1}, Status: event.OK},
	}
	p.fails("allowed@1")
	p.run().wantResults("a: reused reused", "b: skipped ok", "c: ok ok", "allowed: failed failed", "d: ok blocked",
		"x: reused reused", "y: reused ok")
	p.wantSummary("allowed@1 blocked 1")
}

func TestARunWithEverythingPresetIsOver(t *testing.T) {
	p := newPlay(t, 1)
	g := p.group("g", 1, tries(2))
	a := p.task("a", 1, in(g))
	p.presets = []sched.Preset{{Instance: sched.Instance{Task: a}, Status: event.OK}}
	p.run().wantResults("a: reused")
}

func TestAFinallyOfAnEarlierSessionHasUndoneTheGroup(t *testing.T) {
	for name, c := range map[string]struct {
		done, want []string
	}{
		"the steps were through":     {[]string{"drain", "upgrade", "uncordon"}, []string{"drain: reused", "upgrade: reused", "uncordon: reused"}},
		"interrupted before finally": {[]string{"drain"}, []string{"drain: reused", "upgrade: ok", "uncordon: ok"}},
		"interrupted, then finally":  {[]string{"drain", "uncordon"}, []string{"drain: ok", "upgrade: ok", "uncordon: ok"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, 1)
			g := p.group("g", 1)
			ids := map[string]int{}
			ids["drain"] = p.task("drain", 1, in(g))
			ids["upgrade"] = p.task("upgrade", 1, in(g), needs(ids["drain"]))
			ids["uncordon"] = p.task("uncordon", 1, in(g), needs(ids["drain"], ids["upgrade"]), run(sched.Always))
			for _, id := range c.done {
				p.presets = append(p.presets, sched.Preset{Instance: sched.Instance{Task: ids[id]}, Status: event.OK})
			}
			p.run().wantResults(c.want...)
		})
	}
}

func TestWhatCannotBePreset(t *testing.T) {
	p := newPlay(t, 1)
	p.task("a", 1)
	s, _ := sched.New(p.spec)
	for _, preset := range []sched.Preset{
		{Instance: sched.Instance{Task: 7}, Status: event.OK},
		{Instance: sched.Instance{Host: 7}, Status: event.OK},
		{Status: event.Failed}, {Status: event.Blocked, Allowed: true}, {Status: event.Pending},
	} {
		if _, err := s.Preset([]sched.Preset{preset}); err == nil {
			t.Errorf("%+v: no error", preset)
		}
	}
}

func TestWhatASpecMustNotContain(t *testing.T) {
	var cycle *sched.CycleError
	for name, spec := range map[string]sched.Spec{
		"a host that does not exist":  {Hosts: 1, Tasks: []sched.Task{{ID: "a", Hosts: []int{1}, Group: sched.None}}},
		"a host twice":                {Hosts: 1, Tasks: []sched.Task{{ID: "a", Hosts: []int{0, 0}, Group: sched.None}}},
		"a need that does not exist":  {Tasks: []sched.Task{{ID: "a", Needs: []sched.Need{{Task: 1}}, Group: sched.None}}},
		"a group that does not exist": {Tasks: []sched.Task{{ID: "a"}}},
		"a group inside itself":       {Groups: []sched.Group{{ID: "a", Group: 1}, {ID: "b", Group: 0}}},
		"a group on demand":           {Groups: []sched.Group{{ID: "a", Group: sched.None, Run: sched.OnDemand}}},
		"a negative limit":            {Tasks: []sched.Task{{ID: "a", Group: sched.None, MaxParallel: -1}}},
	} {
		if _, err := sched.New(spec); err == nil || errors.As(err, &cycle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACycleIsReportedAsItsPath(t *testing.T) {
	p := newPlay(t, 1)
	p.task("a", 1, needs(2))
	p.task("b", 1, needs(0))
	p.task("c", 1, needs(1))
	p.task("d", 1, needs(2))
	_, err := sched.New(p.spec)
	var cycle *sched.CycleError
	if !errors.As(err, &cycle) || err.Error() != "schedule: cycle: a -> b -> c -> a" {
		t.Error(err)
	}
}
