package run_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
)

// foresee plans, and returns a line for each instance.
func (s *site) foresee(book string) []string {
	s.t.Helper()
	p := s.plan(book)
	files := controller.New(controller.Options{Dir: s.dir})
	defer files.Close()
	targets := make([]transport.Target, len(p.Hosts))
	for i, h := range p.Hosts {
		targets[i] = transport.Target{Name: h.Name}
	}
	list, err := run.Foresee(s.t.Context(), run.Config{Plan: p, Dialer: s, Targets: targets, Files: files, Mask: mask.New(s.secrets...),
		Limits: sched.Limits{}, Sink: event.SinkFunc(func(e event.Event) {
			if s.on != nil {
				s.on(e)
			}
		})})
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		line := e.Instance + " " + string(e.Is)
		if e.Why != "" {
			line += ": " + e.Why
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func (s *site) wantForesight(book, want string) {
	s.t.Helper()
	if got := strings.Join(s.foresee(book), "\n"); got != strings.ReplaceAll(strings.TrimSpace(want), "\t", "") {
		s.t.Errorf("got\n%s\nwant\n%s", got, strings.ReplaceAll(strings.TrimSpace(want), "\t", ""))
	}
}

// TestAPlanDoesNotTryAgain: what a run would wait for is not waited for; the plan is of the hosts as they are.
func TestAPlanDoesNotTryAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.machines["h2"].down()
		start := time.Now()
		s.wantForesight("  - {id: a, retry: {attempts: 30, delay: 1m}, put: {key: a}}\n", `
			a@h1 will change
			a@h2 unreachable: h2: no connection: no route to host
		`)
		if took := time.Since(start); took > 0 {
			t.Errorf("took %s", took)
		}
	})
}

// TestAPlanWithoutTheHostThatOthersAreDoneAt: that a host is away on which a task of another is carried out says nothing of
// that other one.
func TestAPlanWithoutTheHostThatOthersAreDoneAt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.machines["h2"].down()
		s.wantForesight(`
  - {id: via, on: "all[0]", at: "all[1]", put: {key: a}}
  - {id: mine, on: "all[0]", needs: [slow], put: {key: b}}
  - {id: slow, on: "all[0]", put: {key: c}}
  - {id: after, on: "all[0]", needs: [via], put: {key: d}}
`, `
			after@h1 unreachable: its host, or one it waits for, was not reached
			mine@h1 will change
			slow@h1 will change
			via@h1 unreachable: h2: no connection: no route to host
		`)
	})
}

// TestAPlanOfABlockWhoseConditionCannotBeComputed says so of what is inside.
func TestAPlanOfABlockWhoseConditionCannotBeComputed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("id", func(context.Context, []string) (task.Output, error) { return task.Output{Stdout: "x"}, nil })
		got := s.foresee(`
  - {id: ask, ask: id}
  - id: block
    needs: [ask]
    when: int(tasks.ask.outputs.said) > 1
    steps:
      - {id: a, put: {key: a}}
      - {id: b, when: "true", put: {key: b}}
  - {id: after, needs: [block], put: {key: c}}
`)
		for i, want := range []string{"after@h1 will change", "ask@h1 no change", "block/a@h1 would fail: ", "block/b@h1 would fail: "} {
			if len(got) != 4 || !strings.HasPrefix(got[i], want) {
				t.Fatalf("got %s, want %s", fmt.Sprint(got), want)
			}
		}
	})
}

// TestAPlanBreaksItsSilence like a run.
func TestAPlanBreaksItsSilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.machines["h2"].conn = func(context.Context) error { time.Sleep(25 * time.Second); return nil }
		s.program("slow", takes(35*time.Second))
		var said []string
		s.on = func(e event.Event) {
			if e.Type == event.Waiting {
				said = append(said, strings.TrimSpace(e.Instance+" "+e.Line))
			}
		}
		s.foresee("  - {id: a, on: \"all[0]\", ask: slow}\n  - {id: b, on: \"all[1]\", put: {key: b}}\n")
		if len(said) < 4 || said[0] != "still connecting to h2" || !strings.HasPrefix(said[len(said)-1], "a@h1 still running for 3") {
			t.Errorf("said %q", said)
		}
	})
}
