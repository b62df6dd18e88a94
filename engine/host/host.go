// Package host is task.Host on the machine this process runs on: in the agent, and for connection local.
//
// # Files
//
// WriteFile never shows a half written file: it writes a file without a name in the same directory, gives it mode, owner
// and SELinux label of the file it replaces, syncs it, and puts it in its place (see package whole). Where the kernel does not let a file be replaced (a
// device, /proc, /sys, a file that is itself a mount) it is written in place. What goes wrong for a reason a person can
// mend (no space left, read-only file system, not root) is a task.Failure that says so.
//
// # Programs
//
// A program runs in a process group of its own with a fixed environment and no terminal. When the context ends the
// group gets SIGTERM, and SIGKILL after a grace period. A daemon it leaves behind does not hold it up, though it may
// have inherited its output.
//
// # Content
//
// Content of the controller that is not inline is kept in a Store under its hash, so that it travels once.
package host

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// Source gets content from the controller, by its hash. The reader need not check the hash: Open does.
type Source interface {
	Fetch(ctx context.Context, c task.Content) (io.ReadCloser, error)
}

// Options of a Machine.
type Options struct {
	Facts      *task.Facts     // may be set later with SetFacts
	Controller task.Controller // nil: its methods fail
	Source     Source          // nil: only inline content can be opened
	Store      *Store          // nil: content is fetched each time it is opened
	Grace      time.Duration   // between SIGTERM and SIGKILL; 0 = DefaultGrace

	// Started is told of each program that may change the host when it has started, with the process that leads its group;
	// what it returns is called when the program has ended.
	Started func(pid int) (ended func())
}

// DefaultGrace is how long a program has to end after SIGTERM.
const DefaultGrace = 10 * time.Second

// Machine is the machine this process runs on. Use New.
type Machine struct {
	o      Options
	facts  atomic.Pointer[task.Facts]
	names  *names
	client func() http.RoundTripper
	swept  sync.Map // directories in which nothing is left over of agents that were killed
}

var _ task.Host = (*Machine)(nil)

// New returns the machine this process runs on.
func New(o Options) *Machine {
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	m := &Machine{o: o, names: newNames("/etc/passwd", "/etc/group"), client: sync.OnceValue(newTransport)}
	m.SetFacts(o.Facts)
	return m
}

// SetFacts sets what Facts returns.
func (m *Machine) SetFacts(f *task.Facts) {
	if f == nil {
		f = &task.Facts{}
	}
	m.facts.Store(f)
}

// Facts implements task.Host.
func (m *Machine) Facts() *task.Facts { return m.facts.Load() }

// Arch is the architecture as Go names it.
func (m *Machine) Arch() string { return runtime.GOARCH }

// Controller implements task.Host.
func (m *Machine) Controller() task.Controller {
	if m.o.Controller == nil {
		return noController{}
	}
	return m.o.Controller
}

// Open implements task.Host.
func (m *Machine) Open(ctx context.Context, c task.Content) (io.ReadCloser, error) {
	switch {
	case c.Inline:
		return io.NopCloser(strings.NewReader(c.Text)), nil
	case m.o.Source == nil:
		return nil, errors.New("there is no controller to get " + c.Name + " from")
	case m.o.Store == nil:
		r, err := m.o.Source.Fetch(ctx, c)
		if err != nil {
			return nil, err
		}
		return verifying(r, c.SHA256), nil
	}
	return m.o.Store.Open(ctx, c, m.o.Source)
}

// Dial implements task.Host.
func (m *Machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// HTTP implements task.Host. The RoundTripper is an *http.Transport: a kind that needs other TLS settings clones it.
func (m *Machine) HTTP() http.RoundTripper { return m.client() }

func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   2,
		ForceAttemptHTTP2:     true,
	}
}

// Now implements task.Host.
func (m *Machine) Now() time.Time { return time.Now() }

// Sleep implements task.Host.
func (m *Machine) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Log implements task.Host: nobody listens to a Machine that is not bound.
func (m *Machine) Log(string) {}

// Progress implements task.Host.
func (m *Machine) Progress(string, int64, int64) {}

// Run implements task.Host.
func (m *Machine) Run(ctx context.Context, c task.Command) (task.Output, error) {
	return m.run(ctx, c, nil)
}

// Bind returns the machine with lines, progress and the output of programs that stream sent to report, which must be
// safe for concurrent use.
func (m *Machine) Bind(report func(job.Progress)) task.Host { return &bound{m, report} }

type bound struct {
	*Machine
	report func(job.Progress)
}

func (b *bound) Log(line string) { b.report(job.Progress{Log: line}) }

func (b *bound) Progress(what string, done, total int64) {
	b.report(job.Progress{What: what, Done: done, Total: total})
}

func (b *bound) Run(ctx context.Context, c task.Command) (task.Output, error) {
	return b.run(ctx, c, func(line string) { b.report(job.Progress{Output: line}) })
}

// noController refuses all.
type noController struct{}

var errNoController = errors.New("this host has no way to the controller")

func (noController) Stat(context.Context, string) (string, error) { return "", errNoController }
func (noController) Save(context.Context, string, os.FileMode, io.Reader) error {
	return errNoController
}
func (noController) Download(context.Context, string, string) (io.ReadCloser, error) {
	return nil, errNoController
}
