package kinds_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
	"github.com/kflow/kflow/tasks"
)

// rehearsal is a case on one family.
type rehearsal struct {
	*testing.T
	c      *testCase
	family string
	file   string // the playbook
	p      *engine.Project
	w      *sim.World
	out    strings.Builder
}

func (r *rehearsal) carryOut() string {
	r.Helper()
	r.open()
	r.w = sim.NewWorld(sim.Options{Seed: 1, OS: []string{r.family}, Kinds: tasks.All(), Images: r.c.images})
	r.prepare()
	r.plan()
	r.run()
	r.show()
	return strings.ReplaceAll(r.out.String(), filepath.Dir(r.file), "DIR")
}

// open writes the files of the case beside each other, and reads the playbook.
func (r *rehearsal) open() {
	r.Helper()
	dir := r.TempDir()
	for _, f := range r.c.inputs {
		text := string(f.Data)
		if f.Name == "playbook.yaml" {
			text = "kflow: v1\nname: test\n" + text
		}
		if strings.HasPrefix(f.Name, "before/") {
			continue
		}
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			r.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "lib"), os.DirFS("testdata/lib")); err != nil {
		r.Fatal(err)
	}
	r.file = filepath.Join(dir, "playbook.yaml")
	p, found := engine.Open(r.Context(), engine.Config{Playbook: r.file, Kinds: tasks.All(), Environ: []string{},
		Stage: &engine.Stage{Inventory: r.inventory}})
	if err := found.Err(); err != nil {
		r.Fatalf("%s: %v", r.c.file, err)
	}
	r.p = p
}

// inventory is that of section hosts.
func (r *rehearsal) inventory(*playbook.Playbook, *inventory.Inventory) (*inventory.Inventory, diag.List) {
	lines := r.c.lines("hosts")
	if len(lines) == 0 {
		lines = []string{"n1"}
	}
	inv := &inventory.Inventory{File: "simulated"}
	for i, line := range lines {
		f := strings.Fields(line)
		address := fmt.Sprintf("10.0.0.%d", i+1)
		h := inventory.Host{Name: f[0], Address: address, NodeIP: address, Connection: "sim", Vars: map[string]any{}, Groups: f[1:]}
		inv.Hosts = append(inv.Hosts, h)
		for _, name := range f[1:] {
			g := slices.IndexFunc(inv.Groups, func(g inventory.Group) bool { return g.Name == name })
			if g < 0 {
				inv.Groups = append(inv.Groups, inventory.Group{Name: name})
				g = len(inv.Groups) - 1
			}
			inv.Groups[g].Hosts = append(inv.Groups[g].Hosts, h.Name)
		}
	}
	return inv, diag.List{}
}

// prepare makes the hosts as they shall be before.
func (r *rehearsal) prepare() {
	r.Helper()
	for i, name := range r.p.HostNames() {
		h, err := r.w.Host(name, fmt.Sprintf("10.0.0.%d", i+1), i)
		if err != nil {
			r.Fatal(err)
		}
		for _, f := range r.c.inputs {
			if path, ok := strings.CutPrefix(f.Name, "before"); ok {
				if err := h.Write(path, string(f.Data), 0o644); err != nil {
					r.Fatal(err)
				}
			}
		}
		for _, line := range r.here("setup") {
			r.setUp(h, strings.Fields(line))
		}
	}
	for _, line := range r.c.lines("faults") {
		f, err := sim.ParseFault(line)
		if err == nil {
			err = f.Check(sim.Targets(r.p))
		}
		if err != nil {
			r.Fatalf("%s: faults: %v", r.c.file, err)
		}
		r.w.Faults.Add(f)
	}
}

// here are the lines of a section that count on this family: those that begin with @FAMILY,FAMILY count on these alone.
func (r *rehearsal) here(section string) []string {
	var out []string
	for _, line := range r.c.lines(section) {
		if families, rest, ok := strings.Cut(line, " "); ok && strings.HasPrefix(line, "@") {
			if !slices.Contains(strings.Split(families[1:], ","), r.family) {
				continue
			}
			line = rest
		}
		out = append(out, line)
	}
	return out
}

// setUp runs a command on a host before all; `install NAME ..` is that of its package manager.
func (r *rehearsal) setUp(h *host.Host, argv []string) {
	r.Helper()
	all := [][]string{argv}
	if names, ok := argv[1:], argv[0] == "install"; ok {
		all = [][]string{append([]string{"yum", "-y", "install"}, names...)}
		if h.Which("apt-get") != "" {
			all = [][]string{{"apt-get", "update"}, append([]string{"apt-get", "install"}, names...)}
		}
	}
	for _, argv := range all {
		if o := r.ask(h, argv); !o.OK() {
			r.Fatalf("%s: setup: %v: %+v", r.c.file, argv, o)
		}
	}
}

