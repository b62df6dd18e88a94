package tasktest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3" //nolint:depguard // cases are written in YAML; nothing here is part of kflow

	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

var update = flag.Bool("update", false, "write the expectations of the cases as they are now")

// Run runs the cases that match pattern, relative to the package's directory; at least one must.
func Run(t *testing.T, kind task.Kind, pattern string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no case matches %s (%v)", pattern, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c, h, err := parseCase(t, archive)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := c.run(t, kind, h)
			if *update && !t.Failed() {
				c.update(t, name, got)
				return
			}
			c.compare(t, name, got)
		})
	}
}

// result collects what happened: section name to content.
type result struct {
	sections map[string]string
	secrets  []string
}

// run carries a case out and returns its expectation sections as they are.
func (c *testCase) run(t testing.TB, kind task.Kind, h *Host) *result {
	got := &result{sections: map[string]string{}}
	start := h.files.clone()
	p, err := resolve(kind, c.params, h.controller)
	if err != nil {
		got.section("error", "parameters: "+err.Error())
		return got
	}
	got.secrets = p.secrets
	out := got.converge(t, p, h)
	got.section("ran", strings.Join(h.ran, "\n"))
	got.differences(start, h.files)
	for name, s := range h.saved {
		got.section("saved/"+name+heading(&node{mode: s.mode, owner: "root", group: "root", data: s.data}), string(s.data))
	}
	if out.Failure == nil && !p.action() {
		again(t, p, h)
	}
	if !kind.SecretOutputs {
		got.noSecrets(t)
	}
	return got
}

// converge carries the task out the way the engine does, with lazy parameters when they are asked for.
func (r *result) converge(t testing.TB, p *params, h *Host) *job.Outcome {
	t.Helper()
	var logs, progress []string
	run := func(lazy bool) *job.Outcome {
		req := &job.Request{
			Instance: "case@" + h.facts.Hostname, Kind: p.kind.Name, Mode: job.Apply,
			Items: []json.RawMessage{p.json(lazy)}, HasLazy: p.hasLazy, LazyGiven: lazy,
		}
		kinds := &shared{Registry: task.NewRegistry(p.kind), t: t}
		defer kinds.unchanged()
		return converge.Run(context.Background(), kinds, h, req, func(pr job.Progress) {
			switch {
			case pr.Log != "":
				logs = append(logs, pr.Log)
			case pr.What != "" && pr.Total > 0:
				progress = append(progress, fmt.Sprintf("%s (%d of %d)", pr.What, pr.Done, pr.Total))
			case pr.What != "":
				progress = append(progress, pr.What)
			}
		})
	}
	out := run(!p.hasLazy)
	if out.NeedsLazy {
		out = run(true)
	}
	r.section("logs", strings.Join(logs, "\n"))
	r.section("progress", strings.Join(progress, "\n"))
	r.changes(out.Changes)
	if f := out.Failure; f != nil {
		r.failure(f)
	} else {
		r.outputs(out.Outputs[0])
	}
	return out
}

// again runs a state a second time: nothing may change.
func again(t testing.TB, p *params, h *Host) {
	t.Helper()
	ran, before := len(h.ran), h.files.clone()
	second := &result{sections: map[string]string{}}
	if out := second.converge(t, p, h); out.Failure != nil {
		t.Errorf("second run: %v\n%s", out.Failure, out.Failure.Output)
	}
	second.differences(before, h.files)
	for name, content := range second.sections {
		if name == "changes" || strings.HasPrefix(name, "after/") {
			t.Errorf("second run must change nothing, but there is %s:\n%s", name, content)
		}
	}
	if len(h.ran) > ran {
		t.Errorf("second run must change nothing, but ran %v", h.ran[ran:])
	}
}

// section sets a section; its text ends with a newline, and an empty one is left out.
func (r *result) section(name, text string) {
	if text = strings.TrimSuffix(text, "\n"); text != "" {
		r.sections[name] = text + "\n"
	}
}

func (r *result) changes(changes []job.Change) {
	var names, diffs strings.Builder
	for _, c := range changes {
		names.WriteString(c.Summary + "\n")
		diffs.WriteString("# " + c.Summary + "\n")
		if c.Diff != "" {
			diffs.WriteString(strings.TrimSuffix(c.Diff, "\n") + "\n")
		}
	}
	r.section("changes", names.String())
	r.section("diff", diffs.String())
}

