package run_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/task"
)

// TestWhatWaitsForItsNextAttemptDoesNotRun: between attempts nothing runs, and so it is said. (Words come every 7.5 s: none when
// the next attempt begins.)
func TestWhatWaitsForItsNextAttemptDoesNotRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.program("flaky", exits(1, "not now"))
		r := s.run("  - {id: a, retry: {attempts: 2, delay: 61s}, ask: flaky}\n").want(3, `
			a@h1 failed
			a@h2 failed
		`)
		waits := r.of(event.Waiting)
		if len(waits) < 5 {
			t.Errorf("61 seconds with %d words: %+v", len(waits), waits)
		}
		for _, w := range waits {
			if w.Instance != "a@h1" || w.Line != "waits for its retry, and 1 more do" {
				t.Errorf("waits %+v", w)
			}
		}
		for _, e := range r.of(event.InstanceEnded) {
			if e.Duration > time.Second {
				t.Errorf("%s took %s: its last attempt did not", e.Instance, e.Duration)
			}
		}
	})
}

// TestFurtherSignalsAreTold what is waited for, and change nothing.
func TestFurtherSignalsAreTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("stubborn", func(ctx context.Context, _ []string) (task.Output, error) {
			<-ctx.Done()
			time.Sleep(8 * time.Second)
			return task.Output{}, context.Cause(ctx)
		})
		s.on = func(e event.Event) {
			if e.Type == event.InstanceStarted || e.Type == event.Note && strings.HasPrefix(e.Line, "interrupted") {
				s.signals <- os.Interrupt
			}
		}
		start := time.Now()
		r := s.run("  - {id: a, ask: stubborn}\n").want(130, "a@h1 cancelled")
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("took %s", took)
		}
		notes := r.of(event.Note)
		want := fmt.Sprintf("still being stopped: a@h1; kill -9 %d gives up on that, and nobody knows then what became of it", os.Getpid())
		if len(notes) != 3 || notes[2].Line != want {
			t.Errorf("notes %+v", notes)
		}
	})
}

// TestTheEndIsTheLastWord: a signal that comes when all is over stops nothing, and is not told.
func TestTheEndIsTheLastWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.machines["h1"].closing = 30 * time.Second
		s.on = func(e event.Event) {
			if e.Type == event.RunEnded {
				s.signals <- os.Interrupt
			}
		}
		r := s.run("  - {id: a, put: {key: a}}\n").want(0, "a@h1 changed")
		if last := r.events[len(r.events)-1]; last.Type != event.RunEnded {
			t.Errorf("the last word is %+v", last)
		}
	})
}
