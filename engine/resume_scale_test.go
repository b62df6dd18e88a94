package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/tasks"
)

// barriers is a playbook in which every host waits for all others, again and again.
const barriers = `kflow: v1
name: barriers
groups: {workers: {min: 1}}
tasks:
  - {id: a, file: {path: /etc/a, content: x}}
  - {id: b, needs: [a@all], file: {path: /etc/b, content: x}}
  - {id: c, needs: [b@all], file: {path: /etc/c, content: x}}
  - {id: d, needs: [c@all], file: {path: /etc/d, content: x}}
  - {id: e, needs: [d@all], file: {path: /etc/e, content: x}}
  - {id: f, needs: [e], command: [systemctl, daemon-reload]}
`

// TestAResumeOfManyHostsCostsLessThanTheRun: what was done is only looked at. Where each host looked at all others it would
// cost more, from about a thousand on.
func TestAResumeOfManyHostsCostsLessThanTheRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte(barriers), 0o600); err != nil {
		t.Fatal(err)
	}
	sizes, err := sim.ParseSizes([]string{"workers=2000"})
	if err != nil {
		t.Fatal(err)
	}
	p, found := engine.Open(t.Context(), engine.Config{Playbook: file, Kinds: tasks.All(), Environ: []string{}, Stage: &engine.Stage{Inventory: sizes.Inventory}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	w := sim.NewWorld(sim.Options{Seed: 1, Kinds: tasks.All()})
	fault, err := sim.ParseFault("f:fail:1")
	if err != nil {
		t.Fatal(err)
	}
	w.Faults.Add(fault)
	s := sim.NewSession(p, w)
	session := func(want int) time.Duration {
		before := busy(t)
		r, err := s.Run(context.Background(), event.SinkFunc(func(event.Event) {}), nil)
		if err != nil || r.Exit != want {
			t.Fatalf("exit code %d, want %d: %v", r.Exit, want, err)
		}
		return busy(t) - before
	}
	first := session(engine.ExitFailed)
	s.Heal(time.Minute)
	if again := session(engine.ExitOK); again > first*9/10 {
		t.Errorf("the run took %s, and its resume %s", first, again)
	}
}

// busy is the time that this process has had of its processors.
func busy(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
