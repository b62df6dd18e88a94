package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/transport"
)

const (
	maxAttempts = 5                      // of a dial that is dropped before the login
	firstPause  = 250 * time.Millisecond // before the second; doubled each time
	maxHops     = 8
)

// link is an SSH connection, and what must be given back when it is closed.
type link struct {
	*gossh.Client
	heard   *heardConn
	release func() // the jump host
	once    sync.Once
}

// Close closes the connection and lets go of its jump host.
func (l *link) Close() error {
	err := l.Client.Close()
	l.once.Do(l.release)
	return err
}

// connect opens an SSH connection, through jump hosts where the settings have some. What fails for a moment (an sshd that
// drops connections because too many begin at once) is tried again.
func (d *Dialer) connect(ctx context.Context, s *settings) (*link, error) {
	via, release, err := d.via(ctx, s)
	if err != nil {
		return nil, err
	}
	l, err := d.attempts(ctx, s, via)
	if err != nil {
		release()
		return nil, err
	}
	l.release = release
	return l, nil
}

func (d *Dialer) attempts(ctx context.Context, s *settings, via *gossh.Client) (*link, error) {
	leave, err := d.enter(ctx, s.address())
	if err != nil {
		return nil, err
	}
	defer leave()
	pause := firstPause
	for attempt := 1; ; attempt++ {
		l, err := d.once(ctx, s, via)
		u, ok := transport.AsUnreachable(err)
		if err == nil || !ok || !worthAnother(u, attempt) {
			return l, err
		}
		// A different pause for each host, else all that were dropped come back at once.
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// worthAnother tells whether a dial that failed is tried again. Of a host that has just come back, the kernel may still say
// once that there is no route: the search for its hardware address began while it was away.
func worthAnother(u *transport.Unreachable, attempt int) bool {
	if u.Transient {
		return attempt < maxAttempts
	}
	return attempt == 1 && (errors.Is(u.Err, syscall.EHOSTUNREACH) || errors.Is(u.Err, syscall.ENETUNREACH))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// once makes one attempt. With a pinned fingerprint, which does not tell the type of the key, all types are tried.
func (d *Dialer) once(ctx context.Context, s *settings, via *gossh.Client) (*link, error) {
	algos, err := d.known.algorithms(s)
	if err != nil {
		return nil, &transport.Unreachable{Host: s.name, Stage: transport.Config, Err: err}
	}
	var first error
	for len(algos) > 0 {
		l, shown, err := d.handshake(ctx, s, via, algos)
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
		var hk *hostKeyError
		if !errors.As(err, &hk) || !hk.pinned || shown == nil {
			if u, ok := transport.AsUnreachable(err); ok && u.Stage == transport.HostKey {
				return nil, first // it has no key of another type
			}
			return nil, err
		}
		algos = without(algos, algorithmsOf(shown.Type()))
	}
	return nil, first
}

func without(all, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(a string) bool { return slices.Contains(drop, a) })
}

// handshake dials and logs in; shown is the host key it met, if any.
func (d *Dialer) handshake(ctx context.Context, s *settings, via *gossh.Client, algos []string) (l *link, shown gossh.PublicKey, err error) {
	nc, err := d.dialTCP(ctx, s, via)
	if err != nil {
		return nil, nil, dialError(ctx, s, err)
	}
	heard := &heardConn{Conn: nc}
	nc = heard
	limit := fmt.Errorf("no answer within %v", s.timeout)
	clock := newDeadline(ctx, nc, s.timeout, limit)
	offers, notes, done := d.keys.offers(s)
	defer done()
	var keyErr error
	cfg := &gossh.ClientConfig{
		User:              s.user,
		Auth:              methods(s, offers, clock),
		HostKeyAlgorithms: algos,
		HostKeyCallback: func(_ string, _ net.Addr, key gossh.PublicKey) error {
			shown = key
			keyErr = d.known.check(s, key)
			return keyErr
		},
	}
	conn, chans, reqs, err := gossh.NewClientConn(nc, s.address(), cfg)
	if ended := clock.stop(); ended != nil && err == nil {
		conn.Close()
		err = ended
	} else if ended != nil {
		err = ended
	}
	if err != nil {
		nc.Close()
		return nil, shown, handshakeError(ctx, s, err, keyErr, shown != nil, offers, notes)
	}
	l = &link{Client: gossh.NewClient(conn, chans, reqs), heard: heard, release: func() {}}
	return l, shown, nil
}

func (d *Dialer) dialTCP(ctx context.Context, s *settings, via *gossh.Client) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %v", s.timeout))
	defer cancel()
	dial := d.o.NetDial
	if via != nil {
		dial = via.DialContext
	}
	nc, err := dial(ctx, "tcp", s.address())
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nc, err
}

// dialError says why there is no connection.
func dialError(ctx context.Context, s *settings, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	u := &transport.Unreachable{Host: s.name, Stage: transport.Dial, Err: fmt.Errorf("%s: %w", s.address(), err)}
	var dns *net.DNSError
	var refused *gossh.OpenChannelError
	switch {
	case errors.As(err, &dns):
		u.Hint = fmt.Sprintf("the name %q cannot be resolved here: give the host an `address` in the inventory", s.host)
	case errors.Is(err, syscall.ECONNREFUSED):
		u.Hint = fmt.Sprintf("the machine is up, but nothing listens on port %d: is sshd running, is the port right?", s.port)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		u.Hint = "is the machine up, and is there a route to it?"
	case errors.As(err, &refused) && refused.Reason == gossh.Prohibited:
		u.Hint = "its jump host forbids forwarding: set AllowTcpForwarding there"
	case errors.As(err, &refused):
		u.Hint = "its jump host does not reach it: is the machine up, is the address right as seen from there?"
	case errors.Is(err, syscall.ECONNRESET):
		u.Transient = true
	default:
		u.Hint = fmt.Sprintf("is the machine up, and does no firewall drop port %d?", s.port)
	}
	return u
}

// handshakeError says why a connection did not become a login.
func handshakeError(ctx context.Context, s *settings, err, keyErr error, sawKey bool, offers []offer, notes []string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var hk *hostKeyError
	if errors.As(keyErr, &hk) {
		return hk.unreachable(s)
	}
	if keyErr != nil {
		return &transport.Unreachable{Host: s.name, Stage: transport.HostKey, Err: keyErr}
	}
	text := err.Error()
	if strings.Contains(text, "unable to authenticate") || tooMany(text) {
		return authError(s, text, offers, notes)
	}
	u := &transport.Unreachable{Host: s.name, Stage: transport.Handshake, Err: err}
	var algo *gossh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &algo) && algo.What == "host key":
		u.Stage = transport.HostKey
		u.Err = fmt.Errorf("it shows no key of the types that are known of it: known %s, shown %s", strings.Join(algo.SupportedAlgorithms, ", "),
			strings.Join(algo.RequestedAlgorithms, ", "))
		u.Hint = fmt.Sprintf("if the host was installed anew, compare its fingerprints on its console, then run `ssh-keygen -R %s`", s.host)
	case errors.As(err, &algo):
		u.Hint = "its sshd is too old or set up too narrowly"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		u.Transient = true
		u.Err = fmt.Errorf("it closed the connection before the login: %w", err)
		u.Hint = "too many connections may begin at once (MaxStartups of sshd), or hosts.deny, fail2ban or a full process table refuse us"
	case strings.Contains(text, "no answer within"):
		u.Hint = fmt.Sprintf("port %d is open, but what listens there does not speak SSH in time: a hanging or overloaded sshd?", s.port)
	case !sawKey:
		u.Hint = fmt.Sprintf("is it sshd that listens on port %d?", s.port)
	}
	return u
}

