package local

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"

	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/facts"
	"github.com/kflow/kflow/engine/host"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

func (d *Dialer) inProcess(ctx context.Context, t transport.Target) (transport.Conn, error) {
	m := host.New(host.Options{Controller: d.o.Controller, Source: source{d.o.Contents}})
	f, err := facts.Gather(ctx, m, t.NodeIP, t.Address)
	if err != nil {
		return nil, &transport.Unreachable{Host: t.Name, Stage: transport.Agent, Err: err}
	}
	m.SetFacts(f)
	life, end := context.WithCancelCause(context.Background())
	return &conn{d: d, m: m, life: life, end: end}, nil
}

// conn is this process.
type conn struct {
	d    *Dialer
	m    *host.Machine
	life context.Context
	end  context.CancelCauseFunc

	mu sync.Mutex // held while a request is counted, or all are ended
	wg sync.WaitGroup
}

func (c *conn) Facts() *task.Facts { return c.m.Facts() }

func (c *conn) Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error) {
	if !c.begin() {
		return nil, errClosed
	}
	defer c.wg.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })() //nolint:contextcheck // the connection's life ends it, too
	return c.d.carryOut(req, func(req *job.Request) (*job.Outcome, error) {
		return converge.Run(ctx, c.d.o.Registry, c.m, req, progress), nil
	})
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
