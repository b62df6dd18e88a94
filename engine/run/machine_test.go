package run_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

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
	closing  time.Duration                                     // how long it takes to hang up
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

func (l *link) Close() error {
	time.Sleep(l.m.closing)
	return nil
}

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

func (h *memory) Now() time.Time { return time.Now() }

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
