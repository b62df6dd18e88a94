package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/tasks"
)

// site is a playbook for this machine that stays in its folder: a state that holds already, states to be made, one that
// depends on another, outputs, a condition, an action.
const site = `kflow: v1
name: site
inventory: hosts.yaml
inputs:
  text: {type: string, default: one}
tasks:
  - id: there
    file: {path: DIR/host/there, content: x}
  - id: dir
    file: {path: DIR/host/dir, directory: true}
  - id: file
    needs: [dir]
    file: {path: DIR/host/dir/file, content: "${{ inputs.text }}"}
  - id: copy
    needs: [file]
    file: {path: DIR/host/copy, copy_of: DIR/host/dir/file}
  - id: read
    command: {argv: [cat, DIR/host/there], read_only: true}
  - id: from_output
    file: {path: DIR/host/output, content: "${{ tasks.read.outputs.stdout }}"}
  - id: never
    when: inputs.text == "never"
    file: {path: DIR/host/never, content: x}
  - id: act
    needs: [dir]
    command: {argv: [touch, DIR/host/acted], rerun: safe}
`

type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	f.write("p.yaml", strings.ReplaceAll(site, "DIR", f.dir))
	f.write("hosts.yaml", "kflow: v1\nhosts:\n  me: {connection: local}\n")
	f.write("host/there", "x")
	return f
}

// TestADamagedPlanIsNotCarriedOut changes a file at many places.
func TestADamagedPlanIsNotCarriedOut(t *testing.T) {
	f := newFolder(t)
	cfg := f.config()
	p := f.open(cfg)
	list, err := p.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(f.dir, "plan.json")
	if err := p.SavePlan(file, list, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := func(text []byte) error {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, found := engine.Open(t.Context(), engine.Config{Plan: file, State: cfg.State, Kinds: cfg.Kinds, Environ: cfg.Environ})
		return found.Err()
	}
	if err := open(good); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += max(1, len(good)/300) {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if open(bad) == nil {
			t.Errorf("byte %d was changed, and nobody saw it", at)
		}
		if open(good[:at]) == nil {
			t.Errorf("cut off at byte %d, and nobody saw it", at)
		}
	}
}

func (f folder) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) config() engine.Config {
	return engine.Config{Playbook: filepath.Join(f.dir, "p.yaml"), State: filepath.Join(f.dir, "state"), Kinds: tasks.All(), Environ: []string{}}
}

func (f folder) open(cfg engine.Config) *engine.Project {
	f.t.Helper()
	p, found := engine.Open(context.Background(), cfg)
	if err := found.Err(); err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f folder) plan(cfg engine.Config) map[string]engine.Planned {
	f.t.Helper()
	list, err := f.open(cfg).Plan(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	out := map[string]engine.Planned{}
	for _, e := range list {
		out[e.Instance] = e
	}
	return out
}

// run carries out and returns the results.
func (f folder) run(cfg engine.Config) map[string]event.Status {
	f.t.Helper()
	out := map[string]event.Status{}
	sink := event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded {
			out[e.Instance] = e.Status
		}
	})
	if err := f.open(cfg).Run(context.Background(), sink, nil); err != nil {
		f.t.Fatal(err)
	}
	return out
}

