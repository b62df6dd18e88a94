package run_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/task"
)

func TestWhatWasSkippedStaysSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		s.program("cpus", says("2"))
		book := `
  - {id: s, when: host.facts.cpus > 2, put: {key: s}}
  - id: block
    when: host.facts.cpus > 2
    steps: [{id: b, put: {key: b}}]
` + fmt.Sprintf(after, "s")
		r := s.run(book)
		s.machines["h1"].facts.CPUs = 4 // the condition would be true now
		s.program("mends", exits(1, ""))
		skipped := `
			s@h1 skipped
			block/b@h1 skipped
			last@h1 failed
		`
		for range 2 { // told as reused: it need not be read once more
			again := s.resume(book, r.id).want(3, strings.ReplaceAll(skipped, "skipped", "reused"))
			if end := again.of(event.RunEnded)[0]; end.Counts[event.Reused] != 2 || end.Counts[event.Skipped] != 0 {
				t.Errorf("counts %v", end.Counts)
			}
			if i := s.state(r.id).Instances["s@h1"]; i.Done.Status != event.Skipped {
				t.Errorf("it is forgotten that it was skipped: %+v", i.Done)
			}
		}
		changed := strings.ReplaceAll(book, "cpus > 2", "cpus > 3")
		s.resume(changed, r.id).want(3, `
			s@h1 changed
			block/b@h1 changed
			last@h1 failed
		`)
	})
}

func TestABlockThatWasEnteredStaysEntered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		book := `
  - id: block
    when: host.facts.swap_mb > 0
    steps:
      - {id: off, put: {key: swap, value: off}}
      - {id: rest, ask: mends}
`
		s.machines["h1"].facts.SwapMB = 100
		r := s.run(book)
		s.machines["h1"].facts.SwapMB = 0 // by what the block has done
		s.resume(book, r.id).want(0, `
			block/off@h1 reused
			block/rest@h1 ok
		`)
	})
}

func TestToleratedFailuresAreNotReset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		broken(s)
		tried := 0
		s.program("flaky", func(context.Context, []string) (task.Output, error) {
			tried++
			return task.Output{Code: 1}, nil
		})
		book := `
  - {id: flaky, on: "all[0]", allow_failure: true, ask: flaky}
` + fmt.Sprintf(after, "flaky")
		r := s.run(book)
		s.resume(book, r.id).want(0, `
			flaky@h1 failed (allowed)
			last@h1 ok
		`)
		if tried != 1 {
			t.Errorf("it was tried %d times", tried)
		}
		strict := strings.Replace(book, "allow_failure: true, ", "", 1)
		s.resume(strict, r.id).want(3, `
			flaky@h1 failed
			last@h1 blocked
		`)
	})
}

func TestABlockThatStartsAgainDoesItsStepsAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		s.program("reset", says(""))
		s.program("member", exits(1, ""))
		book := `
  - id: block
    retry: {attempts: 2, delay: 1s}
    steps:
      - {id: reset, act: reset}
      - {id: member, act: member}
`
		r := s.run(book)
		s.machines["h1"].forget()
		s.program("member", first(1, 1))
		if got := s.resume(book, r.id); got.Exit != 0 {
			t.Errorf("exit code %d\n%s", got.Exit, got.failures())
		}
		if ran := fmt.Sprint(s.machines["h1"].runs()); ran != "[member reset member]" {
			t.Errorf("ran %s", ran)
		}
	})
}

func TestAToleratedFailureIsTriedAgainWhenItsTaskHasChanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		s.program("flaky", exits(1, ""))
		s.program("sound", says(""))
		book := "\n  - {id: a, allow_failure: true, ask: flaky}\n" + fmt.Sprintf(after, "a")
		r := s.run(book)
		s.resume(strings.Replace(book, "ask: flaky", "ask: sound", 1), r.id).want(0, `
			a@h1 ok
			last@h1 ok
		`)
	})
}

func TestTheConditionOfABlockIsAskedAgainWhenWhatItNeedsRanInAnInterruptedSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		book := `
  - {id: config, put: {key: config, value: 1}}
  - id: block
    needs: [config]
    when: tasks.config.outputs.value == "2"
    steps: [{id: b, put: {key: b}}]
` + fmt.Sprintf(after, "block")
		r := s.run(book)
		changed := strings.Replace(book, "value: 1", "value: 2", 1)
		s.interruptAt(event.InstanceStarted, "config@h1")
		s.resume(changed, r.id)
		s.on = nil
		s.resume(changed, r.id).want(0, `
			config@h1 reused
			block/b@h1 changed
			last@h1 ok
		`)
	})
}

func TestAConditionThatWasTrueIsNotAskedAgainOfWhatWasKilled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		m := s.machines["h1"]
		m.facts.SwapMB = 100
		book := "  - {id: a, when: host.facts.swap_mb > 0, put: {key: a}}\n"
		id := s.killedAfterStart("a@h1", book)
		m.facts.SwapMB = 0 // what it had done by then
		s.resume(book, id).want(0, "a@h1 ok")
	})
}