func (r *result) failure(f *job.Failure) {
	text := f.Error()
	if f.NotYet != "" {
		text = "not yet: " + f.NotYet
	} else {
		r.section("hint", f.Hint)
	}
	r.section("error", text)
	r.section("output", f.Output)
}

func (r *result) outputs(raw json.RawMessage) {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil || v == nil {
		return
	}
	if text, err := yaml.Marshal(v); err == nil {
		r.section("outputs.yaml", string(text))
	}
}

// differences makes the sections after/ of what differs between two states of the file system.
func (r *result) differences(before, after files) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] == nil && after[path.Dir(name)] != nil {
			r.sections["after"+name+" absent"] = ""
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		n, old := after[name], before[name]
		if old != nil && old.mode == n.mode && old.owner == n.owner && old.group == n.group &&
			old.target == n.target && string(old.data) == string(n.data) {
			continue
		}
		if old == nil && n.mode == fs.ModeDir|0o755 && n.owner+n.group == "rootroot" && hasChild(after, name) {
			continue
		}
		data := string(n.data)
		if data != "" && !strings.HasSuffix(data, "\n") {
			data += "\n"
		}
		if len(data) > 16<<10 {
			r.sections["after"+name+heading(n)+" sha256="+hash(n.data)] = ""
			continue
		}
		r.sections["after"+name+heading(n)] = data
	}
}

func hasChild(f files, dir string) bool {
	for name := range f {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// heading is what stands behind the name of a file in a section line.
func heading(n *node) string {
	if n.mode&fs.ModeSymlink != 0 {
		return " -> " + n.target
	}
	s, usual := "", fs.FileMode(0o644)
	if n.mode.IsDir() {
		s, usual = "/", 0o755
	}
	if mode := n.mode &^ fs.ModeDir; mode != usual {
		s += " mode=" + octal(mode)
	}
	if n.owner != "root" || n.group != "root" {
		s += " owner=" + n.owner + ":" + n.group
	}
	if len(n.data) > 0 && n.data[len(n.data)-1] != '\n' {
		s += " nonl"
	}
	return s
}

func octal(mode fs.FileMode) string {
	n := uint32(mode.Perm())
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			n |= bit
		}
	}
	return fmt.Sprintf("%04o", n)
}

func (r *result) noSecrets(t testing.TB) {
	t.Helper()
	for _, s := range r.secrets {
		for name, text := range r.sections {
			if strings.Contains(text, s) && slices.Contains([]string{"changes", "diff", "logs", "progress", "error", "hint", "output", "outputs.yaml"}, name) {
				t.Errorf("a secret is shown in %s:\n%s", name, text)
			}
		}
	}
}

func (c *testCase) compare(t testing.TB, file string, got *result) {
	t.Helper()
	names := map[string]bool{}
	for name := range c.expect {
		names[name] = true
	}
	for name := range got.sections {
		if strict(name) {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		want, expected := c.expect[name]
		have, is := got.sections[name]
		if expected && !is && want != "" || !expected && is || want != have {
			t.Errorf("%s: section %q (-want +got), -update accepts it:\n%s", file, name, cmp.Diff(strings.Split(want, "\n"), strings.Split(have, "\n")))
		}
	}
}

// order of the expectations in a file that -update writes.
func order(section string) int {
	for i, prefix := range []string{"changes", "diff", "ran", "logs", "progress", "after/", "saved/", "outputs.yaml", "error", "hint", "output"} {
		if section == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(section, prefix) {
			return i
		}
	}
	return -1
}

func (c *testCase) update(t *testing.T, file string, got *result) {
	t.Helper()
	a := &txtar.Archive{Comment: c.archive.Comment}
	for _, f := range c.archive.Files {
		if !isExpectation(f.Name) {
			a.Files = append(a.Files, f)
		}
	}
	names := slices.SortedFunc(maps.Keys(got.sections), func(x, y string) int {
		if d := order(x) - order(y); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, name := range names {
		if _, had := c.expect[name]; had || strict(name) || name == "hint" || name == "outputs.yaml" {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got.sections[name])})
		}
	}
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
