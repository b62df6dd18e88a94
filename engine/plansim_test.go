package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
	"github.com/kflow/kflow/tasks"
)

// stage is the flagship on bare simulated hosts.
type stage struct {
	t     *testing.T
	p     *engine.Project
	world *sim.World
}

func newStage(t *testing.T, family string) stage {
	t.Helper()
	p, found := engine.Open(t.Context(), engine.Config{Playbook: "../playbooks/ha-containerd.yaml", Kinds: tasks.All(), Environ: []string{},
		Stage: &engine.Stage{Inventory: sim.Sizes(nil).Inventory}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return stage{t, p, sim.NewWorld(sim.Options{Seed: 1, OS: []string{family}, Kinds: tasks.All()})}
}

func (s stage) rehearsal() engine.Rehearsal {
	return engine.Rehearsal{Clock: s.world.Clock,
		Dialer: func(files *controller.Controller) transport.Dialer { return s.world.Dialer(files, s.p.HostNames()) }}
}

func (s stage) plan() map[string]engine.Planned {
	s.t.Helper()
	list, err := s.p.PlanRehearsed(s.t.Context(), s.rehearsal())
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]engine.Planned{}
	for _, e := range list {
		out[e.Instance] = e
	}
	return out
}

func (s stage) run() map[string]event.Status {
	s.t.Helper()
	out := map[string]event.Status{}
	sink := event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded {
			out[e.Instance] = e.Status
		}
	})
	if _, err := sim.NewSession(s.p, s.world).Run(context.Background(), sink, nil); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// TestPlanOnBareHosts plans the flagship on five bare hosts: without an error, and with nothing that the run after it does
// not do. A plan after the run finds nothing to change.
func TestPlanOnBareHosts(t *testing.T) {
	for _, family := range []string{"rocky9", "debian12"} {
		t.Run(family, func(t *testing.T) {
			s := newStage(t, family)
			planned := s.plan()
			got := s.run()
			counts := map[any]int{}
			for name, e := range planned {
				counts[e.Is]++
				if !agrees(e, got[name]) {
					t.Errorf("%s: planned `%s` (%s), and then it was %s", name, e.Is, e.Why, got[name])
				}
			}
			for name, status := range got {
				if _, ok := planned[name]; !ok && status != event.Skipped {
					t.Errorf("%s was %s, and the plan does not have it", name, status)
				}
			}
			t.Log(counts)
			for name, e := range s.plan() {
				if e.Is != engine.NoChange && e.Is != engine.WillSkip {
					t.Errorf("after the run %s is planned as `%s` (%s) %v", name, e.Is, e.Why, e.Changes)
				}
			}
		})
	}
}

// TestSavedPlanOfBareHostsFits carries a saved plan out on the hosts it was made on: no instance is refused, although much
// of what is planned one after the other touches the same.
func TestSavedPlanOfBareHostsFits(t *testing.T) {
	for _, family := range []string{"rocky9", "debian12"} {
		t.Run(family, func(t *testing.T) {
			s := newStage(t, family)
			list, err := s.p.PlanRehearsed(t.Context(), s.rehearsal())
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "plan.json")
			if err := s.p.SavePlan(file, list, time.Unix(0, 0)); err != nil {
				t.Fatal(err)
			}
			p, found := engine.Open(t.Context(), engine.Config{Plan: file, Kinds: tasks.All(), Environ: []string{}, Stage: &engine.Stage{Inventory: sim.Sizes(nil).Inventory}})
			if err := found.Err(); err != nil {
				t.Fatal(err)
			}
			sink := event.SinkFunc(func(e event.Event) {
				if e.Type == event.InstanceEnded && e.Failure != nil {
					t.Errorf("%s is %s: %s\n%s", e.Instance, e.Status, e.Failure.Summary, e.Failure.Output)
				}
			})
			if r, err := sim.NewSession(p, s.world).Run(context.Background(), sink, nil); err != nil || r.Exit != engine.ExitOK {
				t.Errorf("exit code %d: %v", r.Exit, err)
			}
		})
	}
}

// agrees tells whether a result is what the plan said. What is known after another task may be anything that is good.
func agrees(e engine.Planned, got event.Status) bool {
	switch e.Is {
	case engine.NoChange:
		return got == event.OK
	case engine.WillChange, engine.IsAction:
		return got == event.Changed
	case engine.WillSkip:
		return got == event.Skipped
	case engine.KnownAfter:
		return got.Good()
	}
	return false
}

// TestAQuestionThatComesTooEarlyInAPlan: what a command looks for is made by a task before it. Where nothing before it changes, it
// would fail.
func TestAQuestionThatComesTooEarlyInAPlan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := `kflow: v1
name: site
groups: {machines: {}}
tasks:
  - id: note
    file: {path: /etc/note, content: "one\n"}
  - id: early
    needs: [note]
    command: {argv: [vendor-check, /etc/note], read_only: true, simulate: {exit: 2, stderr: "there is nothing"}}
  - id: zone
    file: {path: /etc/hostname}
    when: false
  - id: alone
    needs: [zone]
    command: {argv: [vendor-check, /etc/other], read_only: true, simulate: {exit: 2, stderr: "there is nothing"}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, found := engine.Open(t.Context(), engine.Config{Playbook: file, Kinds: tasks.All(), Environ: []string{}, Stage: &engine.Stage{Inventory: sim.Sizes{"machines": 1}.Inventory}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	s := stage{t, p, sim.NewWorld(sim.Options{Seed: 1, Kinds: tasks.All()})}
	got := s.plan()
	if e := got["early@machines-01"]; e.Is != engine.KnownAfter || e.Why != "note@machines-01" {
		t.Errorf("planned as %s (%s)", e.Is, e.Why)
	}
	if e := got["alone@machines-01"]; e.Is != engine.WouldFail {
		t.Errorf("planned as %s (%s)", e.Is, e.Why)
	}
}