// tree is everything about the files of the host: names, modes, times, contents.
func (f folder) tree() map[string]string {
	f.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(filepath.Join(f.dir, "host"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if !d.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(b)
		}
		out[path] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano(), text)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func TestPlanningWritesNothing(t *testing.T) {
	f := newFolder(t)
	before := f.tree()
	f.plan(f.config())
	if d := cmp.Diff(before, f.tree()); d != "" {
		t.Errorf("a plan has changed the host (-before +after)\n%s", d)
	}
}

func TestPlanIsWhatTheRunDoes(t *testing.T) {
	f := newFolder(t)
	planned := f.plan(f.config())
	got := f.run(f.config())
	if len(planned) != len(got) {
		t.Errorf("%d instances planned, %d run", len(planned), len(got))
	}
	for name, e := range planned {
		status := got[name]
		fits := map[bool]bool{
			e.Is == engine.NoChange:                              status == event.OK,
			e.Is == engine.WillChange || e.Is == engine.IsAction: status == event.Changed,
			e.Is == engine.WillSkip:                              status == event.Skipped,
			e.Is == engine.KnownAfter:                            status.Good(),
		}
		if !fits[true] {
			t.Errorf("%s: planned `%s`, and then it was %s", name, e.Is, status)
		}
	}
	for name, is := range map[string]any{"there@me": engine.NoChange, "dir@me": engine.WillChange, "file@me": engine.KnownAfter, "never@me": engine.WillSkip, "act@me": engine.IsAction} {
		if planned[name].Is != is {
			t.Errorf("%s is `%s` in the plan, want `%s`", name, planned[name].Is, is)
		}
	}
	for name, e := range f.plan(f.config()) {
		if e.Is == engine.WillChange || e.Is == engine.KnownAfter || e.Is == engine.WouldFail {
			t.Errorf("after the run %s is planned as `%s`", name, e.Is)
		}
	}
}

func TestSavedPlan(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(folder, *engine.Config)
		want   string // "" = it is carried out
	}{
		{"as it was", func(folder, *engine.Config) {}, ""},
		{"a comment", func(f folder, _ *engine.Config) {
			f.write("p.yaml", "# new\n"+strings.ReplaceAll(site, "DIR", f.dir))
		}, ""},
		{"the host", func(f folder, _ *engine.Config) { f.write("host/there", "y") }, "there@me: `no change` was planned, now it is `will change`"},
		{"what is known later", func(f folder, _ *engine.Config) {
			f.write("p.yaml", strings.ReplaceAll(strings.Replace(site, "content: x", "content: z", 1), "DIR", f.dir))
		}, "the playbook, its inventory or its inputs have changed"},
		{"what is looped over", func(f folder, _ *engine.Config) {
			f.write("p.yaml", strings.ReplaceAll(strings.Replace(site, "when: inputs.text == \"never\"", "when: inputs.text == \"never\"\n    for_each: [1, 2]", 1), "DIR", f.dir))
		}, "the playbook, its inventory or its inputs have changed"},
		{"where it is done", func(f folder, _ *engine.Config) {
			f.write("p.yaml", strings.ReplaceAll(strings.Replace(site, "when: inputs.text == \"never\"", "when: inputs.text == \"never\"\n    at: controller", 1), "DIR", f.dir))
		}, "the playbook, its inventory or its inputs have changed"},
		{"how often at once", func(f folder, _ *engine.Config) {
			f.write("p.yaml", strings.ReplaceAll(strings.Replace(site, "when: inputs.text == \"never\"", "when: inputs.text == \"never\"\n    max_parallel: 1", 1), "DIR", f.dir))
		}, "the playbook, its inventory or its inputs have changed"},
		{"how it is reached", func(f folder, _ *engine.Config) {
			f.write("hosts.yaml", "kflow: v1\nhosts:\n  me: {connection: ssh, address: 192.0.2.1}\n")
		}, "the playbook, its inventory or its inputs have changed"},
		{"an input", func(_ folder, cfg *engine.Config) { cfg.Set = []string{"text=two"} }, "the playbook, its inventory or its inputs have changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFolder(t)
			p := f.open(f.config())
			list, err := p.Plan(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(f.dir, "plan.json")
			if err := p.SavePlan(file, list, time.Unix(0, 0)); err != nil {
				t.Fatal(err)
			}
			cfg := f.config()
			cfg.Playbook, cfg.Plan = "", file
			c.change(f, &cfg)
			_, err = f.open(cfg).Fits(context.Background())
			if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if c.want == "" {
				f.run(cfg)
			}
		})
	}
}

// TestPlanThatFailsIsNotSaved: nobody could carry it out.
func TestPlanThatFailsIsNotSaved(t *testing.T) {
	f := newFolder(t)
	err := f.open(f.config()).SavePlan(filepath.Join(f.dir, "plan.json"), []engine.Planned{{Instance: "x@me", Is: engine.WouldFail, Why: "no"}}, time.Unix(0, 0))
	if err == nil || !strings.Contains(err.Error(), "x@me would fail") {
		t.Error(err)
	}
}
