package run_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/task"
)

// procedure has a bit of everything that may be done again: what is no state is said to be safe.
const procedure = `
  - {id: colour, ask: which}
  - {id: base, for_each: ["x", "y"], put: {key: "${{ item }}", value: "${{ host.name }}"}}
  - id: swap
    when: host.facts.swap_mb > 0
    needs: [base]
    steps:
      - {id: file, put: {key: swap, value: off, then: swapoff}}
      - {id: fstab, put: {key: fstab}}
  - {id: blue, when: tasks.colour.outputs.said == "blue", put: {key: colour, value: "${{ tasks.colour.outputs.said }}"}}
  - {id: runtime, needs: [swap, blue], use: part.yaml, with: {version: "1.${{ len(hosts) }}"}}
  - {id: flaky, on: workers, allow_failure: true, ask: flaky}
  - {id: up, on: cp, needs: [runtime@all], act: {run: up, rerun: safe}}
  - {id: token, on: cp, needs: [up], run: on_demand, mint: {}}
  - {id: member, on: workers, needs: [runtime], lock: one, join: {cluster: "${{ tasks.up.outputs.said }}", token: "${{ tasks.token.outputs.token }}"}}
  - id: last
    needs: [member@all, flaky]
    max_parallel: 1
    steps:
      - {id: drain, at: controller, put: {key: "drained-${{ host.name }}"}}
      - {id: note, put: {key: note, value: "${{ tasks.runtime.outputs.path }} ${{ tasks.blue.status == 'skipped' }}"}}
      - {id: clean, run: always, act: {run: clean, rerun: safe}}
`

func newProcedure(t *testing.T) *site {
	s := newSite(t, "m1 cp", "w1 workers", "w2 workers")
	s.write("part.yaml", `kflow: v1
name: runtime
inputs:
  version: {type: version}
tasks:
  - {id: config, put: {key: config, value: "${{ inputs.version }}"}}
  - {id: heals, needs: [config], ask: heals}
outputs:
  path: /run/${{ tasks.config.outputs.value }}
`)
	s.program("which", says("red"))
	s.program("which", says("blue"), "w1")
	s.program("flaky", exits(1, "flaky"))
	s.program("up", says("c1"))
	s.program("join", takes(time.Second))
	s.program("clean", says(""))
	minted := 0
	s.program("mint", minting(&minted))
	for _, m := range s.machines {
		m.facts.SwapMB = 100
		m.programs["heals"] = first(1, 75)
		m.programs["swapoff"] = func(context.Context, []string) (task.Output, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			facts := m.facts
			facts.SwapMB = 0
			m.next = &facts
			return task.Output{}, nil
		}
	}
	return s
}

// world is all that is on the machines.
func (s *site) world() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.machines)) {
		m := s.machines[name]
		for _, file := range slices.Sorted(maps.Keys(m.files)) {
			fmt.Fprintf(&b, "%s:%s = %s\n", name, file, m.files[file])
		}
	}
	return b.String()
}

// kill is a journal that dies at an event: nothing is stored any more, and nothing happens on any machine.
type kill struct {
	*checkpoint.Run
	site *site
	at   int  // events from now
	lose bool // what was not committed yet is lost, too

	mu    sync.Mutex
	queue []event.Event
	dead  bool
}

func (k *kill) Append(events ...event.Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range events {
		if k.at--; k.at < 0 && !k.dead {
			k.dead = true
			k.site.stopWorld()
		}
		if !k.dead {
			k.queue = append(k.queue, e)
		}
	}
	return nil
}

func (k *kill) Commit() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead && k.lose {
		return nil
	}
	err := k.Run.Append(k.queue...)
	k.queue = nil
	return joinErr(err, k.Run.Commit())
}

func joinErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// stopWorld keeps machines from doing anything until the session is over, and ends the session.
func (s *site) stopWorld() {
	for _, m := range s.machines {
		m.frozen.Store(true)
	}
	s.cancel()
}

