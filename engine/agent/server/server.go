// Package server is the agent: it carries out requests of kflow on the host it runs on, over one connection, and ends
// with that connection. It listens nowhere and keeps nothing running.
//
// Requests run concurrently, each cancelled by itself. When the connection ends, all are cancelled: programs get SIGTERM
// and a grace period, nothing new is started, and Serve returns when all have ended. A cut cable ends no connection: an
// agent that hears nothing for wire.AliveLimit takes it for ended. What a task needs of the controller
// (content, downloads, files to save) goes the other way over the same connection.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/kflow/kflow/engine/agent/hold"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/facts"
	"github.com/kflow/kflow/engine/host"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// keepContent is how long content stays on a host that nobody asks for any more.
const keepContent = 30 * 24 * time.Hour

// Options of an agent.
type Options struct {
	Registry *task.Registry
	Version  string        // of the build
	SHA256   string        // of the program, as far as it is known
	Nonce    string        // of the marker line that opens the connection
	Dir      string        // content is kept below it; "" = nowhere
	RunDir   string        // in memory, for what need not outlive a boot; "" = Dir
	Session  string        // names what belongs together: an agent ends the one before it of the same session and Dir
	Claim    *wire.Claim   // run that no other run may work on this host with; nil = it only looks
	LockDir  string        // where agents of this user keep the lock for that; see package hold
	Prefer   []string      // addresses that kflow knows this host by, see facts.Gather
	Grace    time.Duration // between SIGTERM and SIGKILL; 0 = that of package host

	// Machine makes what requests are carried out on, and its facts; nil = the machine this process runs on. For tests
	// that have a simulated host behind a real connection.
	Machine func(context.Context, Controller) (task.Host, *task.Facts, error)
}

// Controller is kflow, as the agent reaches it.
type Controller interface {
	task.Controller
	host.Source
}