// tooMany recognises how servers end a login after MaxAuthTries keys.
func tooMany(text string) bool {
	return strings.Contains(strings.ToLower(text), "too many authentication failures")
}

func authError(s *settings, text string, offers []offer, notes []string) *transport.Unreachable {
	u := &transport.Unreachable{Host: s.name, Stage: transport.Auth}
	var names []string
	for _, o := range offers {
		names = append(names, o.name)
	}
	tried := "no key was offered"
	if len(names) > 0 {
		tried = "offered " + strings.Join(names, ", ")
	}
	if s.target.Password != "" {
		tried += " and a password"
	}
	if len(notes) > 0 {
		tried += " (" + strings.Join(notes, "; ") + ")"
	}
	u.Err = fmt.Errorf("%s: %s", s.who(), tried)
	switch {
	case tooMany(text):
		u.Err = fmt.Errorf("%s: too many keys were tried: %s", s.who(), tried)
		u.Hint = "name the right key in the inventory and set `keys_only: true` (IdentitiesOnly), so that the others are not offered"
	case len(names) == 0 && s.target.Password == "":
		u.Hint = "name a private key in the inventory, or add one to ssh-agent"
	default:
		u.Hint = fmt.Sprintf("is one of these in ~/.ssh/authorized_keys of %s there, and is %s the right user?", s.user, s.user)
	}
	return u
}