// runKilled carries one session out that dies at an event, and tells whether it came that far.
func (s *site) runKilled(log *checkpoint.Run, prior *checkpoint.State, at int, lose bool) (died bool) {
	defer log.Close()
	k := &kill{Run: log, site: s, at: at, lose: lose}
	s.sessionWith(procedure, k, prior)
	if !k.dead || !lose {
		_ = k.Run.Append(k.queue...) // Close commits it
	}
	for _, m := range s.machines {
		m.frozen.Store(false)
		if m.next != nil { // facts are gathered by the next session
			m.facts, m.next = *m.next, nil
		}
	}
	return k.dead
}

// whole is the end of the procedure when nothing goes wrong.
func whole(t *testing.T) (world string, events int) {
	bubble(t, func(t *testing.T) {
		s := newProcedure(t)
		r := s.run(procedure)
		if r.Exit != 0 || r.err != nil {
			t.Fatalf("exit code %d, %v\n%s\n%s", r.Exit, r.err, r.ends(), r.failures())
		}
		world, events = s.world(), len(r.events)
	})
	return world, events
}

// completed tells what is wrong with a run that was taken up until it ended.
func (s *site) completed(t *testing.T, id, world, what string) {
	t.Helper()
	r := s.resume(procedure, id)
	if r.Exit != 0 || r.err != nil {
		t.Errorf("%s: exit code %d, %v\n%s\n%s", what, r.Exit, r.err, r.ends(), r.failures())
	}
	if got := s.world(); got != world {
		t.Errorf("%s: the machines are\n%s\nwithout interruption\n%s", what, got, world)
	}
	for name, i := range s.state(id).Instances {
		if i.Finished > 1 && i.Task != "token" {
			t.Errorf("%s: %s finished %d times", what, name, i.Finished)
		}
	}
}

// some is how many of something a test tries, fewer with -short.
func some(many, few int) int {
	if testing.Short() {
		return few
	}
	return many
}

func TestARunThatIsKilledAtAnyEventEndsAsIfItHadNotBeen(t *testing.T) {
	world, events := whole(t)
	for at := 0; at < events; at += some(1, 9) {
		bubble(t, func(t *testing.T) {
			s := newProcedure(t)
			log, err := s.store.Create()
			if err != nil {
				t.Fatal(err)
			}
			lose := at%2 == 1
			s.runKilled(log, nil, at, lose)
			s.completed(t, log.ID(), world, fmt.Sprintf("killed at event %d, uncommitted lost: %t", at, lose))
		})
		if t.Failed() {
			return
		}
	}
}

func TestARunThatIsKilledAgainAndAgain(t *testing.T) {
	world, events := whole(t)
	for seed := range uint64(some(12, 3)) {
		bubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := newProcedure(t)
			log, err := s.store.Create()
			if err != nil {
				t.Fatal(err)
			}
			id := log.ID()
			var prior *checkpoint.State
			for died := true; died; {
				died = s.runKilled(log, prior, random.IntN(events/2), random.IntN(2) == 0)
				time.Sleep(time.Minute)
				if log, prior, err = s.store.Open(id); err != nil {
					t.Fatal(err)
				}
			}
			log.Close()
			s.completed(t, id, world, fmt.Sprintf("seed %d", seed))
		})
		if t.Failed() {
			return
		}
	}
}

func TestALogThatIsCutAnywhereCanBeResumed(t *testing.T) {
	world, _ := whole(t)
	bubble(t, func(t *testing.T) {
		s := newProcedure(t)
		r := s.run(procedure)
		for _, m := range s.machines {
			if m.next != nil {
				m.facts, m.next = *m.next, nil
			}
		}
		log := s.logText(r.id)
		random := rand.New(rand.NewPCG(7, 7))
		cuts := []int{0, 1, len(log) - 1}
		for range some(30, 6) {
			cuts = append(cuts, random.IntN(len(log)))
		}
		for _, cut := range cuts {
			s.rewrite(r.id, log[:cut])
			s.completed(t, r.id, world, fmt.Sprintf("cut at byte %d", cut))
		}
		if _, err := os.Stat(s.store.LogPath(r.id)); err != nil {
			t.Error(err)
		}
	})
}
