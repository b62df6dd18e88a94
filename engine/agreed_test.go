package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
)

// bound is a playbook of which every sort of foresight can cease to be true.
const bound = `kflow: v1
name: bound
inventory: hosts.yaml
tasks:
  - id: same
    file: {path: DIR/host/same, content: same}
  - id: edit
    file: {path: DIR/host/edit, content: new}
  - id: read
    command: {argv: [cat, DIR/host/switch], read_only: true}
  - id: switched
    when: tasks.read.outputs.stdout == "on"
    file: {path: DIR/host/switched, content: x}
  - id: dir
    file: {path: DIR/host/dir, directory: true}
  - id: later
    needs: [dir]
    file: {path: DIR/host/dir/later, content: x}
  - id: act
    command: {argv: [touch, DIR/host/acted], rerun: safe}
  - id: twice
    needs: [edit]
    file: {path: DIR/host/edit, content: new, mode: "0600"}
`

// planned is a folder with a saved plan.
func planned(t *testing.T) (folder, engine.Config) {
	t.Helper()
	f := newFolder(t)
	f.write("p.yaml", strings.ReplaceAll(bound, "DIR", f.dir))
	for name, text := range map[string]string{"same": "same", "edit": "old", "switch": "off"} {
		f.write("host/"+name, text)
	}
	return f, f.saved()
}

// saved plans, and is a configuration that carries that out.
func (f folder) saved() engine.Config {
	f.t.Helper()
	p := f.open(f.config())
	list, err := p.Plan(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	cfg := f.config()
	cfg.Playbook, cfg.Plan = "", filepath.Join(f.dir, "plan.json")
	if err := p.SavePlan(cfg.Plan, list, time.Now()); err != nil {
		f.t.Fatal(err)
	}
	return cfg
}

// carry carries out and returns what every instance ended with.
func (f folder) carry(cfg engine.Config) (map[string]event.Event, error) {
	f.t.Helper()
	out := map[string]event.Event{}
	err := f.open(cfg).Run(context.Background(), event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded {
			out[e.Instance] = e
		}
	}), nil)
	return out, err
}

func (f folder) read(name string) string {
	text, err := os.ReadFile(filepath.Join(f.dir, "host", name))
	if err != nil {
		return ""
	}
	return string(text)
}

// TestPlanHoldsForEachInstance changes the host after the plan was compared with it, and before its tasks start.
func TestPlanHoldsForEachInstance(t *testing.T) {
	for _, c := range []struct {
		name    string
		file    string // that is changed meanwhile
		text    string
		refused string // "" = none
		output  []string
		after   string // what is in the file then
	}{
		{"as it was", "switch", "off", "", nil, "off"},
		{"no change was planned", "same", "other", "same@me", []string{"planned: no change", "now:", "-other", "+same"}, "other"},
		{"another change was planned", "edit", "other", "edit@me", []string{"planned: will change", "-old", "now:", "-other"}, "other"},
		{"somebody has done it", "edit", "new", "", nil, "new"},
		{"it was to be skipped", "switch", "on", "switched@me", []string{"planned: skipped", "now: its condition is true"}, "on"},
		{"known later is free", "dir/later", "y", "", nil, "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, cfg := planned(t)
			f.write("host/"+c.file, c.text)
			got, err := f.carry(cfg)
			if (err == nil) != (c.refused == "") {
				t.Error(err)
			}
			for name, e := range got {
				bad := e.Status == event.Failed
				if bad != (name == c.refused) {
					t.Errorf("%s is %s: %v", name, e.Status, e.Failure)
				}
				if !bad {
					continue
				}
				if !strings.Contains(e.Failure.Summary, "would not do what the plan says; nothing was changed") || !strings.Contains(e.Failure.Hint, "plan again") {
					t.Errorf("%+v", e.Failure)
				}
				for _, text := range c.output {
					if !strings.Contains(e.Failure.Output, text) {
						t.Errorf("%q is not in\n%s", text, e.Failure.Output)
					}
				}
			}
			if text := f.read(c.file); text != c.after {
				t.Errorf("%s holds %q, want %q", c.file, text, c.after)
			}
		})
	}
}

// TestPlanHoldsForWhatIsLeft: a run that was refused goes on by its plan when the host is put back, and only then.
func TestPlanHoldsForWhatIsLeft(t *testing.T) {
	f, cfg := planned(t)
	f.write("host/edit", "other")
	var code *engine.ExitError
	if _, err := f.carry(cfg); !errors.As(err, &code) || code.Code != engine.ExitFailed {
		t.Fatal(err)
	}
	again := engine.Config{Resume: engine.Latest, State: cfg.State, Kinds: cfg.Kinds, Environ: cfg.Environ}
	if got, err := f.carry(again); err == nil || got["edit@me"].Status != event.Failed {
		t.Errorf("resumed on a host that is not as planned: %v, edit is %s", err, got["edit@me"].Status)
	}
	f.write("host/edit", "old")
	if got, err := f.carry(again); err != nil || got["edit@me"].Status != event.Changed || f.read("edit") != "new" {
		t.Errorf("%v, edit is %s and holds %q", err, got["edit@me"].Status, f.read("edit"))
	}
}

// TestPlanOfARunIsGone: a resumed run does not go on without its plan.
func TestPlanOfARunIsGone(t *testing.T) {
	f, cfg := planned(t)
	f.write("host/edit", "other")
	if _, err := f.carry(cfg); err == nil {
		t.Fatal("it was not refused")
	}
	if err := os.Remove(cfg.Plan); err != nil {
		t.Fatal(err)
	}
	_, found := engine.Open(t.Context(), engine.Config{Resume: engine.Latest, State: cfg.State, Kinds: cfg.Kinds, Environ: cfg.Environ})
	if err := found.Err(); err == nil || !strings.Contains(err.Error(), "carries out a plan that can't be read") {
		t.Error(err)
	}
}
