// Package local reaches the machine kflow runs on, in this process: the same kinds, host and code path as the agent, but
// no SSH and no agent.
package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/facts"
	"github.com/kflow/kflow/engine/host"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// Options of a Dialer.
type Options struct {
	Registry   *task.Registry
	Controller task.Controller    // nil: tasks that need it fail
	Contents   transport.Contents // nil: only inline content can be opened
}

// Dialer makes connections to this machine.
type Dialer struct{ o Options }

var _ transport.Dialer = (*Dialer)(nil)

// New returns a Dialer.
func New(o Options) *Dialer { return &Dialer{o} }

// Dial implements transport.Dialer. It refuses `become` where this process is not root: it cannot become another user.
func (d *Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	if t.Become && os.Geteuid() != 0 {
		return nil, &transport.Unreachable{Host: t.Name, Stage: transport.Sudo,
			Err:  errors.New("connection local runs in this process, which is not root"),
			Hint: "start kflow with sudo, or reach this machine over SSH"}
	}
	m := host.New(host.Options{Controller: d.o.Controller, Source: source{d.o.Contents}})
	f, err := facts.Gather(ctx, m, t.NodeIP, t.Address)
	if err != nil {
		return nil, &transport.Unreachable{Host: t.Name, Stage: transport.Agent, Err: err}
	}
	m.SetFacts(f)
	life, end := context.WithCancelCause(context.Background())
	return &conn{o: d.o, m: m, life: life, end: end}, nil
}

type conn struct {
	o    Options
	m    *host.Machine
	life context.Context
	end  context.CancelCauseFunc

	mu sync.Mutex // held while a request is counted, or all are ended
	wg sync.WaitGroup
}

var errClosed = errors.New("the connection was closed")

func (c *conn) Facts() *task.Facts { return c.m.Facts() }

func (c *conn) Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error) {
	if !c.begin() {
		return nil, errClosed
	}
	defer c.wg.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })() //nolint:contextcheck // the connection's life ends it, too
	if f := c.refuseReboot(ctx, req); f != nil {
		return &job.Outcome{Failure: f}, nil
	}
	return converge.Run(ctx, c.o.Registry, c.m, req, progress), nil
}

// refuseReboot is the failure of a request that would take down the machine kflow runs on; nil where it has nothing to do.
func (c *conn) refuseReboot(ctx context.Context, req *job.Request) *job.Failure {
	kind, ok := c.o.Registry.Lookup(req.Kind)
	if !ok || req.Mode != job.Apply {
		return nil
	}
	if _, ok := kind.New().(task.Rebooter); !ok {
		return nil
	}
	plan := *req
	plan.Mode = job.Plan
	if out := converge.Run(ctx, c.o.Registry, c.m, &plan, nil); len(out.Changes) == 0 {
		return nil
	}
	return &job.Failure{Summary: "kflow does not take down the machine it runs on",
		Hint: "leave this host out of the task with `on: all - ..`, or run kflow from another machine"}
}

// begin counts a request, unless the connection is closed.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return false
	}
	c.wg.Add(1)
	return true
}

// Close cancels what runs and waits for it.
func (c *conn) Close() error {
	c.mu.Lock()
	c.end(errClosed)
	c.mu.Unlock()
	c.wg.Wait()
	return nil
}

// source reads content where the controller has it.
type source struct{ contents transport.Contents }

func (s source) Fetch(ctx context.Context, c task.Content) (io.ReadCloser, error) {
	if s.contents == nil {
		return nil, errors.New("there is no controller to get " + filepath.Base(c.Name) + " from")
	}
	b, err := s.contents.OpenContent(ctx, c.SHA256)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(b, 0, b.Size()), b}, nil
}
