// Package client is kflow's end of a connection to an agent: it sends requests, and answers what the agent asks of the
// controller while it carries them out.
//
// A host may be in other hands than its owner's, and its agent with it. So the agent gets what its requests need and no
// more: content by hashes that nobody can guess, and of the controller's files and of URLs to download only those that a
// request under way has to do with (task.ControllerUser). That a path stands in its parameters is not enough: most paths
// there are of the host.
package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// defaultLinger is how long a cancelled request may take to end: the agent's grace for programs, and some.
const defaultLinger = 15 * time.Second

// Options of a Conn.
type Options struct {
	Version    string             // of this build
	Controller task.Controller    // nil: refused
	Contents   transport.Contents // nil: refused
	Linger     time.Duration      // how long the outcome of a cancelled request is awaited; 0 = 15 s
}

// Conn is a connection to an agent that has said hello.
type Conn struct {
	o     Options
	peer  *wire.Peer
	hello wire.Hello

	mu     sync.Mutex
	active map[string]*job.Request // by key
}

// New shakes hands over r (behind the marker) and w. It blocks until the agent has said hello or r ends.
func New(r io.Reader, w io.Writer, o Options) (*Conn, error) {
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
	c := &Conn{o: o, active: map[string]*job.Request{}}
	reader := wire.NewReader(r)
	hello, err := wire.ReadHello(reader)
	if err != nil {
		return nil, err
	}
	if hello.Facts == nil {
		return nil, fmt.Errorf("the agent sent no facts")
	}
	c.hello = hello
	c.peer = wire.NewPeer(reader, w, c.handle)
	if err := c.peer.SendHello(wire.Hello{Protocol: wire.Protocol, Version: o.Version}); err != nil {
		return nil, err
	}
	go func() { _ = c.peer.Serve(context.Background()) }() // Err tells how it ended
	go c.beat()
	return c, nil
}

// beat tells the agent that we are there.
func (c *Conn) beat() {
	t := time.NewTicker(wire.AliveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = c.peer.Notify(wire.TypeAlive)
		case <-c.peer.Done():
			return
		}
	}
}

// Hello is what the agent said of itself and its host.
func (c *Conn) Hello() wire.Hello { return c.hello }

// Done is closed when the connection has ended; Err tells why then.
func (c *Conn) Done() <-chan struct{} { return c.peer.Done() }

// Err is why the connection ended; nil before.
func (c *Conn) Err() error { return c.peer.Err() }

// Close ends the connection on this side; the streams are the caller's to close.
func (c *Conn) Close() { c.peer.Close(wire.ErrClosed) }

// Wait waits until nothing of this connection runs any more. The connection must have ended.
func (c *Conn) Wait() { c.peer.Wait() }

// Ping waits for a sign of life.
func (c *Conn) Ping(ctx context.Context) error {
	_, err := c.peer.Call(ctx, wire.TypePing, nil, wire.CallOptions{})
	return err
}

// Do carries out a request. Errors: why the connection ended (the fate of the request is unknown then), the cause of ctx
// when the agent gave no outcome in time after a cancel, *wire.Error where the agent refused the call.
func (c *Conn) Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error) {
	key := rand.Text()
	c.track(key, req)
	defer c.track(key, nil)
	f, err := c.peer.Call(ctx, wire.TypeRun, wire.Run{Key: key, Request: req}, wire.CallOptions{
		Linger: c.o.Linger,
		Progress: func(f wire.Frame) {
			var p job.Progress
			if progress != nil && json.Unmarshal(f.JSON, &p) == nil {
				progress(p)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	out := &job.Outcome{}
	if err := json.Unmarshal(f.JSON, out); err != nil {
		return nil, &wire.Error{Message: "the agent's outcome cannot be read: " + err.Error()}
	}
	return out, nil
}

// track remembers a request while it is under way; req nil forgets it.
func (c *Conn) track(key string, req *job.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req == nil {
		delete(c.active, key)
		return
	}
	c.active[key] = req
}