// Serve serves one connection and returns when it has ended; nil is a regular end. It is a *wire.Held when another run
// works on the host.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	s := &server{o: o}
	if err := s.claim(ctx, out); err != nil {
		return err
	}
	defer s.giveBack()
	release, err := takeOver(ctx, o, out)
	if err != nil {
		return err
	}
	defer release()
	s.programs = o.programs()
	defer s.programs.close()
	go pruneSessions(o.sessions(), keepContent)
	if err := s.endLeft(ctx, out); err != nil {
		return err
	}
	s.remote = newRemote()
	f, err := s.machine(ctx)
	if err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	if _, err := io.WriteString(out, wire.Marker(o.Nonce, "ready")); err != nil {
		return err
	}
	heard := make(chan struct{}, 1)
	s.peer = wire.NewPeer(wire.NewReader(&listener{in, heard}), out, s.handle)
	s.remote.peer = s.peer
	hello := wire.Hello{Protocol: wire.Protocol, Version: o.Version, SHA256: o.SHA256, PID: os.Getpid(), Facts: f, Unheld: s.unheld}
	if err := s.peer.SendHello(hello); err != nil {
		return err
	}
	go func() { _ = s.peer.Serve(ctx) }() // a read that blocks must not keep us; Err tells how it ended
	s.watch(ctx, heard)
	if s.hold != nil {
		s.hold.Ending(context.WithoutCancel(ctx))
	}
	s.wait()
	if err := s.peer.Err(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// machine makes the host of this agent, and gathers its facts.
func (s *server) machine(ctx context.Context) (f *task.Facts, err error) {
	if s.o.Machine != nil {
		s.host, f, err = s.o.Machine(ctx, s.remote)
		return f, err
	}
	m := host.New(host.Options{Controller: s.remote, Source: s.remote, Store: s.store(), Grace: s.o.Grace, Started: s.programs.started})
	if f, err = facts.Gather(ctx, m, s.o.Prefer...); err != nil {
		return nil, err
	}
	m.SetFacts(f)
	s.host = m
	return f, nil
}

// endLimit is how long handlers may take to end, beyond the grace of programs.
const endLimit = 15 * time.Second

// wait waits for the handlers, unless one is held up for good (in a write that nobody reads).
func (s *server) wait() {
	done := make(chan struct{})
	go func() {
		s.peer.Wait()
		close(done)
	}()
	t := time.NewTimer(s.o.Grace + endLimit)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// watch returns when the connection has ended, or was silent for too long.
func (s *server) watch(ctx context.Context, heard <-chan struct{}) {
	silence := time.NewTimer(wire.AliveLimit)
	defer silence.Stop()
	for {
		select {
		case <-heard:
			silence.Reset(wire.AliveLimit)
			if s.hold != nil {
				s.hold.Heard()
			}
		case <-silence.C:
			s.peer.Close(fmt.Errorf("no sign of kflow for %v", wire.AliveLimit))
		case <-ctx.Done():
			s.peer.Close(context.Cause(ctx))
		case <-s.peer.Done():
		}
		if s.peer.Err() != nil {
			return
		}
	}
}

// listener tells when something was read.
type listener struct {
	io.Reader
	heard chan<- struct{}
}

func (l *listener) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	select {
	case l.heard <- struct{}{}:
	default: // it has not been looked at yet
	}
	return n, err
}

type server struct {
	o        Options
	host     task.Host
	remote   *remote
	peer     *wire.Peer
	programs programs
	hold     *hold.Hold // nil = none is wanted, or can be had
	unheld   string     // why none can be had
}

// claim keeps other runs off the host. Where another run works on it, kflow is told by which, and the agent ends before it
// has touched anything. A host on which there can be no lock is worked on without one, and kflow is told that.
func (s *server) claim(ctx context.Context, out io.Writer) error {
	if s.o.Claim == nil {
		return nil
	}
	var gone, err error
	busy := func() error {
		_, gone = io.WriteString(out, wire.Marker(s.o.Nonce, "busy"))
		return gone
	}
	s.hold, err = hold.Take(ctx, hold.Options{Dir: s.o.LockDir, Claim: *s.o.Claim, Busy: busy})
	var held *wire.Held
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case gone != nil: // nobody waits for us: to go on would end the agent that came instead
		return gone
	case errors.As(err, &held):
		_, told := io.WriteString(out, wire.Marker(s.o.Nonce, "locked", wire.Word(held)))
		return errors.Join(err, told)
	default:
		s.unheld = err.Error()
	}
	return nil
}

// endLeft ends what killed agents have left running: those of this session, and where the host is ours alone those of all
// others. A live agent ends its programs itself.
func (s *server) endLeft(ctx context.Context, out io.Writer) error {
	all := []programs{s.programs}
	if s.hold != nil {
		all = append(all, s.o.abandoned()...)
	}
	return endLeft(ctx, all, cmp.Or(s.o.Grace, host.DefaultGrace), s.o.Nonce, out)
}

func (s *server) giveBack() {
	if s.hold != nil {
		s.hold.Release()
	}
}

func (s *server) store() *host.Store {
	if s.o.Dir == "" {
		return nil
	}
	st := host.NewStore(filepath.Join(s.o.Dir, "content"))
	go st.Prune(keepContent)
	return st
}

func (s *server) handle(ctx context.Context, r *wire.Request) (any, []byte, error) {
	switch r.Type {
	case wire.TypeRun:
		return s.run(ctx, r)
	case wire.TypeRead:
		return s.remote.read(r)
	}
	return nil, nil, wire.ErrUnknown
}

func (s *server) run(ctx context.Context, r *wire.Request) (any, []byte, error) {
	var body wire.Run
	if err := r.Decode(&body); err != nil {
		return nil, nil, err
	}
	if body.Request == nil {
		return nil, nil, errors.New("a run without request")
	}
	out := converge.Run(ctx, s.o.Registry, s.host, body.Request, func(p job.Progress) { _ = r.Progress(p) })
	return out, nil, nil
}
