package engine_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
)

// TestResumeTakesTheRunThatBeganLastAndHasSomethingToGoOnWith: whatever the clock says, and past runs that never began.
func TestResumeTakesTheRunThatBeganLastAndHasSomethingToGoOnWith(t *testing.T) {
	f := newFolder(t)
	cfg := f.config()
	f.write("later.yaml", "kflow: v1\nname: later\ninventory: hosts.yaml\ntasks:\n  - id: only\n    command: {argv: ['true'], read_only: true}\n")
	clock := time.Now()
	store, err := checkpoint.NewStore(checkpoint.Options{Dir: cfg.State, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	begin := func(events ...event.Event) {
		t.Helper()
		run, err := store.Create()
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Append(events...); err != nil {
			t.Fatal(err)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
	started := func(playbook string) event.Event {
		return event.Event{Type: event.RunStarted, Time: clock, Playbook: filepath.Join(f.dir, playbook), Info: map[string]any{"inventory": filepath.Join(f.dir, "hosts.yaml")}}
	}
	begin(started("p.yaml"))
	clock = clock.Add(-time.Hour) // it was set right
	begin(started("later.yaml"))
	begin() // killed before it began
	p, found := engine.Open(t.Context(), engine.Config{Resume: engine.Latest, State: cfg.State, Kinds: cfg.Kinds, Environ: cfg.Environ})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	list, err := p.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Task != "only" {
		t.Errorf("it goes on with %+v", list)
	}
}
