package run_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

func TestHostsAreDialledOnceAndTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2", "h3", "unused")
		for _, m := range s.machines {
			m.conn = func(context.Context) error { time.Sleep(time.Second); return nil }
		}
		start := time.Now()
		s.run(`
  - {id: a, on: "all[:3]", put: {key: a}}
  - {id: b, on: "all[:3]", put: {key: b}}
`).want(0, `
			a@h1 changed
			a@h2 changed
			a@h3 changed
			b@h1 changed
			b@h2 changed
			b@h3 changed
		`)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %s", took)
		}
		if s.machines["h1"].dials != 1 || s.machines["unused"].dials != 0 {
			t.Errorf("h1 was dialled %d times, the unused one %d", s.machines["h1"].dials, s.machines["unused"].dials)
		}
	})
}

func TestAHostThatIsDownLeavesTheOthersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.machines["h2"].down()
		r := s.run(`
  - {id: a, put: {key: a}}
  - {id: b, put: {key: b}}
  - {id: c, needs: [b@all], put: {key: c}}
`).want(4, `
			a@h1 changed
			a@h2 unreachable
			b@h1 changed
			b@h2 unreachable
			c@h1 blocked
			c@h2 blocked
		`)
		r.fails("a@h2", "h2: no connection: no route to host")
		root := r.of(event.RunEnded)[0].Roots[1]
		if root.Instance != "b@h2" || root.Status != event.Unreachable || root.Blocked != 2 || r.Unreachable != 1 {
			t.Errorf("root %+v, %d hosts unreachable", root, r.Unreachable)
		}
	})
}

func TestAHostWhoseShellHangsLeavesTheOthersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.machines["h2"].conn = func(context.Context) error {
			return &transport.Unreachable{Host: "h2", Stage: transport.Agent, Err: errors.New("the agent did not start within 15s"), Silent: true}
		}
		s.run("  - {id: a, put: {key: a}}\n").want(4, `
			a@h1 changed
			a@h2 unreachable
		`)
		s.machines["h2"].conn = func(context.Context) error {
			return &transport.Unreachable{Host: "h2", Stage: transport.Agent, Err: errors.New("there is no directory to keep it in")}
		}
		s.run("  - {id: a, put: {key: a}}\n").want(4, "") // a person has to mend that
	})
}

func TestAHostThatGoesAwayInMidRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.on = func(e event.Event) {
			if e.Type == event.InstanceEnded && e.Instance == "a@h2" {
				s.machines["h2"].down()
			}
		}
		book := `
  - {id: a, put: {key: a}}
  - {id: b, needs: [a], put: {key: b}}
  - {id: c, needs: [b], put: {key: c}}
`
		r := s.run(book).want(4, `
			a@h1 changed
			a@h2 changed
			b@h1 changed
			b@h2 unreachable
			c@h1 changed
			c@h2 blocked
		`)
		s.machines["h2"].up()
		s.on = nil
		s.resume(book, r.id).want(0, `
			a@h1 reused
			a@h2 reused
			b@h1 reused
			b@h2 changed
			c@h1 reused
			c@h2 changed
		`)
	})
}

func TestALostConnection(t *testing.T) {
	for name, c := range map[string]struct {
		task, end string
		times     int
	}{
		"a state is asked again":              {"put: {key: a}", "changed", 2},
		"a safe action is done again":         {"act: {run: it, rerun: safe}", "changed", 2},
		"an action is not repeated":           {"act: it", "unknown", 1},
		"an action with a guard looks again":  {"act: {run: it, unless: done}", "changed", 2},
		"a program that reads is asked again": {"ask: it", "ok", 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, "h1")
				m := s.machines["h1"]
				s.program("it", func(context.Context, []string) (task.Output, error) {
					m.mu.Lock()
					defer m.mu.Unlock()
					m.files["/done"] = ""
					return task.Output{}, nil
				})
				m.link = func(_ *job.Request, done bool) error {
					if done && m.requests == 1 {
						m.files = map[string]string{}
						return lost(m)
					}
					return nil
				}
				exit := 0
				if c.end == "unknown" {
					exit = 3
				}
				s.run("  - {id: a, "+c.task+"}\n").want(exit, "a@h1 "+c.end)
				if m.requests != c.times {
					t.Errorf("%d requests, want %d", m.requests, c.times)
				}
			})
		})
	}
}

func TestWhatNobodyMayTouchStopsTheRunBeforeAnythingIsTouched(t *testing.T) {
	for _, stage := range []transport.Stage{transport.Config, transport.HostKey, transport.Auth, transport.Sudo, transport.Agent} {
		t.Run(string(stage), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, "h1", "h2", "h3")
				refuse := func(name string) func(context.Context) error {
					return func(context.Context) error {
						return &transport.Unreachable{Host: name, Stage: stage, Err: errors.New("no"), Hint: "mend it"}
					}
				}
				s.machines["h2"].conn, s.machines["h3"].conn = refuse("h2"), refuse("h3")
				r := s.run("  - {id: a, put: {key: a}}\n").want(4, "")
				roots := r.of(event.RunEnded)[0].Roots
				if len(roots) != 2 || roots[0].Instance != "h2" || roots[1].Instance != "h3" || roots[0].Failure.Hint != "mend it" {
					t.Errorf("both hosts are named, with what to do: %+v", roots)
				}
				if n := s.machines["h1"].requests; n > 0 {
					t.Errorf("h1 got %d requests", n)
				}
			})
		})
	}
}

