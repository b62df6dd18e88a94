package run_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
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
	s := &site{t: t, dir: dir, store: store, hosts: hosts, machines: map[string]*machine{}, signals: make(chan os.Signal, 2)}
	for _, h := range append(slices.Clone(hosts), "controller") {
		name := strings.Fields(h)[0]
		s.machines[name] = newMachine(t, name)
	}
	return s
}

// result is what can be seen of one session.
type result struct {
	run.Result
	id     string
	err    error
	events []event.Event
	t      testing.TB
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
	if m == nil {
		s.t.Errorf("host %s was dialled, nobody knows it", t.Name)
		return nil, errors.New("unknown host")
	}
	return m.dial(ctx)
}

// ends are the ends of a session: "task@host status", sorted.
func (r *result) ends() string {
	var out []string
	for _, e := range r.events {
		if e.Type == event.InstanceEnded {
			line := e.Instance + " " + string(e.Status)
			if e.Allowed {
				line += " (allowed)"
			}
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// want compares the exit code and the ends with lines in any order and indentation.
func (r *result) want(exit int, ends string) *result {
	r.t.Helper()
	if r.err != nil {
		r.t.Errorf("error: %v", r.err)
	}
	if r.Exit != exit {
		r.t.Errorf("exit code %d, want %d", r.Exit, exit)
	}
	var want []string
	for line := range strings.Lines(ends) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	slices.Sort(want)
	if w := strings.Join(want, "\n"); w != r.ends() {
		r.t.Errorf("ended as\n%s\nwant\n%s\n%s", r.ends(), w, r.failures())
	}
	return r
}

// failures are the messages of all that failed.
func (r *result) failures() string {
	var b strings.Builder
	for _, e := range r.events {
		if e.Failure != nil {
			fmt.Fprintf(&b, "%s %s%s: %s: %s\n", e.Type, e.Instance, e.Host, e.Failure.Step, e.Failure.Summary)
		}
	}
	return b.String()
}

// fails tells that an instance failed with a message.
func (r *result) fails(instance, message string) {
	r.t.Helper()
	for _, e := range r.events {
		if e.Type == event.InstanceEnded && e.Instance == instance && e.Failure != nil {
			if !strings.Contains(e.Failure.Summary, message) {
				r.t.Errorf("%s failed with %q, want %q", instance, e.Failure.Summary, message)
			}
			return
		}
	}
	r.t.Errorf("%s did not fail", instance)
}

// of are the events of one type.
func (r *result) of(types ...event.Type) []event.Event {
	var out []event.Event
	for _, e := range r.events {
		if slices.Contains(types, e.Type) {
			out = append(out, e)
		}
	}
	return out
}

// text is everything the session said.
func (r *result) text() string {
	b, err := json.Marshal(r.events)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// machine is a host in memory. What it does not foresee fails the test.
type machine struct {
	t    testing.TB
	name string

	frozen atomic.Bool // kflow was killed: nothing happens any more

	mu       sync.Mutex
	facts    task.Facts
	next     *task.Facts // when they are gathered again
	files    map[string]string
	programs map[string]program
	ran      []string
	requests int
	dials    int
	conn     func(ctx context.Context) error                   // how a dial goes; nil = well
	link     func(req *job.Request, done bool) error           // asked before a request and after it: an error loses the connection
	silent   func(ctx context.Context, req *job.Request) error // instead of an outcome: for hosts that give no answer
}

// program is what a machine does when a command is run.
type program func(ctx context.Context, args []string) (task.Output, error)

func newMachine(t testing.TB, name string) *machine {
	return &machine{
		t: t, name: name, files: map[string]string{}, programs: map[string]program{},
		facts: task.Facts{Hostname: name, MachineID: "id-" + name, CPUs: 2, Addresses: []string{}, MACs: []string{}, Init: "systemd"},
	}
}

// program adds a command to the machines named, all if none is.
func (s *site) program(name string, p program, hosts ...string) {
	for host, m := range s.machines {
		if len(hosts) == 0 || slices.Contains(hosts, host) {
			m.programs[name] = p
		}
	}
}

// says is a program that ends well.
func says(text string) program {
	return func(context.Context, []string) (task.Output, error) { return task.Output{Stdout: text}, nil }
}

// exits is a program that ends with a code.
func exits(code int, stderr string) program {
	return func(context.Context, []string) (task.Output, error) {
		return task.Output{Code: code, Stderr: stderr}, nil
	}
}

// takes is a program that takes time.
func takes(d time.Duration) program {
	return func(ctx context.Context, _ []string) (task.Output, error) {
		select {
		case <-time.After(d):
			return task.Output{}, nil
		case <-ctx.Done():
			return task.Output{}, context.Cause(ctx)
		}
	}
}

// first is a program that ends with a code the first n times, and well after that.
func first(n, code int) program {
	var mu sync.Mutex
	return func(context.Context, []string) (task.Output, error) {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return task.Output{Code: code, Stderr: "not now"}, nil
		}
		return task.Output{}, nil
	}
}

func (m *machine) dial(ctx context.Context) (transport.Conn, error) {
	m.mu.Lock()
	m.dials++
	gate := m.conn
	m.mu.Unlock()
	if gate != nil {
		if err := gate(ctx); err != nil {
			return nil, err
		}
	}
	return &link{m}, nil
}

// down makes a machine unreachable: no connection at all.
func (m *machine) down() {
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := &transport.Unreachable{Host: m.name, Stage: transport.Dial, Err: errors.New("no route to host")}
	m.conn = func(context.Context) error { return gone }
	m.link = func(*job.Request, bool) error { return gone }
}

// up makes it reachable again.
func (m *machine) up() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conn, m.link = nil, nil
}

func (m *machine) runs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ran)
}