// ask runs a program on a host, while nothing else happens.
func (r *rehearsal) ask(h *host.Host, argv []string) task.Output {
	r.Helper()
	r.w.Clock.Hold()
	defer r.w.Clock.Release()
	o, err := h.Run(r.Context(), task.Query(argv...))
	if err != nil {
		o.Code, o.Stderr = 127, err.Error()+"\n"
	}
	return o
}

func (r *rehearsal) list() []engine.Planned {
	r.Helper()
	before := r.w.Digest()
	list, err := r.p.PlanRehearsed(r.Context(), engine.Rehearsal{Clock: r.w.Clock,
		Dialer: func(files *controller.Controller) transport.Dialer { return r.w.Dialer(files, r.p.HostNames()) }})
	if err != nil {
		r.Fatalf("%s on %s: plan: %v", r.c.file, r.family, err)
	}
	if r.w.Digest() != before {
		r.Errorf("%s on %s: the plan has written on the hosts", r.c.file, r.family)
	}
	return list
}

// plan shows what a plan of the hosts says. Faults strike a run, not what is asked before it.
func (r *rehearsal) plan() {
	r.Helper()
	if len(r.c.lines("faults")) > 0 {
		return
	}
	for _, p := range r.list() {
		if p.Is != engine.WouldFail && r.hidden(p.Instance) {
			continue
		}
		said := string(p.Is)
		if p.Why != "" {
			said += ": " + oneLine(p.Why)
		}
		r.line("plan", p.Instance, said)
		for _, c := range p.Changes {
			r.more(c.Summary)
		}
	}
}

// hidden tells whether an instance is of a task that only prepares.
func (r *rehearsal) hidden(instance string) bool {
	return slices.ContainsFunc(r.c.lines("hide"), func(task string) bool { return strings.HasPrefix(instance, task+"/") })
}

func (r *rehearsal) line(what, instance, said string) {
	fmt.Fprintf(&r.out, "%-8s %s  %s\n", what, instance, said)
}

func (r *rehearsal) more(text string) { fmt.Fprintf(&r.out, "           %s\n", oneLine(text)) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// run carries the playbook out, again after its faults are healed, and once more.
func (r *rehearsal) run() {
	r.Helper()
	s := sim.NewSession(r.p, r.w)
	exit := r.session("first", s)
	if exit != 0 && len(r.c.lines("faults")) > 0 {
		s.Heal(0)
		exit = r.session("resume", s)
	}
	if exit != 0 {
		return // the case is about a failure
	}
	r.w.Faults.Heal()
	actions := map[string]bool{}
	for _, p := range r.list() {
		actions[p.Instance] = p.Is == engine.IsAction
		if p.Is == engine.WillChange {
			r.Errorf("%s on %s: a plan after the run still wants to change %s: %v", r.c.file, r.family, p.Instance, p.Changes)
		}
	}
	for _, name := range r.again() {
		if !actions[name] {
			r.Errorf("%s on %s: a further run changes %s", r.c.file, r.family, name)
		}
		r.line("second", name, "changed")
	}
}

// again runs the playbook once more, and returns what it changes.
func (r *rehearsal) again() (changed []string) {
	r.Helper()
	result, err := sim.NewSession(r.p, r.w).Run(r.Context(), event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded && e.Changed {
			changed = append(changed, e.Instance)
		}
	}), nil)
	if err != nil || result.Exit != 0 {
		r.Errorf("%s on %s: a further run: exit %d %v", r.c.file, r.family, result.Exit, err)
	}
	slices.Sort(changed)
	return changed
}

// session shows one session of a run, instance by instance in the order of their names.
func (r *rehearsal) session(what string, s *sim.Session) int {
	r.Helper()
	said := map[string][]string{}
	result, err := s.Run(r.Context(), event.SinkFunc(func(e event.Event) {
		switch e.Type {
		case event.Change:
			said[e.Instance] = append(said[e.Instance], e.Summary)
		case event.InstanceEnded:
			said[e.Instance] = slices.Insert(said[e.Instance], 0, string(e.Status))
			if f := e.Failure; f != nil {
				said[e.Instance] = append(said[e.Instance], f.Summary, f.Output, f.Hint)
			}
		}
	}), nil)
	if err != nil {
		r.Fatalf("%s on %s: %s: %v", r.c.file, r.family, what, err)
	}
	for _, t := range r.p.Tasks() {
		for _, name := range t.Hosts {
			r.instance(what, t.Path+"@"+name, said[t.Path+"@"+name])
		}
	}
	return result.Exit
}

func (r *rehearsal) instance(what, name string, said []string) {
	if len(said) == 0 || said[0] == string(event.OK) || said[0] == string(event.Reused) || said[0] == string(event.Changed) && r.hidden(name) {
		return
	}
	r.line(what, name, said[0])
	for _, text := range said[1:] {
		if text != "" {
			r.more(text)
		}
	}
}