func TestAHostIsDialledAgainWhenThatMayHelp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		m := s.machines["h1"]
		m.conn = func(context.Context) error {
			if m.dials <= 2 {
				return &transport.Unreachable{Host: "h1", Stage: transport.Dial, Err: errors.New("connection refused"), Transient: true}
			}
			time.Sleep(time.Second)
			return nil
		}
		s.run(`
  - {id: a, put: {key: a}}
  - {id: b, put: {key: b}}
  - {id: c, put: {key: c}}
`).want(0, `
			a@h1 changed
			b@h1 changed
			c@h1 changed
		`)
		if m.dials > 4 {
			t.Errorf("dialled %d times: those who wait for a host share one connection", m.dials)
		}
	})
}

func TestTasksAreCarriedOutElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "m2 cp", "w1 workers", "w2 workers")
		s.machines["m1"].down()
		s.program("drain", says(""))
		r := s.run(`
  - {id: drain, on: workers, at: reachable(cp), act: "drain ${{ host.name }}"}
  - {id: note, on: workers, at: controller, put: {key: "${{ host.name }}"}}
`).want(0, `
			drain@w1 changed
			drain@w2 changed
			note@w1 changed
			note@w2 changed
		`)
		if got := len(s.machines["m2"].runs()); got != 2 {
			t.Errorf("m2 ran %v", s.machines["m2"].runs())
		}
		if f := s.machines["controller"].files; len(f) != 2 {
			t.Errorf("the controller has %v", f)
		}
		for _, e := range r.of(event.InstanceEnded) {
			if e.Task == "note" && e.At != "controller" {
				t.Errorf("%s is said to be carried out at %q", e.Instance, e.At)
			}
		}
	})
}

func TestReachableFallsOverToTheNextHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "m2 cp", "w1 workers")
		m1 := s.machines["m1"]
		m1.link = func(*job.Request, bool) error { return lost(m1) }
		s.program("label", says(""))
		s.run(`
  - {id: label, on: workers, at: reachable(cp), act: {run: label, rerun: safe}}
  - {id: own, needs: [label], on: workers, put: {key: a}}
`).want(0, `
			label@w1 changed
			own@w1 changed
		`)
		if len(s.machines["m2"].runs()) != 1 {
			t.Error("m2 was not asked")
		}
	})
}

func TestThatAHelperIsDownDoesNotLoseTheHostItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers")
		s.machines["m1"].down()
		s.program("drain", says(""))
		s.run(`
  - {id: drain, on: workers, at: "cp[0]", act: drain}
  - {id: other, on: workers, put: {key: a}}
`).want(4, `
			drain@w1 unreachable
			other@w1 changed
		`)
	})
}

func TestWhoWaitsForAHostToComeBackSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		m := s.machines["h1"]
		m.conn = func(context.Context) error {
			if m.dials > 1 {
				time.Sleep(25 * time.Second)
				return nil
			}
			return &transport.Unreachable{Host: "h1", Stage: transport.Dial, Err: errors.New("connection refused"), Transient: true}
		}
		r := s.run("  - {id: a, put: {key: a}}\n").want(0, "a@h1 changed")
		waits := r.of(event.Waiting)
		if len(waits) == 0 || waits[0].Instance != "a@h1" || !strings.HasPrefix(waits[0].Line, "its host is away, and is dialled again; waiting for ") {
			t.Errorf("waits %+v", waits)
		}
	})
}

func TestSilenceIsBroken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.machines["h2"].conn = func(context.Context) error { time.Sleep(25 * time.Second); return nil }
		s.program("slow", takes(63*time.Second))
		r := s.run("  - {id: a, on: \"all[0]\", ask: slow}\n  - {id: b, on: \"all[1]\", put: {key: b}}\n")
		last := r.events[0].Time
		for _, e := range r.events {
			if silence := e.Time.Sub(last); silence > 10*time.Second {
				t.Errorf("%s of silence before %s", silence, e.Type)
			}
			last = e.Time
		}
		waits := r.of(event.Waiting)
		if first := waits[0]; first.Line != "still connecting to h2" {
			t.Errorf("while connecting: %+v", first)
		}
		if end := waits[len(waits)-1]; end.Instance != "a@h1" || !strings.HasPrefix(end.Line, "still running for ") {
			t.Errorf("while running: %+v", end)
		}
		if strings.Contains(s.logText(r.id), `"waiting"`) {
			t.Error("what is said to break a silence is not worth storing")
		}
	})
}
