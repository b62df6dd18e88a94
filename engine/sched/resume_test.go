package sched_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// TestAnInterruptedRunCanBeTakenUpAtAnyMoment interrupts random playbooks at a random moment, softly or hard, and runs
// them again with what is done as presets: the end is that of a run that was not interrupted.
func TestAnInterruptedRunCanBeTakenUpAtAnyMoment(t *testing.T) {
	for seed := uint64(1); seed <= 200 && !t.Failed(); seed++ {
		first := generateSteady(t, seed)
		first.interrupt(rand.New(rand.NewPCG(seed, 1)))
		second := generateSteady(t, seed)
		second.play.presets = first.done()
		second.play.runWith(observed{second.play})
		if second.play.err != nil {
			t.Fatalf("seed %d: %v", seed, second.play.err)
		}
		second.compare(seed)
	}
}

// generateSteady generates a playbook whose instances either always fail or never.
func generateSteady(t *testing.T, seed uint64) *random {
	g := generate(t, seed)
	for at, f := range g.fate {
		if f.fails > 0 {
			f.fails = 1 << 30
		}
		g.fate[at] = f
		g.play.does(fmt.Sprintf("%s@%d", g.play.spec.Tasks[at.index].ID, at.host), g.act(f, at.host))
	}
	return g
}

// interrupt runs a playbook until it is stopped, and checks that nothing starts afterwards that should not.
func (g *random) interrupt(rnd *rand.Rand) {
	p, at, hard := g.play, time.Duration(rnd.IntN(80))*time.Millisecond, rnd.IntN(2) == 0
	synctest.Test(p.t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		p.runContext(ctx, observed{p}, func() {
			time.Sleep(at)
			if hard {
				cancel(errBoom)
			} else {
				p.sched.Stop(sched.ErrInterrupted)
			}
			synctest.Wait()
			p.note("stopped")
		})
		time.Sleep(at) // the run may have been faster
	})
	_, after, _ := strings.Cut(strings.Join(p.log, "\n"), "stopped")
	for k, task := range p.spec.Tasks {
		if !strings.Contains(after, " start "+task.ID+"@") || !hard && (task.Run == sched.OnDemand || g.finally(k)) {
			continue
		}
		p.t.Errorf("%s has started after the run was stopped (hard: %v)", task.ID, hard)
	}
}

func (g *random) finally(k int) bool {
	t := g.play.spec.Tasks[k]
	found := t.Run == sched.Always && t.Group != sched.None
	for p := t.Group; p != sched.None; p = g.play.spec.Groups[p].Group {
		s := g.play.spec.Groups[p]
		found = found || s.Run == sched.Always && s.Group != sched.None
	}
	return found
}

// done returns what a resume takes over.
func (g *random) done() (list []sched.Preset) {
	for k, task := range g.play.spec.Tasks {
		for _, h := range task.Hosts {
			in := sched.Instance{Task: k, Host: h}
			if s := g.play.sum.Status(in); s.Good() {
				list = append(list, sched.Preset{Instance: in, Status: s})
			}
		}
	}
	return list
}

// asFirst is the result an instance had when it ran.
func asFirst(s event.Status) event.Status {
	if s == event.Reused {
		return event.OK
	}
	return s
}
