package ssh

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/transport"
)

// hops are the connections to jump hosts that are open now, each shared by all hosts behind it.
type hops struct {
	mu  sync.Mutex
	all map[string]*hop
}

// hop is one of them. ready is closed when link or err is set.
type hop struct {
	ready chan struct{}
	link  *link
	err   error
	users int
}

func newHops() *hops { return &hops{all: map[string]*hop{}} }

// via returns the connection to go through; nil for a host that is dialled directly.
func (d *Dialer) via(ctx context.Context, s *settings) (via *gossh.Client, release func(), err error) {
	chain, err := d.chain(s, nil)
	if err != nil {
		return nil, nil, &transport.Unreachable{Host: s.name, Stage: transport.Config, Err: err}
	}
	if len(chain) == 0 {
		return nil, func() {}, nil
	}
	l, release, err := d.hop(ctx, chain)
	if err != nil {
		return nil, nil, onTheWay(s, err)
	}
	return l.Client, release, nil
}

// onTheWay names the host that is not reached because its jump host is not.
func onTheWay(s *settings, err error) error {
	u, ok := transport.AsUnreachable(err)
	if !ok {
		return err
	}
	named := *u
	named.Host = fmt.Sprintf("%s: jump host %s", s.name, u.Host)
	return &named
}

// chain is the way to a host: its jump hosts, each with settings; the first may have jump hosts of its own.
func (d *Dialer) chain(s *settings, seen []string) ([]*settings, error) {
	if len(s.jump) == 0 {
		return nil, nil
	}
	if slices.Contains(seen, s.name) || len(seen) > maxHops {
		return nil, fmt.Errorf("its jump hosts lead in a circle: %s", strings.Join(append(seen, s.name), " → "))
	}
	var out []*settings
	for i, t := range s.jump {
		if t.ConnectTimeout == 0 {
			t.ConnectTimeout = s.timeout
		}
		if i > 0 {
			t.Jump = []transport.Target{} // it is reached through the one before
		}
		hs, err := d.settings(t)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			before, err := d.chain(hs, append(seen, s.name))
			if err != nil {
				return nil, err
			}
			out = append(out, before...)
		}
		out = append(out, hs)
	}
	return out, nil
}

// hop returns the shared connection to the last host of chain, which it opens unless it is open.
func (d *Dialer) hop(ctx context.Context, chain []*settings) (*link, func(), error) {
	key := chainKey(chain)
	h, mine := d.hops.join(key)
	release := func() { d.hops.leave(key, h) }
	if mine {
		// Others wait for it, so it must not end with the first that wanted it.
		go d.hops.open(context.WithoutCancel(ctx), d, key, h, chain)
	}
	select {
	case <-h.ready:
	case <-ctx.Done():
		release()
		return nil, nil, context.Cause(ctx)
	}
	if h.err != nil {
		release()
		return nil, nil, h.err
	}
	return h.link, release, nil
}

func chainKey(chain []*settings) string {
	names := make([]string, len(chain))
	for i, s := range chain {
		names[i] = s.user + "@" + s.address()
	}
	return strings.Join(names, ",")
}

func (hs *hops) join(key string) (h *hop, mine bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h = hs.all[key]
	if h == nil {
		h, mine = &hop{ready: make(chan struct{})}, true
		hs.all[key] = h
	}
	h.users++
	return h, mine
}

// leave closes the connection when nobody uses it any more.
func (hs *hops) leave(key string, h *hop) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.users--
	if h.users > 0 {
		return
	}
	hs.forget(key, h)
	if h.link != nil {
		go h.link.Close()
	}
}

// forget makes the next that comes dial anew. The lock is held.
func (hs *hops) forget(key string, h *hop) {
	if hs.all[key] == h {
		delete(hs.all, key)
	}
}

// open dials a jump host, through those before it, and forgets it when the connection ends.
func (hs *hops) open(ctx context.Context, d *Dialer, key string, h *hop, chain []*settings) {
	l, err := d.openHop(ctx, chain)
	hs.mu.Lock()
	h.link, h.err = l, err
	if err != nil {
		hs.forget(key, h)
	} else if h.users == 0 { // all have given up meanwhile
		hs.forget(key, h)
		go l.Close()
	}
	hs.mu.Unlock()
	close(h.ready)
	if err != nil {
		return
	}
	stop := keepAlive(l, d.o.KeepAlive, func(error) {})
	_ = l.Wait() // why it ended, its users find out
	stop()
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.forget(key, h)
}

func (d *Dialer) openHop(ctx context.Context, chain []*settings) (*link, error) {
	last := chain[len(chain)-1]
	if len(chain) == 1 {
		return d.attempts(ctx, last, nil)
	}
	before, release, err := d.hop(ctx, chain[:len(chain)-1])
	if err != nil {
		return nil, err
	}
	l, err := d.attempts(ctx, last, before.Client)
	if err != nil {
		release()
		return nil, err
	}
	l.release = release
	return l, nil
}
