package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
)

// interruptAt sends a signal when a moment of the run has come. Requests take a second from then on, so that the signal is
// heard before what runs has ended.
func (s *site) interruptAt(typ event.Type, instance string) {
	for _, m := range s.machines {
		m.link = func(*job.Request, bool) error { <-time.After(time.Second); return nil }
	}
	s.on = func(e event.Event) {
		if e.Type == typ && e.Instance == instance {
			s.signals <- os.Interrupt
		}
	}
}

func TestTheFirstSignalLetsWhatRunsFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("slow", takes(time.Minute))
		s.program("undo", says(""))
		s.interruptAt(event.InstanceStarted, "block/a@h1")
		book := `
  - id: block
    steps:
      - {id: a, act: slow}
      - {id: b, act: slow}
      - {id: undo, act: undo, run: always}
  - {id: c, needs: [block], put: {key: c}}
`
		r := s.run(book).want(130, `
			block/a@h1 changed
			block/b@h1 cancelled
			block/undo@h1 changed
			c@h1 cancelled
		`)
		if !r.Interrupted || r.of(event.RunEnded)[0].Exit != 130 {
			t.Errorf("result %+v", r.Result)
		}
		if note := r.of(event.Note)[0]; !strings.Contains(note.Line, "nothing new is started") {
			t.Errorf("note %+v", note)
		}
		// The block was undone: it starts afresh.
		s.on = nil
		s.machines["h1"].forget()
		s.resume(book, r.id).want(0, `
			block/a@h1 changed
			block/b@h1 changed
			block/undo@h1 changed
			c@h1 changed
		`)
	})
}

func TestASignalInTheVeryLastTaskIsNoInterruption(t *testing.T) {
	for name, c := range map[string]struct {
		book string
		exit int
		ends string
	}{
		"all was done":        {"  - {id: a, act: slow}\n", 0, "a@h1 changed"},
		"something was left":  {"  - {id: a, act: slow}\n  - {id: b, needs: [a], put: {key: b}}\n", 130, "a@h1 changed\nb@h1 cancelled"},
		"it would be retried": {"  - {id: a, allow_failure: true, retry: {attempts: 2}, act: fails}\n", 130, "a@h1 failed (allowed)"},
		"it failed":           {"  - {id: a, act: fails}\n", 3, "a@h1 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, "h1")
				s.program("slow", takes(time.Minute))
				s.program("fails", exits(1, ""))
				s.interruptAt(event.InstanceStarted, "a@h1")
				r := s.run(c.book).want(c.exit, c.ends)
				if end := r.of(event.RunEnded)[0]; r.Interrupted != (c.exit == 130) || end.Exit != c.exit {
					t.Errorf("%+v, %+v", r.Result, end)
				}
			})
		})
	}
}

func TestTheSecondSignalEndsWhatRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("slow", takes(time.Hour))
		s.on = func(e event.Event) {
			switch {
			case e.Type == event.InstanceStarted:
				s.signals <- os.Interrupt
			case e.Type == event.Note && strings.HasPrefix(e.Line, "interrupted: "):
				s.signals <- os.Interrupt
			}
		}
		start := time.Now()
		r := s.run("  - {id: a, ask: slow}\n  - {id: b, needs: [a], put: {key: b}}\n").want(130, `
			a@h1 cancelled
			b@h1 cancelled
		`)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %s", took)
		}
		r.fails("a@h1", "interrupted")
	})
}

func TestASignalWhileConnectingEndsTheRunAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		s.machines["h2"].conn = func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		s.on = func(e event.Event) {
			if e.Type == event.HostUp {
				s.signals <- os.Interrupt
			}
		}
		r := s.run("  - {id: a, put: {key: a}}\n").want(130, "")
		if s.machines["h1"].requests > 0 || !r.Interrupted {
			t.Errorf("%d requests, %+v", s.machines["h1"].requests, r.Result)
		}
		s.machines["h2"].up()
		s.on = nil
		s.resume("  - {id: a, put: {key: a}}\n", r.id).want(0, "a@h1 changed\na@h2 changed")
	})
}

func TestAnActionThatGaveNoAnswerIsUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("it", says(""))
		m := s.machines["h1"]
		m.silent = func(ctx context.Context, _ *job.Request) error { <-ctx.Done(); return context.Cause(ctx) }
		book := "  - {id: a, timeout: 1m, act: it}\n  - {id: b, timeout: 1m, put: {key: b}}\n"
		r := s.run(book).want(3, `
			a@h1 unknown
			b@h1 timed-out
		`)
		r.fails("a@h1", "timed out after 1m0s, and the host gave no answer")
		m.silent = nil
		s.resume(book, r.id).want(3, `
			a@h1 unknown
			b@h1 blocked
		`)
		if ran := m.runs(); len(ran) > 0 {
			t.Errorf("it was repeated: %v", ran)
		}
	})
}

func TestALogThatCanNotBeWrittenStopsTheRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		full := errors.New("no space left on device")
		j := &fullJournal{after: 1, err: full}
		r := s.sessionWith("  - {id: a, put: {key: a}}\n  - {id: b, needs: [a], put: {key: b}}\n  - {id: c, needs: [b], put: {key: c}}\n", j, nil)
		if !errors.Is(r.err, full) {
			t.Errorf("error %v", r.err)
		}
		if end := r.events[len(r.events)-1]; end.Type != event.RunEnded || end.Exit != 3 {
			t.Errorf("it says that it ended well, so it could not be resumed: %+v", end)
		}
		if strings.Contains(r.ends(), "c@h1 changed") {
			t.Errorf("c ran although nothing could be stored:\n%s", r.ends())
		}
	})
}

// fullJournal takes a number of commits.
type fullJournal struct {
	after int
	err   error
}

func (j *fullJournal) ID() string                  { return "20000101-000000-0000" }
func (j *fullJournal) Seq() int64                  { return 0 }
func (j *fullJournal) Append(...event.Event) error { return nil }
func (j *fullJournal) Commit() error {
	if j.after--; j.after < 0 {
		return j.err
	}
	return nil
}

func TestEventsAreNumbered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2", "h3")
		book := "  - {id: a, put: {key: a}}\n  - {id: b, needs: [a], put: {key: b}}\n"
		r := s.run(book)
		again := s.resume(book, r.id)
		var seqs []int64
		for _, e := range slices.Concat(r.events, again.events) {
			seqs = append(seqs, e.Seq)
		}
		for i, n := range seqs {
			if n != int64(i+1) {
				t.Fatalf("numbers %s", fmt.Sprint(seqs))
			}
		}
	})
}
