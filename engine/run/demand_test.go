package run_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// minting is a program that makes another token each time.
func minting(n *int) program {
	return func(context.Context, []string) (task.Output, error) {
		*n++
		return task.Output{Stdout: fmt.Sprintf("secret-token-%d", *n)}, nil
	}
}

const joins = `
  - id: token
    on: cp
    run: on_demand
    mint: {for: %s}
  - id: member
    on: workers
    lock: member
    join: {cluster: c1, token: "${{ tasks.token.outputs.token }}"}
`

func TestATokenIsMintedWhenAHostHasToJoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers", "w2 workers", "w3 workers")
		minted := 0
		s.program("mint", minting(&minted))
		s.program("join", takes(time.Minute))
		s.machines["w2"].files["/cluster"] = "c1"
		r := s.run(fmt.Sprintf(joins, "2h")).want(0, `
			token@m1 changed
			member@w1 changed
			member@w2 ok
			member@w3 changed
		`)
		if minted != 1 {
			t.Errorf("minted %d times", minted)
		}
		if got := s.machines["w3"].runs(); got[0] != "join secret-token-1" {
			t.Errorf("w3 ran %v", got)
		}
		if text := s.logText(r.id) + r.text(); strings.Contains(text, "secret-token") {
			t.Error("the token stands in the log or in an event")
		}
	})
}

func TestAConvergedHostDoesNotMint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers")
		s.machines["w1"].files["/cluster"] = "c1"
		s.run(fmt.Sprintf(joins, "2h")).want(0, "member@w1 ok")
	})
}

func TestAnExpiredTokenIsMintedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers", "w2 workers", "w3 workers")
		minted := 0
		s.program("mint", minting(&minted))
		s.program("join", takes(20*time.Minute))
		s.run(fmt.Sprintf(joins, "45m"))
		// At 0 it holds for 45 minutes, at 20 for 25 more, at 40 for 5, which is too close to its end.
		if minted != 2 {
			t.Errorf("minted %d times", minted)
		}
		if got := s.machines["w3"].runs(); got[0] != "join secret-token-2" {
			t.Errorf("w3 ran %v", got)
		}
	})
}

func TestASecondAttemptTakesAFreshToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers")
		minted := 0
		s.program("mint", minting(&minted))
		s.program("join", first(1, 75))
		s.run(fmt.Sprintf(joins, "2h"))
		if got := s.machines["w1"].runs(); fmt.Sprint(got) != "[join secret-token-1 join secret-token-2]" {
			t.Errorf("w1 ran %v", got)
		}
	})
}

func TestAProducerThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers")
		s.program("mint", exits(1, "the API is down"))
		r := s.run(fmt.Sprintf(joins, "2h"))
		if r.Exit != 3 {
			t.Errorf("exit code %d", r.Exit)
		}
		r.fails("member@w1", "what it needs now could not be made: `mint` ended with exit code 1")
	})
}

func TestProducersRunOutsideOfALimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers", "w2 workers")
		minted := 0
		s.program("mint", minting(&minted))
		s.program("join", says(""))
		s.limit = "w2"
		s.run(fmt.Sprintf(joins, "2h")).want(0, `
			token@m1 changed
			member@w2 changed
		`)
	})
}

func TestAProducerRunsAgainAfterAResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "m1 cp", "w1 workers", "w2 workers")
		minted := 0
		s.program("mint", minting(&minted))
		s.program("join", says(""))
		s.program("join", exits(1, ""), "w2")
		r := s.run(fmt.Sprintf(joins, "2h"))
		s.program("join", says(""), "w2")
		s.resume(fmt.Sprintf(joins, "2h"), r.id).want(0, `
			member@w1 reused
			token@m1 changed
			member@w2 changed
		`)
		if minted != 2 {
			t.Errorf("minted %d times", minted)
		}
	})
}
