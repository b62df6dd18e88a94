// Package server is the agent: it carries out requests of kflow on the host it runs on, over one connection, and ends
// with that connection. It listens nowhere and keeps nothing running.
//
// Requests run concurrently, each cancelled by itself. When the connection ends, all are cancelled: programs get SIGTERM
// and a grace period, nothing new is started, and Serve returns when all have ended. What a task needs of the controller
// (content, downloads, files to save) goes the other way over the same connection.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

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
	Prefer   []string      // addresses that kflow knows this host by, see facts.Gather
	Grace    time.Duration // between SIGTERM and SIGKILL; 0 = that of package host
}

// Serve serves one connection and returns when it has ended; nil is a regular end.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	s := &server{o: o}
	s.remote = newRemote()
	s.host = host.New(host.Options{Controller: s.remote, Source: s.remote, Store: s.store(), Grace: o.Grace})
	f, err := facts.Gather(ctx, s.host, o.Prefer...)
	if err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	s.host.SetFacts(f)
	if _, err := io.WriteString(out, wire.Marker(o.Nonce, "ready")); err != nil {
		return err
	}
	s.peer = wire.NewPeer(wire.NewReader(in), out, s.handle)
	s.remote.peer = s.peer
	hello := wire.Hello{Protocol: wire.Protocol, Version: o.Version, SHA256: o.SHA256, PID: os.Getpid(), Facts: f}
	if err := s.peer.SendHello(hello); err != nil {
		return err
	}
	err = s.peer.Serve(ctx)
	s.peer.Wait()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

type server struct {
	o      Options
	host   *host.Machine
	remote *remote
	peer   *wire.Peer
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
