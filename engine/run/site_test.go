package run_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
)

// site is a playbook, hosts in memory, and a state folder. Time in it is virtual: tests run in a synctest bubble.
type site struct {
	t        testing.TB
	dir      string
	store    *checkpoint.Store
	machines map[string]*machine
	hosts    []string // "NAME GROUP.. VAR=VALUE.."
	vars     string   // further keys of the inventory

	inputs  map[string]any
	secrets []string
	limit   string
	only    []string
	signals chan os.Signal
	dialled sync.Mutex
	shared  map[string]bool    // by host: other runs may work on it
	on      func(event.Event)  // hears every event
	cancel  context.CancelFunc // of the session at hand
}

func newSite(t testing.TB, hosts ...string) *site {
	t.Helper()
	dir := t.TempDir()
	store, err := checkpoint.NewStore(checkpoint.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, store: store, hosts: hosts, machines: map[string]*machine{}, shared: map[string]bool{}, signals: make(chan os.Signal, 2)}
	for _, h := range append(slices.Clone(hosts), "controller") {
		name := strings.Fields(h)[0]
		s.machines[name] = newMachine(t, name)
	}
	return s
}

// run carries a playbook out from the beginning.
func (s *site) run(book string) *result {
	s.t.Helper()
	log, err := s.store.Create()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.session(book, log, nil)
}

// resume goes on with a run.
func (s *site) resume(book, id string) *result {
	s.t.Helper()
	time.Sleep(time.Minute) // virtual: a person looks at what went wrong
	log, prior, err := s.store.Open(id)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.session(book, log, prior)
}

func (s *site) session(book string, log *checkpoint.Run, prior *checkpoint.State) *result {
	s.t.Helper()
	defer log.Close()
	return s.sessionWith(book, log, prior)
}

func (s *site) sessionWith(book string, log run.Journal, prior *checkpoint.State) *result {
	s.t.Helper()
	p := s.plan(book)
	files := controller.New(controller.Options{Dir: s.dir})
	defer files.Close()
	targets := make([]transport.Target, len(p.Hosts))
	for i, h := range p.Hosts {
		targets[i] = transport.Target{Name: h.Name}
	}
	r := &result{id: log.ID(), t: s.t}
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	s.cancel = cancel
	r.Result, r.err = run.Run(ctx, run.Config{
		Plan: p, Dialer: s, Targets: targets, Files: files, Log: log, Prior: prior, Mask: mask.New(s.secrets...),
		Limits: sched.Limits{}, Signals: s.signals, Info: map[string]any{}, Playbook: "play.yaml", Source: "hosts.yaml",
		Sink: event.SinkFunc(func(e event.Event) {
			r.events = append(r.events, e)
			if s.on != nil {
				s.on(e)
			}
		}),
	})
	return r
}

// plan reads the playbook: a list of tasks, or a whole file.
func (s *site) plan(book string) *plan.Plan {
	s.t.Helper()
	if !strings.Contains(book, "kflow:") {
		book = "kflow: v1\nname: test\n" + s.groups() + book
	}
	file := filepath.Join(s.dir, "play.yaml")
	if err := os.WriteFile(file, []byte(book), 0o600); err != nil {
		s.t.Fatal(err)
	}
	pb, _, found := playbook.Load(s.t.Context(), file, playbook.Options{Kinds: kinds()})
	if found.HasErrors() {
		s.t.Fatalf("%v\n%s", found.Err(), book)
	}
	inv, found := inventory.Parse("hosts.yaml", []byte(s.inventory()))
	if found.HasErrors() {
		s.t.Fatal(found.Err())
	}
	inputs := map[string]any{}
	for _, in := range pb.Inputs {
		inputs[in.Name] = in.Default
	}
	maps.Copy(inputs, s.inputs)
	p, found := plan.Make(pb, inv, plan.Options{Limit: s.limit, Only: s.only, Inputs: inputs})
	if found.HasErrors() {
		s.t.Fatal(found.Err())
	}
	return p
}

func (s *site) groups() string {
	names := map[string]bool{}
	for _, h := range s.hosts {
		for _, word := range strings.Fields(h)[1:] {
			if !strings.Contains(word, "=") {
				names[word] = true
			}
		}
	}
	if len(names) == 0 {
		return "tasks:\n"
	}
	var b strings.Builder
	b.WriteString("groups:\n")
	for _, n := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&b, "  %s: {}\n", n)
	}
	return b.String() + "tasks:\n"
}

func (s *site) inventory() string {
	var b strings.Builder
	b.WriteString("kflow: v1\n" + s.vars + "hosts:\n")
	for _, h := range s.hosts {
		words := strings.Fields(h)
		var groups, vars []string
		for _, w := range words[1:] {
			if k, v, ok := strings.Cut(w, "="); ok {
				vars = append(vars, k+": "+v)
			} else {
				groups = append(groups, w)
			}
		}
		fmt.Fprintf(&b, "  %s: {groups: [%s], vars: {%s}}\n", words[0], strings.Join(groups, ", "), strings.Join(vars, ", "))
	}
	return b.String()
}

// state is what the log of a run says.
func (s *site) state(id string) *checkpoint.State {
	s.t.Helper()
	state, err := s.store.Read(id)
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

// logText is the log of a run as it is on disk.
func (s *site) logText(id string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.store.LogPath(id))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// Dial implements transport.Dialer.
func (s *site) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	m := s.machines[t.Name]
	s.dialled.Lock()
	s.shared[t.Name] = t.Shared
	s.dialled.Unlock()
	if m == nil {
		s.t.Errorf("host %s was dialled, nobody knows it", t.Name)
		return nil, errors.New("unknown host")
	}
	return m.dial(ctx)
}

// write makes a file beside the playbook.
func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// killedAfterStart carries a playbook out and cuts its log behind the start of an instance, as if kflow had been killed
// there. It returns the id of the run.
func (s *site) killedAfterStart(instance, book string) string {
	s.t.Helper()
	r := s.run(book)
	log := s.logText(r.id)
	var kept strings.Builder
	for line := range strings.Lines(log) {
		kept.WriteString(line)
		if strings.Contains(line, `"instance_started"`) && strings.Contains(line, `"`+instance+`"`) {
			s.rewrite(r.id, kept.String())
			return r.id
		}
	}
	s.t.Fatalf("%s did not start:\n%s", instance, log)
	return ""
}

// rewrite replaces the log of a run.
func (s *site) rewrite(id, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.store.LogPath(id), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}
