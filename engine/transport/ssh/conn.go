package ssh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

const (
	// goingDown is how long a host that announced its end may still hold the connection.
	goingDown = 10 * time.Second
	// redialPause is between two attempts to reach a host that is away.
	redialPause = 2 * time.Second
	// endGrace is how long a session may take to end when we close it.
	endGrace = 2 * time.Second
)

var errClosed = errors.New("the connection was closed")

// conn implements transport.Conn: a host, connected most of the time.
type conn struct {
	d      *Dialer
	target transport.Target
	turn   chan struct{} // held by who dials

	away atomic.Bool // it is being dialled again

	mu       sync.Mutex
	live     *live
	closed   bool
	failed   error // of the last redial
	failedAt time.Time
}

func (c *conn) set(l *live) {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.live = l
	}
	c.mu.Unlock()
	if closed {
		l.close()
	}
}

func (c *conn) get() (l *live, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live, c.closed
}

// Facts implements transport.Conn.
func (c *conn) Facts() *task.Facts {
	l, _ := c.get()
	return l.agent.Hello().Facts
}

// Redialling implements transport.Redialler.
func (c *conn) Redialling() bool { return c.away.Load() }

// Close implements transport.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	l := c.live
	c.mu.Unlock()
	l.close()
	return nil
}

// Do implements transport.Conn.
func (c *conn) Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error) {
	l, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	seen := &watch{progress: progress}
	out, err := l.agent.Do(ctx, req, seen.see)
	if err == nil {
		if out.Reconnect != nil {
			return c.comeBack(ctx, l, out, progress)
		}
		return out, nil
	}
	var remote *wire.Error
	switch {
	case errors.As(err, &remote), errors.Is(err, wire.ErrTooLarge):
		return &job.Outcome{Failure: &job.Failure{Summary: err.Error()}}, nil
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return nil, err
	case seen.reconnect != nil: // it went down as it was told to, before it could say so
		return c.comeBack(ctx, l, seen.outcome(), progress)
	}
	return nil, c.lostError(l, err)
}

// watch remembers of the progress what is needed when the host goes down before its outcome has come.
type watch struct {
	progress  func(job.Progress)
	changes   []job.Change
	reconnect *job.Reconnect
}

func (w *watch) see(p job.Progress) {
	if p.Change != nil {
		w.changes = append(w.changes, *p.Change)
	}
	if p.Reconnect != nil {
		w.reconnect = p.Reconnect
		return
	}
	if w.progress != nil {
		w.progress(p)
	}
}

func (w *watch) outcome() *job.Outcome {
	return &job.Outcome{Changes: w.changes, Applied: true, Reconnect: w.reconnect}
}

// lostError says why a connection ended under a request.
func (c *conn) lostError(l *live, err error) error {
	if _, closed := c.get(); closed {
		return errClosed
	}
	return &transport.Unreachable{Host: c.target.Name, Stage: transport.Lost, Err: l.reason(err), Transient: true,
		Hint: "it is not known whether the task was carried out: it will be looked at again"}
}

// connected returns a connection that lives, dialling again if it was lost.
func (c *conn) connected(ctx context.Context) (*live, error) {
	if l, closed := c.get(); closed {
		return nil, errClosed
	} else if l.alive() {
		return l, nil
	}
	came := time.Now()
	if err := take(ctx, c.turn); err != nil {
		return nil, err
	}
	defer func() { <-c.turn }()
	l, closed := c.get()
	switch {
	case closed:
		return nil, errClosed
	case l.alive(): // somebody else has dialled meanwhile
		return l, nil
	case c.failedAt.After(came): // or has tried
		return nil, c.failed
	}
	l.close()
	ctx, cancel := context.WithTimeoutCause(ctx, c.d.o.RedialFor, fmt.Errorf("the host is away for %v", c.d.o.RedialFor))
	defer cancel()
	l, err := c.redial(ctx, func(*live) bool { return true }, permanent)
	if err != nil {
		c.failed, c.failedAt = err, time.Now()
		return nil, err
	}
	return l, nil
}

