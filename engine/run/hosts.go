package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// host is what a run knows of one host.
type host struct {
	name   string
	target transport.Target

	redial chan struct{} // full while it is dialled once more: all who want it share one connection

	mu       sync.Mutex
	conn     transport.Conn
	err      error // why it could not be reached
	facts    map[string]any
	dialling bool
}

func newHost(name string, t transport.Target) *host {
	return &host{name: name, target: t, redial: make(chan struct{}, 1)}
}

// hostError stops a run before anything is touched: a host that is configured wrongly, or is not who it should be.
type hostError struct{ errs []error }

func (e *hostError) Error() string { return errors.Join(e.errs...).Error() }

func (e *hostError) Unwrap() []error { return e.errs }

// connect dials all hosts of the plan at once. Hosts that do not answer are left out of the run, also those that let us in
// and then hang; a host that must not be trusted, or that does not let us in, ends the run before anything is touched.
func (s *Session) connect(ctx context.Context) error {
	var wg sync.WaitGroup
	s.Clock.Hold() // until all have been started
	for _, i := range s.plan.UsedHosts() {
		s.hold(&wg, func() { s.dial(ctx, s.hosts[i]) })
	}
	if s.usesController() {
		s.hold(&wg, func() { s.dial(ctx, s.controller) })
	}
	s.Clock.Release()
	wg.Wait()
	s.connected.Store(true)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.refused()
}

// hold runs f in a goroutine; time that is simulated does not pass while f does not wait for it.
func (s *Session) hold(wg *sync.WaitGroup, f func()) {
	s.Clock.Hold()
	wg.Go(func() {
		defer s.Clock.Release()
		f()
	})
}

func (s *Session) usesController() bool {
	for _, l := range s.plan.Leaves {
		if l.Place.Controller && len(l.Hosts) > 0 {
			return true
		}
	}
	return false
}

func (s *Session) dial(ctx context.Context, h *host) {
	start := s.Clock.Now()
	h.mu.Lock()
	h.dialling = true
	h.mu.Unlock()
	conn, err := s.dialer.Dial(ctx, h.target)
	h.mu.Lock()
	h.conn, h.err, h.dialling = conn, err, false
	if err == nil {
		h.facts, err = plainFacts(conn.Facts())
		h.err = err
	}
	h.mu.Unlock()
	s.memo.FactsChanged()
	if err != nil {
		s.bus.emit(event.Event{Type: event.HostLost, Host: h.name, Failure: failureOf(err)})
		return
	}
	s.bus.emit(event.Event{Type: event.HostUp, Host: h.name, Machine: machineOf(conn.Facts(), h.target), Duration: s.Clock.Now().Sub(start)})
}

// dialling names the hosts that are being dialled before anything has begun; "" means that this is over.
func (s *Session) dialling() string {
	if s.connected.Load() {
		return ""
	}
	var names []string
	for _, h := range append(s.hosts[:len(s.hosts):len(s.hosts)], s.controller) {
		h.mu.Lock()
		if h.dialling {
			names = append(names, h.name)
		}
		h.mu.Unlock()
	}
	if len(names) > 3 {
		names = append(names[:3], fmt.Sprintf("%d more", len(names)-3))
	}
	return cmp.Or(strings.Join(names, ", "), "hosts")
}

func machineOf(f *task.Facts, t transport.Target) *event.Machine {
	return &event.Machine{ID: f.MachineID, ProductUUID: f.ProductUUID, Address: t.Address, OS: f.OS.Name}
}

// plainFacts are facts as expressions see them.
func plainFacts(f *task.Facts) (map[string]any, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	v, err := decode(b)
	if err != nil {
		return nil, err
	}
	m, _ := v.(map[string]any)
	return m, nil
}

// refused is an error when a host failed in a way that a person has to mend first.
func (s *Session) refused() error {
	var errs []error
	for _, i := range s.plan.UsedHosts() {
		err := s.hosts[i].err
		if err == nil {
			continue
		}
		if u, ok := transport.AsUnreachable(err); ok && u.NoAnswer() {
			continue
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil
	}
	return &hostError{errs}
}

// open returns the connection of a host, dialling again if it could not be reached before.
func (s *Session) open(ctx context.Context, h *host, again bool) (transport.Conn, error) {
	conn, err := h.state()
	if err == nil || !again {
		return conn, err
	}
	s.Clock.Release() // whoever dials already may wait for time to pass
	select {
	case h.redial <- struct{}{}:
	case <-ctx.Done():
		s.Clock.Hold()
		return nil, context.Cause(ctx)
	}
	s.Clock.Hold()
	defer func() { <-h.redial }()
	if _, now := h.state(); now == err { //nolint:errorlint // the same one: nobody else has tried meanwhile
		s.dial(ctx, h)
	}
	return h.state()
}

func (h *host) state() (transport.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conn, h.err
}

func (s *Session) hangUp() {
	var wg sync.WaitGroup
	for _, h := range append(s.hosts[:len(s.hosts):len(s.hosts)], s.controller) {
		if h != nil && h.conn != nil {
			wg.Go(func() { _ = h.conn.Close() }) // the run is over; there is nobody left to tell
		}
	}
	wg.Wait()
}

// factsOf are the facts of a host; of one that was not reached all fields are zero.
func (s *Session) factsOf(i int) map[string]any {
	h := s.hosts[i]
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.facts == nil {
		return s.noFacts
	}
	return h.facts
}

// refresh takes over the facts of a host that was started anew.
func (s *Session) refresh(h *host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f, err := plainFacts(h.conn.Facts()); err == nil {
		h.facts = f
		s.memo.FactsChanged()
	}
}
