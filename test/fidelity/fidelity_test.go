package fidelity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim/host"
)

// side is one of the two hosts, and the kflow that reaches it.
type side interface {
	folder() string
	plan(t *testing.T, playbook string) []engine.Planned
	carryOut(t *testing.T, playbook string, sink event.Sink)
	look(t *testing.T, paths []string, asks [][]string) state
}

// state is what was found on a host, by path or command.
type state map[string]entry

type entry struct{ kind, mode, owner, target, text string }

// family is a family of operating systems, and what is compared on it.
type family struct {
	playbooks []string // patterns
	wipe      []string // what lab.sh makes such a host with
	onLab     string   // shell: what it lacks of what the image of the simulator has
	image     string   // of the simulator
	inSim     func(t *testing.T, s *simulated, h *host.Host)
	excuses   []*excuse
}

// TestFidelity compares the two on Debian.
func TestFidelity(t *testing.T) { debian().compare(t) }

// debian is what the lab is made of. A bare host gets what the image of the simulator has: a line for swap in fstab, no name yet. Its
// repository has a second name, by which the simulator knows one of Kubernetes.
func debian() family {
	return family{playbooks: []string{"testdata/*.yaml"}, image: "debian12", excuses: debianExcuses(),
		onLab: `printf 'UUID=5f1d / ext4 defaults 0 1\nUUID=0c2f none swap sw 0 0\n' > /etc/fstab; ln -s repo /srv/kubernetes`,
		inSim: func(t *testing.T, s *simulated, h *host.Host) {
			t.Helper()
			s.must(t, h, "apt-get", "update")
			s.must(t, h, "apt-get", "-y", "install", "curl")
			if err := h.Unlink("/var/lib/apt/lists"); err != nil { // which are empty there
				t.Fatal(err)
			}
		}}
}

