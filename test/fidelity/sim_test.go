package fidelity

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
	"github.com/kflow/kflow/tasks"
)

// simulated is the other side.
type simulated struct {
	world *sim.World
	dir   string
}

func newSimulated(image string) *simulated {
	return &simulated{world: sim.NewWorld(sim.Options{Seed: 1, OS: []string{image}, Kinds: tasks.All()})}
}

func (s *simulated) folder() string { return s.dir }

func (s *simulated) open(t *testing.T, playbook string) *engine.Project {
	t.Helper()
	p, found := engine.Open(t.Context(), engine.Config{Playbook: playbook, Inventory: filepath.Join(s.dir, "inventory.yaml"), Kinds: tasks.All(),
		Environ: []string{}, Parallel: 1, Stage: &engine.Stage{Inventory: sim.Sizes(nil).Inventory}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *simulated) plan(t *testing.T, playbook string) []engine.Planned {
	t.Helper()
	p := s.open(t, playbook)
	list, err := p.PlanRehearsed(t.Context(), engine.Rehearsal{Clock: s.world.Clock,
		Dialer: func(files *controller.Controller) transport.Dialer { return s.world.Dialer(files, p.HostNames()) }})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (s *simulated) carryOut(t *testing.T, playbook string, sink event.Sink) {
	t.Helper()
	if _, err := sim.NewSession(s.open(t, playbook), s.world).Run(t.Context(), sink, nil); err != nil {
		t.Fatal(err)
	}
}

func (s *simulated) look(t *testing.T, paths []string, asks [][]string) state {
	t.Helper()
	h, err := s.world.Host(hostName, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	out := state{}
	for _, name := range paths {
		out.add(t, h, name)
	}
	for _, argv := range asks {
		o, err := s.run(t, h, argv...)
		text := o.Stdout + o.Stderr
		if err != nil {
			text += err.Error()
		}
		out["$ "+strings.Join(argv, " ")] = entry{kind: fmt.Sprint("exit code ", o.Code), text: strings.TrimRight(text, "\n")}
	}
	return out
}

// run executes a program; time passes meanwhile.
func (s *simulated) run(t *testing.T, h *host.Host, argv ...string) (task.Output, error) {
	t.Helper()
	s.world.Clock.Hold()
	defer s.world.Clock.Release()
	return h.Run(t.Context(), task.Query(argv...))
}

// prepare puts there what the hosts of the lab have: a kernel with everything in it, and what is of the family.
func (s *simulated) prepare(t *testing.T, address string, f family) {
	t.Helper()
	h, err := s.world.Host(hostName, address, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"overlay", "br_netfilter", "nf_conntrack"} {
		s.must(t, h, "modprobe", module)
	}
	f.inSim(t, s, h)
}

// must runs a program that has to succeed.
func (s *simulated) must(t *testing.T, h *host.Host, argv ...string) {
	t.Helper()
	if o, err := s.run(t, h, argv...); err != nil || !o.OK() {
		t.Fatalf("%v: %v: %+v", argv, err, o)
	}
}

// add looks at a path and all below it.
func (s state) add(t *testing.T, h *host.Host, name string) {
	t.Helper()
	st, err := h.Lstat(t.Context(), name)
	if err != nil {
		return
	}
	e := entry{kind: "f", mode: octal(st.Mode), owner: st.Owner + ":" + st.Group, target: st.Target}
	switch {
	case st.Mode.IsDir():
		e.kind = "d"
		kids, err := h.List(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, kid := range kids {
			s.add(t, h, path.Join(name, kid.Name))
		}
	case st.Mode&fs.ModeSymlink != 0:
		e.kind = "l"
	default:
		e.text = h.Text(name)
	}
	s[name] = e
}

// octal is a mode as find prints it.
func octal(m fs.FileMode) string {
	n := uint32(m.Perm())
	for bit, value := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			n |= value
		}
	}
	return fmt.Sprintf("%o", n)
}