func (m *machine) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ran, m.requests, m.dials = nil, 0, 0
}

// link is a connection to a machine.
type link struct{ m *machine }

func (l *link) Facts() *task.Facts { return &l.m.facts }
func (l *link) Close() error       { return nil }

func (l *link) Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error) {
	l.m.mu.Lock()
	l.m.requests++
	gate, silent := l.m.link, l.m.silent
	l.m.mu.Unlock()
	if gate != nil {
		if err := gate(req, false); err != nil {
			return nil, err
		}
	}
	if silent != nil {
		return nil, silent(ctx, req)
	}
	req = wired(l.m.t, req)
	out := converge.Run(ctx, kinds(), &memory{m: l.m}, req, progress)
	if gate != nil {
		if err := gate(req, true); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wired is a request as it comes out of a wire.
func wired(t testing.TB, req *job.Request) *job.Request {
	b, err := json.Marshal(req)
	if err != nil {
		t.Error(err)
	}
	out := new(job.Request)
	if err := json.Unmarshal(b, out); err != nil {
		t.Error(err)
	}
	return out
}

// memory is the machine as a task sees it. Methods that are missing here are not to be used.
type memory struct {
	task.Host
	m      *machine
	report func(job.Progress)
}

// Bind implements converge.Binder.
func (h *memory) Bind(report func(job.Progress)) task.Host { return &memory{m: h.m, report: report} }

func (h *memory) Facts() *task.Facts { return &h.m.facts }
func (h *memory) Now() time.Time     { return time.Now() }

func (h *memory) ReadFile(_ context.Context, path string) ([]byte, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	text, ok := h.m.files[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return []byte(text), nil
}

func (h *memory) WriteFile(_ context.Context, path string, r io.Reader, _ task.Attr) error {
	b, err := io.ReadAll(r)
	if h.m.frozen.Load() {
		return errFrozen
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.m.files[path] = string(b)
	return err
}

func (h *memory) Run(ctx context.Context, c task.Command) (task.Output, error) {
	if h.m.frozen.Load() {
		return task.Output{}, errFrozen
	}
	h.m.mu.Lock()
	p := h.m.programs[c.Argv[0]]
	if !c.ReadOnly {
		h.m.ran = append(h.m.ran, c.String())
	}
	h.m.mu.Unlock()
	if p == nil {
		h.m.t.Errorf("%s: no program %q", h.m.name, c.Argv[0])
		return task.Output{Code: 127}, nil
	}
	out, err := p(ctx, c.Argv[1:])
	for line := range strings.Lines(out.Stdout + out.Stderr) {
		if c.Stream && h.report != nil {
			h.report(job.Progress{Output: strings.TrimSpace(line)})
		}
	}
	return out, err
}

var errFrozen = errors.New("kflow was killed")

// lost is what a request gets whose connection ended under it.
func lost(m *machine) error {
	return &transport.Unreachable{Host: m.name, Stage: transport.Lost, Err: errors.New("broken pipe"), Transient: true}
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
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