// compare compares the two on every playbook of a family.
func (f family) compare(t *testing.T) {
	t.Helper()
	l := needLab(t)
	s := newSimulated(f.image)
	l.dir, s.dir = t.TempDir(), t.TempDir()
	t.Setenv("HOME", l.dir)
	t.Setenv("SSH_AUTH_SOCK", "")
	l.prepare(t, f)
	s.prepare(t, l.net+lastPart, f)
	f.serve(t, l, s)
	var playbooks []string
	for _, pattern := range f.playbooks {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no playbooks %s: %v", pattern, err)
		}
		playbooks = append(playbooks, found...)
	}
	for _, dir := range []string{l.dir, s.dir} {
		copyPlaybooks(t, dir, playbooks)
		if err := os.WriteFile(filepath.Join(dir, "inventory.yaml"), []byte(l.inventory()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := newExcuses(f.excuses)
	instances, compared := 0, 0
	for _, file := range playbooks {
		c := readCase(t, file)
		t.Run(c.name, func(t *testing.T) {
			onLab, inSim := c.on(t, l), c.on(t, s)
			all.compare(t, onLab, inSim)
			compared++
			instances += strings.Count(strings.Join(onLab, "\n"), "\nended ")
		})
	}
	if compared < len(playbooks) {
		t.Logf("%d of %d playbooks were compared", compared, len(playbooks))
		return // of some, when only they were asked for
	}
	all.check(t)
	if !t.Failed() {
		t.Logf("THE SAME ON A LAB HOST AND SIMULATED: %s, %d playbooks, %d instances", f.image, len(playbooks), instances)
	}
}

// copyPlaybooks puts playbooks, and what they use, into a folder.
func copyPlaybooks(t *testing.T, dir string, playbooks []string) {
	t.Helper()
	for from, to := range map[string]string{"testdata/files": filepath.Join(dir, "files"), "../../playbooks/lib": filepath.Join(dir, "lib")} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range playbooks {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// scenario is a playbook and what its head says.
type scenario struct {
	name, file string
	paths      []string
	lists      []string // paths of which the content is not looked at
	asks       [][]string
	fails      bool
	anyOrder   bool
	again      []string
}

func readCase(t *testing.T, file string) *scenario {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &scenario{name: strings.TrimSuffix(filepath.Base(file), ".yaml"), file: filepath.Base(file)}
	for line := range strings.Lines(string(b)) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch what {
		case "# look":
			c.paths = append(c.paths, strings.Fields(rest)...)
		case "# list":
			c.lists = append(c.lists, strings.Fields(rest)...)
		case "# ask":
			c.asks = append(c.asks, strings.Fields(rest))
		case "# again":
			c.again = append(c.again, strings.Fields(rest)...)
		case "# fails":
			c.fails = true
		case "# any order":
			c.anyOrder = true
		}
	}
	if len(c.paths)+len(c.lists)+len(c.asks) == 0 {
		t.Fatalf("%s does not say what to look at", file)
	}
	return c
}

// on does everything with the playbook on one side, and tells it line by line.
func (c *scenario) on(t *testing.T, s side) []string {
	t.Helper()
	r := &record{dir: s.folder()}
	playbook := filepath.Join(s.folder(), c.file)
	r.planned("plan on what was there before", s.plan(t, playbook))
	for _, which := range []string{"first run", "second run"} {
		r.add("== %s", which)
		r.changed = nil
		begin := len(r.lines)
		s.carryOut(t, playbook, event.SinkFunc(r.emit))
		if c.anyOrder {
			r.lines = append(r.lines[:begin], ordered(r.lines[begin:])...)
		}
		r.state(c.listed(s.look(t, append(c.lists, c.paths...), c.asks)))
		c.promised(t, which, r)
	}
	r.planned("plan after it", s.plan(t, playbook))
	return r.lines
}

// ordered sorts the instances by their names, each with all that is told of it.
func ordered(lines []string) []string {
	var told []string
	for _, line := range lines {
		starts := strings.HasPrefix(line, "started ") || strings.HasPrefix(line, "run ended")
		if n := len(told); n == 0 || starts || strings.HasPrefix(line, "ended ") && strings.HasPrefix(told[n-1], "ended ") {
			told = append(told, line)
		} else {
			told[n-1] += "\n" + line
		}
	}
	slices.Sort(told)
	return strings.Split(strings.Join(told, "\n"), "\n")
}

// listed takes away the content of what is only listed.
func (c *scenario) listed(s state) state {
	for name, e := range s {
		for _, path := range c.lists {
			if name == path || strings.HasPrefix(name, path+"/") {
				e.text = ""
				s[name] = e
			}
		}
	}
	return s
}

// promised is what must hold on each side for itself.
func (c *scenario) promised(t *testing.T, which string, r *record) {
	t.Helper()
	if (r.exit == engine.ExitFailed) != c.fails || r.exit != engine.ExitOK && r.exit != engine.ExitFailed {
		t.Fatalf("%s: exit code %d\n%s", which, r.exit, strings.Join(r.lines, "\n"))
	}
	for _, name := range r.changed {
		if which == "second run" && !c.fails && !slices.Contains(c.again, name) {
			t.Errorf("the second run changes %s\n%s", name, strings.Join(r.lines, "\n"))
		}
	}
}

// record is what happened, in lines.
type record struct {
	dir     string
	lines   []string
	changed []string // tasks, in the present run
	exit    int
}

func (r *record) add(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), r.dir, "DIR")
	r.lines = append(r.lines, strings.Split(strings.TrimRight(text, "\n"), "\n")...)
}

func (r *record) planned(title string, list []engine.Planned) {
	r.add("== %s", title)
	for _, p := range list {
		r.add("planned %s: %s; %s", p.Instance, p.Is, p.Why)
		for _, c := range p.Changes {
			r.add("  %s\n%s", c.Summary, indent(c.Diff))
		}
	}
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// emit keeps what an event says, but for when and how long. What programs print while they run is theirs.
func (r *record) emit(e event.Event) {
	switch e.Type {
	case event.InstanceStarted:
		r.add("started %s, attempt %d", e.Instance, e.Attempt)
	case event.Change:
		r.add("change %s: %s\n%s", e.Instance, e.Summary, indent(e.Diff))
	case event.Log:
		r.add("log %s: %s", e.Instance, e.Line)
	case event.AttemptFailed:
		r.add("attempt failed %s: %d, again in %s", e.Instance, e.Attempt, e.Retry)
		r.failure(e.Failure)
	case event.InstanceEnded:
		r.add("ended %s: %s, changed %v, %d changes, blocked by %v, outputs %s", e.Instance, e.Status, e.Changed, e.Changes, e.BlockedBy, compact(e.Outputs))
		r.failure(e.Failure)
		if e.Changed {
			r.changed = append(r.changed, e.Task)
		}
	case event.RunEnded:
		r.exit = e.Exit
		r.add("run ended: %v, exit code %d", e.Counts, e.Exit)
	}
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}

func (r *record) failure(f *event.Failure) {
	if f != nil {
		r.add("  %s: %s\n  step: %s\n  hint: %s\n%s", f.Class, f.Summary, f.Step, f.Hint, indent(f.Output))
	}
}

func (r *record) state(s state) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		e := s[name]
		r.add("on the host %s: %s %s %s %s\n%s", name, e.kind, e.mode, e.owner, e.target, indent(e.text))
	}
}

// compare fails with the difference between the two, but for what is excused.
func (x *excuses) compare(t *testing.T, onLab, inSim []string) {
	t.Helper()
	if d := cmp.Diff(x.apply(t.Name(), onLab), x.apply(t.Name(), inSim)); d != "" {
		t.Errorf("-lab +simulated:\n%s", d)
	}
	x.needed(t.Name(), onLab, inSim)
}