// redial dials until a connection is as wanted, an error is final, or ctx ends; the error is then the last one met.
func (c *conn) redial(ctx context.Context, wanted func(*live) bool, final func(*transport.Unreachable) bool) (*live, error) {
	c.away.Store(true)
	defer c.away.Store(false)
	var last error
	for {
		l, err := c.d.open(ctx, c.target)
		if err == nil && wanted(l) {
			c.set(l)
			return l, nil
		}
		if err == nil {
			l.close()
		} else if u, ok := transport.AsUnreachable(err); ok {
			last = u
			if final(u) {
				return nil, u
			}
		}
		if ctx.Err() == nil {
			err = sleep(ctx, redialPause)
		}
		if ctx.Err() != nil {
			if last != nil {
				return nil, last
			}
			return nil, &transport.Unreachable{Host: c.target.Name, Stage: transport.Lost, Err: context.Cause(ctx), Transient: true}
		}
		_ = err
	}
}

// permanent tells errors that a person must mend.
func permanent(u *transport.Unreachable) bool {
	switch u.Stage {
	case transport.Config, transport.HostKey, transport.Auth, transport.Sudo:
		return true
	}
	return false
}

// comeBack waits for a host that goes down to come back with another boot id. Others that need the host wait meanwhile.
func (c *conn) comeBack(ctx context.Context, l *live, out *job.Outcome, progress func(job.Progress)) (*job.Outcome, error) {
	if err := take(ctx, c.turn); err != nil {
		return nil, err
	}
	defer func() { <-c.turn }()
	limit := out.Reconnect.Timeout
	if limit <= 0 {
		limit = 10 * time.Minute
	}
	waiting, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %v", limit))
	defer cancel()
	if progress != nil {
		progress(job.Progress{Log: "the host goes down; waiting for it to come back"})
	}
	l.awaitEnd(waiting, goingDown)
	l.close()
	other := func(n *live) bool { return n.agent.Hello().Facts.BootID != out.Reconnect.BootID }
	// While a machine boots it may refuse logins (pam_nologin): only a wrong host key is final.
	n, err := c.redial(waiting, other, func(u *transport.Unreachable) bool {
		return u.Stage == transport.HostKey || u.Stage == transport.Config
	})
	switch {
	case err == nil:
		out.Reconnect.BootID = n.agent.Hello().Facts.BootID
		return out, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	out.Failure = &job.Failure{Summary: fmt.Sprintf("the host did not come back within %v: %v", limit, err), TimedOut: waiting.Err() != nil}
	if u, ok := transport.AsUnreachable(err); ok {
		out.Failure.Hint = u.Hint
	}
	return out, nil
}

// alive tells whether the connection stands, as far as is known.
func (l *live) alive() bool {
	select {
	case <-l.agent.Done():
		return false
	default:
		return true
	}
}

// giveUp records why the connection is ended by us.
func (l *live) giveUp(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = why
}

func (l *live) awaitEnd(ctx context.Context, limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-l.agent.Done():
	case <-ctx.Done():
	case <-t.C:
	}
}

// reason says why the connection ended: what we know, how the agent ended, what it said last.
func (l *live) reason(err error) error {
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	if lost != nil {
		return lost
	}
	select {
	case <-l.ended:
	case <-time.After(endGrace):
		return err
	}
	var exit *gossh.ExitError
	if errors.As(l.exit, &exit) {
		err = fmt.Errorf("the agent ended: %w", exit)
	} else if l.exit != nil {
		err = l.exit
	}
	return withSaid(err, l.stderr.String())
}

// close ends the connection. The agent sees the end of its input, and ends.
func (l *live) close() {
	l.stop()
	l.agent.Close()
	l.link.Close()
	<-l.ended
	l.agent.Wait()
}
