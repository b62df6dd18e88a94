package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
)

// stopping has an action that kflow is killed in, and work beside it that has nothing to do with it.
const stopping = `
  - {id: base, put: {key: base}}
  - {id: action, on: "all[0]", needs: [base], act: it}
  - {id: token, on: "all[0]", run: on_demand, mint: {}}
  - id: apart
    needs: [base@all]
    steps:
      - {id: one, put: {key: one}}
      - {id: two, act: safe}
  - {id: quick, needs: [apart], put: {key: quick}}
  - {id: drain, on: "all[0]", at: controller, needs: [base], put: {key: drained}}
  - {id: member, on: "all[1]", needs: [base@all], join: {cluster: c, token: "${{ tasks.token.outputs.token }}"}}
`

func TestAnActionLeftUnknownStopsItsHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		minted := 0
		s.program("mint", minting(&minted))
		for _, name := range []string{"it", "safe", "join"} {
			s.program(name, says(""))
		}
		book := strings.Replace(stopping, "act: it", "act: {run: it}", 1)
		id := s.killedAfterStart("action@h1", book)
		for _, m := range s.machines {
			clear(m.files)
			m.forget()
		}
		const stopped = `
			base@h1 reused
			base@h2 reused
			action@h1 unknown
			apart/one@h1 blocked
			apart/one@h2 changed
			apart/two@h1 blocked
			apart/two@h2 changed
			quick@h1 blocked
			quick@h2 changed
			drain@h1 blocked
			member@h2 failed
			token@h1 blocked
		`
		r := s.resume(book, id).want(3, stopped)
		if n := s.machines["h1"].requests + s.machines["controller"].requests; n > 0 {
			t.Errorf("the host that is stopped was asked for %d things", n)
		}
		r.fails("action@h1", "nobody saw its end: it may have happened, and is not done twice")
		if hint := r.of(event.RunEnded)[0].Roots[0].Failure.Hint; !strings.Contains(hint, "nothing is done on its host before somebody has looked at it") {
			t.Errorf("what to do is not said: %q", hint)
		}
		r.fails("member@h2", "token@h1, which it needs now, is blocked by action@h1")
		roots := r.of(event.RunEnded)[0].Roots
		if roots[0].Instance != "action@h1" || roots[0].Blocked != 5 {
			t.Errorf("roots %+v", roots)
		}
		safe := strings.Replace(book, "{run: it}", "{run: it, rerun: safe}", 1)
		if r := s.resume(safe, id); r.Exit != 0 {
			t.Errorf("exit code %d\n%s\n%s", r.Exit, r.ends(), r.failures())
		}
	})
}

func TestAMachineSaysWhetherItWasStartedAnew(t *testing.T) {
	for boot, runs := range map[string]int{"1": 1, "2": 0} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, "h1")
			m := s.machines["h1"]
			m.facts.BootID = "1"
			s.program("restart", says(""))
			book := "  - {id: a, restart: new kernel}\n  - {id: b, needs: [a], put: {key: b}}\n"
			id := s.killedAfterStart("a@h1", book)
			clear(m.files)
			m.forget()
			m.facts.BootID = boot
			s.resume(book, id).want(0, "a@h1 changed\nb@h1 changed")
			if len(m.runs()) != runs {
				t.Errorf("boot %s after 1: it was restarted %d times, want %d", boot, len(m.runs()), runs)
			}
			s.resume(book, id).want(0, "a@h1 reused\nb@h1 reused")
		})
	}
}

func TestAnActionOfAMachineThatWasReplacedStopsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("it", says(""))
		id := s.killedAfterStart("a@h1", "  - {id: a, act: it}\n")
		s.machines["h1"].facts.MachineID = "another"
		s.resume("  - {id: a, act: it}\n", id).want(0, "a@h1 changed")
	})
}

func TestAnActionWhoseConnectionIsLostStopsItsHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.program("it", takes(time.Second))
		m := s.machines["h1"]
		m.link = func(req *job.Request, done bool) error {
			if done && strings.HasPrefix(req.Instance, "action") {
				return lost(m)
			}
			return nil
		}
		r := s.run(`
  - {id: action, act: it}
  - {id: beside, act: {run: it}}
  - {id: apart, needs: [beside], put: {key: apart}}
  - {id: after, needs: [action], put: {key: after}}
`).want(3, `
			action@h1 unknown
			action@h2 changed
			beside@h1 changed
			beside@h2 changed
			apart@h1 blocked
			apart@h2 changed
			after@h1 blocked
			after@h2 changed
		`)
		for _, e := range r.of(event.InstanceEnded) {
			if e.Status == event.Blocked && strings.Join(e.BlockedBy, " ") != "action@h1" {
				t.Errorf("%s is blocked by %v", e.Instance, e.BlockedBy)
			}
		}
	})
}

func TestAnUnknownActionIsNotRepeated(t *testing.T) {
	for name, c := range map[string]struct{ task, end string }{
		"an action":                  {"act: {run: it}", "unknown"},
		"one that is safe to repeat": {"act: {run: it, rerun: safe}", "changed"},
		"one with a guard":           {"act: {run: it, unless: done}", "ok"},
		"a state":                    {"put: {key: done, value: \"\"}", "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, "h1")
				s.program("it", says(""))
				id := s.killedAfterStart("a@h1", "  - {id: a, act: it}\n")
				s.machines["h1"].files["/done"] = ""
				exit := map[string]int{"unknown": 3}[c.end]
				r := s.resume("  - {id: a, "+c.task+"}\n", id).want(exit, "a@h1 "+c.end)
				if c.end == "unknown" {
					r.fails("a@h1", "nobody saw its end")
					s.resume("  - {id: a, "+c.task+"}\n", id).want(exit, "a@h1 "+c.end)
				}
			})
		})
	}
}
