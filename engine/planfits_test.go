package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
)

// TestPlanOfWhichSomethingIsDone changes the host between a plan and its run: what was planned and is there by now is no
// harm, anything else refuses it before a task has started.
func TestPlanOfWhichSomethingIsDone(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   map[string]string // that somebody writes
		already []string
		wrong   string
		results map[string]event.Status
	}{
		{"nothing", nil, nil, "", map[string]event.Status{"edit@me": event.Changed, "dir@me": event.Changed}},
		{"a change", map[string]string{"edit": "new"}, []string{"edit@me", "twice@me"}, "",
			map[string]event.Status{"edit@me": event.OK, "twice@me": event.Changed, "act@me": event.Changed}},
		{"a change and what was to be known after it", map[string]string{"dir/later": "x"}, []string{"dir@me"}, "",
			map[string]event.Status{"dir@me": event.OK, "later@me": event.OK}},
		{"another change", map[string]string{"edit": "other"}, nil, "edit@me: this was not planned: write DIR/host/edit", nil},
		{"a change where none was planned", map[string]string{"same": "other"}, nil, "same@me: `no change` was planned, now it is `will change`", nil},
		{"a condition is true", map[string]string{"switch": "on"}, nil, "switched@me: `skipped` was planned, now it is `will change`", nil},
		{"a change and another one", map[string]string{"edit": "new", "same": "other"}, nil, "same@me: ", nil},
		{"it would fail", map[string]string{"dir": "no directory"}, nil, "dir@me: `will change` was planned, now it is `would fail` (", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, cfg := planned(t)
			for name, text := range c.files {
				f.write("host/"+name, text)
			}
			already, err := f.open(cfg).Fits(context.Background())
			if want := strings.ReplaceAll(c.wrong, "DIR", f.dir); (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) {
				t.Fatalf("%v, want %q", err, want)
			}
			if !slices.Equal(already, c.already) {
				t.Errorf("already so: %q, want %q", already, c.already)
			}
			if err != nil {
				return
			}
			got, err := f.carry(cfg)
			if err != nil {
				t.Error(err)
			}
			for name, want := range c.results {
				if got[name].Status != want {
					t.Errorf("%s is %s, want %s", name, got[name].Status, want)
				}
			}
		})
	}
}

// TestPlanOfTwoEditsOfAFile: the second one was planned on the file as it was, and starts from what the first has made, or
// somebody in its place.
func TestPlanOfTwoEditsOfAFile(t *testing.T) {
	for name, text := range map[string]string{"by the run": "old\n", "by somebody": "old\none\n"} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write("p.yaml", strings.ReplaceAll(`kflow: v1
name: edits
inventory: hosts.yaml
tasks:
  - id: one
    file: {path: DIR/host/f, lines: [one]}
  - id: two
    needs: [one]
    file: {path: DIR/host/f, lines: [two]}
`, "DIR", f.dir))
			f.write("host/f", "old\n")
			cfg := f.saved()
			f.write("host/f", text)
			if _, err := f.open(cfg).Fits(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, err := f.carry(cfg); err != nil || f.read("f") != "old\none\ntwo\n" {
				t.Errorf("%v, the file holds %q", err, f.read("f"))
			}
		})
	}
}

// TestPlanIsCarriedOutOnce: what it agreed to is done once, where doing it twice is another thing. What failed goes on.
func TestPlanIsCarriedOutOnce(t *testing.T) {
	f, cfg := planned(t)
	f.write("host/edit", "other")
	if got, err := f.carry(cfg); err == nil || got["act@me"].Status != event.Changed {
		t.Fatalf("%v, act is %s", err, got["act@me"].Status)
	}
	f.write("host/edit", "old")
	_, err := f.open(cfg).Fits(context.Background())
	want(t, err, "act@me is an action, and run ", "kflow resume ")
	if _, err := f.carry(engine.Config{Resume: engine.Latest, State: cfg.State, Kinds: cfg.Kinds, Environ: cfg.Environ}); err != nil {
		t.Fatal(err)
	}
	_, err = f.open(cfg).Fits(context.Background())
	want(t, err, "act@me is an action, and run ", "plan again")

	again := f.saved() // the same plan, made anew: somebody has agreed to it once more
	if _, err := f.open(again).Fits(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestPlanOfARunIsAnother: a run does not go on by a plan that was written over its own.
func TestPlanOfARunIsAnother(t *testing.T) {
	f, cfg := planned(t)
	f.write("host/edit", "other")
	if _, err := f.carry(cfg); err == nil {
		t.Fatal("it was not refused")
	}
	f.saved()
	_, found := engine.Open(t.Context(), engine.Config{Resume: engine.Latest, State: cfg.State, Kinds: cfg.Kinds, Environ: cfg.Environ})
	want(t, found.Err(), "is another one by now", "")
}

// want looks for texts in an error and in its help.
func want(t *testing.T, err error, text, help string) {
	t.Helper()
	got := ""
	if h, ok := err.(interface{ Help() string }); ok {
		got = h.Help()
	}
	if !strings.Contains(fmt.Sprint(err), text) || !strings.Contains(got, help) {
		t.Errorf("%v (%s), want %q (%q)", err, got, text, help)
	}
}

// TestWhereAPlanIsWritten: to files, and through links and pipes; nothing else is put in the place of what is there.
func TestWhereAPlanIsWritten(t *testing.T) {
	f := newFolder(t)
	p := f.open(f.config())
	list, err := p.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	save := func(name string) error { return p.SavePlan(filepath.Join(f.dir, name), list, time.Unix(0, 0)) }
	f.write("file", "old")
	if err := errors.Join(os.Symlink("file", filepath.Join(f.dir, "link")), syscall.Mkfifo(filepath.Join(f.dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := save("link"); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(f.dir, "link")); err != nil || to != "file" {
		t.Errorf("the link is %q: %v", to, err)
	}
	whole, err := os.ReadFile(filepath.Join(f.dir, "file"))
	if err != nil || !strings.Contains(string(whole), "kflow_plan") {
		t.Fatalf("%v: %s", err, whole)
	}
	piped := make(chan string)
	go func() {
		text, _ := os.ReadFile(filepath.Join(f.dir, "pipe"))
		piped <- string(text)
	}()
	if err := save("pipe"); err != nil {
		t.Fatal(err)
	}
	if text := <-piped; text != string(whole) {
		t.Errorf("through a pipe came %q", text)
	}
	if st, err := os.Lstat(filepath.Join(f.dir, "pipe")); err != nil || st.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("the pipe is now %v: %v", st, err)
	}
	for _, name := range []string{"host", "none/plan"} {
		if err := save(name); err == nil || !strings.Contains(err.Error(), "the plan can't be written to "+filepath.Join(f.dir, name)+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
