package sched_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

func unknown(after time.Duration) act {
	return takes(after, sched.Result{Status: event.Unknown, Err: errBoom})
}

func TestAnUnknownEndStopsItsHost(t *testing.T) {
	p := newPlay(t, 2)
	p.spec.Limits.PerHost = 4
	p.task("action", 2)
	p.task("runs", 2)
	p.task("retries", 2, attempts(2, 5*time.Second))
	first := p.task("first", 2)
	p.task("apart", 2, needs(first))
	p.task("elsewhere", 2, needs(first), func(t *sched.Task) { t.Remote = true })
	p.task("not_wanted", 2, needs(first), conditional)
	p.task("wanted", 2, needs(first), conditional)
	p.task("repair", 2, needs(first), run(sched.OnFailure))
	p.conditionIs("not_wanted", false)
	p.conditionIs("wanted", true)
	p.does("action@0", unknown(3*time.Second))
	p.does("runs", takes(9*time.Second, sched.Result{}))
	p.does("retries@0", failsFirst(1, sched.Result{Err: errBoom}))
	p.does("first", takes(4*time.Second, sched.Result{}))
	p.run().wantResults("action: unknown ok", "runs: ok ok", "retries: changed ok", "first: ok ok", "apart: blocked ok",
		"elsewhere: blocked ok", "not_wanted: skipped skipped", "wanted: blocked ok", "repair: skipped skipped")
	p.wantRoots("apart@0", "action@0")
	p.wantSummary("action@0 blocked 3")
}

func TestAnUnknownEndThatIsToleratedStopsNothing(t *testing.T) {
	p := newPlay(t, 1)
	a := p.task("a", 1, func(t *sched.Task) { t.AllowFailure = true })
	p.task("b", 1, needs(a))
	p.does("a", unknown(0))
	p.run().wantResults("a: unknown", "b: ok")
}

func TestAHostThatWasLeftUnknownIsStoppedFromTheBeginning(t *testing.T) {
	p := newPlay(t, 2)
	done := p.task("done", 2)
	action := p.task("action", 2, needs(done))
	p.task("after", 2, needs(action))
	p.task("apart", 2)
	token := p.taskOn("token", []int{0}, run(sched.OnDemand))
	p.task("all", 2, needsAll(done), conditional)
	p.taskOn("join", []int{1}, needsAll(done))
	g := p.group("g", 2, func(g *sched.Group) { g.Retry = &sched.Retry{Attempts: 3} })
	x := p.task("x", 2, in(g))
	p.task("undo", 2, in(g), needs(x), run(sched.Always))
	p.conditionIs("all", true)
	p.does("join@1", p.demands(token, 0, false))
	p.presets = []sched.Preset{{Instance: sched.Instance{Task: done}, Status: event.OK}}
	p.unknown = []sched.Instance{{Task: action, Host: 0}}
	p.run().wantResults("done: reused ok", "action: unknown ok", "after: blocked ok", "apart: blocked ok", "token: blocked",
		"all: blocked ok", "join: failed", "x: blocked ok", "undo: blocked ok")
	p.wantRoots("apart@0", "action@0")
	for _, line := range p.log {
		if strings.Contains(line, "start") && strings.HasSuffix(line, "@0") {
			t.Error("on the host that is stopped:", line)
		}
	}
}

// TestItDoesNotMatterWhenThingsHappen: with hosts that are stopped from the beginning every result is the same, however
// long everything takes and however much runs at once.
func TestItDoesNotMatterForAStoppedHostWhenThingsHappen(t *testing.T) {
	blocked := 0
	for seed := uint64(1); seed <= 150 && !t.Failed(); seed++ {
		var ends [2]string
		for turn := range ends {
			g := generateSteady(t, seed)
			r := rand.New(rand.NewPCG(seed, uint64(turn)))
			for at, f := range g.fate {
				f.takes = time.Duration(r.IntN(50)) * time.Millisecond
				g.play.does(fmt.Sprintf("%s@%d", g.play.spec.Tasks[at.index].ID, at.host), g.act(f, at.host))
			}
			g.play.spec.Limits = sched.Limits{Total: 1 + r.IntN(6), PerHost: 1 + r.IntN(3)}
			g.play.unknown = g.leftOpen()
			g.play.runWith(observed{g.play})
			ends[turn] = fmt.Sprint(g.play.err)
			for k, task := range g.play.spec.Tasks {
				for _, h := range task.Hosts {
					s := g.play.sum.Status(sched.Instance{Task: k, Host: h})
					ends[turn] += fmt.Sprintf("\n%s@%d %s", task.ID, h, s)
					if s == event.Blocked {
						blocked++
					}
				}
			}
		}
		if ends[0] != ends[1] {
			t.Errorf("seed %d: once%s\nand once%s", seed, ends[0], ends[1])
		}
	}
	if blocked < 100 {
		t.Errorf("only %d instances were blocked: this tests nothing", blocked)
	}
}

// leftOpen chooses one instance that an earlier session did not end.
func (g *random) leftOpen() []sched.Instance {
	for k, task := range g.play.spec.Tasks {
		if task.Run == sched.OnSuccess && !task.AllowFailure && task.MaxFailures == 0 && len(task.Hosts) > 0 {
			return []sched.Instance{{Task: k, Host: task.Hosts[0]}}
		}
	}
	return nil
}
