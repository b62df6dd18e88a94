package local

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/agent/client"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

const (
	// startLimit is how long an agent may take to say something; that it waits for the one before it, it says again and again.
	startLimit = 15 * time.Second
	// endLimit is how long an agent may take to end: the grace of its programs, and some.
	endLimit = 40 * time.Second
)

// agentConn is an agent on this machine. One that ended is started again by the next request.
type agentConn struct {
	d      *Dialer
	target transport.Target

	mu     sync.Mutex
	live   *process
	closed bool
}

// process is an agent that runs.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *os.File
	said   tail
	agent  *client.Conn
	ended  chan struct{}
	exit   error
}

func (d *Dialer) startAgent(ctx context.Context, t transport.Target) (transport.Conn, error) {
	c := &agentConn{d: d, target: t}
	p, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	c.live = p
	return c, nil
}

// start starts an agent and shakes hands with it.
func (c *agentConn) start(ctx context.Context) (*process, error) {
	nonce := rand.Text()
	p, err := c.spawn(nonce)
	if err != nil {
		return nil, c.failed(err, "")
	}
	slow := time.AfterFunc(startLimit, p.kill)
	unhook := context.AfterFunc(ctx, p.kill)
	if err = p.untilReady(c.target.Name, nonce, slow); err == nil {
		//nolint:contextcheck // the connection outlives its start
		p.agent, err = client.New(p.stdout, p.stdin, client.Options{Version: c.d.o.Version, Controller: c.d.o.Controller, Contents: c.d.o.Contents})
	}
	unhook()
	if !slow.Stop() {
		err = fmt.Errorf("it gave no sign of life for %v", startLimit)
	}
	if err == nil {
		if why := p.agent.Hello().Unheld; why != "" {
			c.d.o.Notify(c.target.Name, client.Unheld(why))
		}
		return p, nil
	}
	p.kill()
	p.wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, c.failed(err, p.said.String())
}

// kill ends an agent that has not begun to do anything.
func (p *process) kill() { _ = p.cmd.Process.Kill() } // it may be gone

func (c *agentConn) failed(err error, said string) error {
	if locked, ok := transport.AsUnreachable(err); ok {
		return locked
	}
	if said = strings.TrimSpace(said); said != "" {
		err = fmt.Errorf("%w; it said: %s", err, said)
	}
	return &transport.Unreachable{Host: c.target.Name, Stage: transport.Agent, Err: err}
}

// spawn starts the program, in a session of its own: what is typed at the terminal is for kflow.
func (c *agentConn) spawn(nonce string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	p.cmd = &exec.Cmd{Path: c.d.o.Agent[0], Args: append(c.d.o.Agent[1:len(c.d.o.Agent):len(c.d.o.Agent)], c.arguments(nonce)...),
		Stderr: &p.said, WaitDelay: time.Second, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	var out *os.File
	if p.stdout, out, err = os.Pipe(); err != nil {
		return nil, err
	}
	p.cmd.Stdout = out
	err = p.cmd.Start()
	out.Close()
	if err != nil {
		p.stdout.Close()
		return nil, err
	}
	go func() {
		p.exit = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (c *agentConn) arguments(nonce string) []string {
	args := []string{"--nonce", nonce}
	if c.d.o.Session != "" {
		sum := sha256.Sum256([]byte("local\x00" + c.d.o.Session + "\x00" + c.target.Name))
		args = append(args, "--session", hex.EncodeToString(sum[:8]))
		if dir := cmp.Or(c.d.o.RunDir, runDir()); dir != "" {
			args = append(args, "--run-dir", dir)
		}
	}
	if c.d.o.Claim != nil && !c.target.Shared {
		args = append(args, "--claim", wire.Word(c.d.o.Claim.Clean()))
	}
	for _, a := range []string{c.target.NodeIP, c.target.Address} {
		if a != "" {
			args = append(args, "--address", a)
		}
	}
	return args
}

// runDir is where agents of this user keep the locks of their sessions; "" = nowhere.
func runDir() string {
	if os.Geteuid() == 0 {
		return "/run/kflow"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "kflow")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "kflow")
}

// untilReady reads up to the line that opens the connection; slow is put off with each sign of life.
func (p *process) untilReady(host, nonce string, slow *time.Timer) error {
	r := &byByte{p.stdout}
	for {
		words, _, err := wire.ReadMarker(r, nonce)
		if err != nil {
			return err
		}
		slow.Reset(startLimit)
		switch {
		case len(words) == 0:
		case words[0] == "ready":
			return nil
		case words[0] == "locked":
			return client.Locked(host, words)
		}
	}
}

// byByte reads no further than it is asked: what follows is for another reader.
type byByte struct{ io.Reader }

func (r *byByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}

// wait waits for the end of the process, and takes it when that takes too long.
func (p *process) wait() {
	t := time.NewTimer(endLimit)
	defer t.Stop()
	select {
	case <-p.ended:
	case <-t.C:
		p.kill()
		<-p.ended
	}
	p.stdout.Close()
}

// close ends the connection; the agent ends what runs, and itself.
func (p *process) close() {
	p.agent.Close()
	p.stdin.Close()
	p.wait()
	p.agent.Wait()
}

// Facts implements transport.Conn.
func (c *agentConn) Facts() *task.Facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live.agent.Hello().Facts
}

// Do implements transport.Conn.
func (c *agentConn) Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error) {
	p, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	out, err := c.d.carryOut(req, func(req *job.Request) (*job.Outcome, error) { return p.agent.Do(ctx, req, progress) })
	var remote *wire.Error
	switch {
	case err == nil:
		return out, nil
	case errors.As(err, &remote), errors.Is(err, wire.ErrTooLarge):
		return &job.Outcome{Failure: &job.Failure{Summary: err.Error()}}, nil
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return nil, err
	case c.isClosed():
		return nil, errClosed
	}
	return nil, &transport.Unreachable{Host: c.target.Name, Stage: transport.Lost, Err: p.why(err), Transient: true,
		Hint: "its agent was ended: it is not known whether the task was carried out"}
}

// why says how the agent ended.
func (p *process) why(err error) error {
	select {
	case <-p.ended:
	case <-time.After(time.Second):
		return err
	}
	if p.exit != nil {
		err = fmt.Errorf("the agent ended: %w", p.exit)
	}
	if said := strings.TrimSpace(p.said.String()); said != "" {
		err = fmt.Errorf("%w; it said: %s", err, said)
	}
	return err
}

// connected is an agent that lives.
func (c *agentConn) connected(ctx context.Context) (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	select {
	case <-c.live.agent.Done():
	default:
		return c.live, nil
	}
	c.live.close()
	p, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	c.live = p
	return p, nil
}

func (c *agentConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close implements transport.Conn: what runs is cancelled, and waited for.
func (c *agentConn) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	p := c.live
	c.mu.Unlock()
	if !closed {
		p.close()
	}
	return nil
}

// tail is the end of what a program says.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - 4096; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
