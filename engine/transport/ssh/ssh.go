// Package ssh reaches hosts over SSH and starts the agent there.
//
// # The way to a host
//
// What the inventory does not say comes from the OpenSSH configuration (settings.go). A host is dialled directly or
// through jump hosts, whose connections are shared by all that need them (connect.go, hops.go). Each hop proves who it is
// (hostkey.go): an unknown key is refused unless that was allowed, a changed key always. kflow proves who it is by keys
// (auth.go). One session then starts the agent (bootstrap.go), through sudo where the inventory says `become`; that takes
// one round trip when the agent is on the host already. Whatever goes wrong on the way is a *transport.Unreachable with
// the stage and what to do.
//
// # Limits
//
// An sshd drops connections when many begin at once (MaxStartups). So at most MaxDials are dialled at a time, and few per
// address; what was dropped is tried again after a pause that differs between hosts. A refused login is not tried again.
//
// # While it is connected
//
// Keepalives find a connection that is dead without having ended (keepalive.go). A lost connection is dialled again when
// the next request comes, and after a reboot (conn.go).
package ssh

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// Options of a Dialer. The zero value works, but for a Controller and Contents.
type Options struct {
	Controller task.Controller    // nil: tasks that need it fail
	Contents   transport.Contents // nil: only inline content can be opened
	Version    string             // of this build, told to agents
	// Session names a run, also when it is resumed. On each host an agent first ends the agent before it of the same
	// session, with all it runs: a connection may have been lost without its agent knowing. "" = this Dialer's own.
	Session string
	// Claim names the run that no other run may work on its hosts with: a host that another run works on is an Unreachable at
	// stage Locked. nil = this Dialer only looks, and hinders nobody.
	Claim *wire.Claim

	Agents func(arch string) (binaries.Binary, error) // nil = those built in

	// Ask gets a password from a person; nil: there is nobody. It is called for one question at a time.
	Ask func(ctx context.Context, q Question) (string, error)
	// Notify tells people something about a host ("accepted its new host key ..."); nil: nobody is told.
	Notify func(host, line string)

	AcceptNewHostKeys bool // remember the key of a host that is met for the first time

	Home        string   // "" = the user's
	ConfigFiles []string // of OpenSSH; nil = ~/.ssh/config and /etc/ssh/ssh_config, empty = none
	AgentSocket string   // of ssh-agent; "" = $SSH_AUTH_SOCK, "none" = none

	MaxDials           int           // at once; 0 = 64
	MaxDialsPerAddress int           // at once to one address; 0 = 8
	RedialFor          time.Duration // how long a lost host is tried before a request fails; 0 = 30 s
	KeepAlive          time.Duration // between signs of life; after three that are missed the connection is lost; 0 = 15 s
	Linger             time.Duration // see client.Options

	// NetDial makes the first connection; nil = net.Dialer. For tests.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Question is something only a person knows.
type Question struct {
	Prompt string // complete, for people: "passphrase of /root/.ssh/id_ed25519"
	Again  bool   // the answer before this was wrong
}

// Dialer implements transport.Dialer. Close it after all connections are closed.
type Dialer struct {
	o             Options
	keys          *keyring
	known         *knownHosts
	hops          *hops
	total         chan struct{}
	sudoPasswords *sudoPasswords
	config        func() (*config, error)

	mu      sync.Mutex
	perAddr map[string]chan struct{}
}

var _ transport.Dialer = (*Dialer)(nil)

// New returns a Dialer.
func New(o Options) *Dialer {
	setDefault(&o.MaxDials, 64)
	setDefault(&o.MaxDialsPerAddress, 8)
	setDefault(&o.RedialFor, 30*time.Second)
	setDefault(&o.KeepAlive, 15*time.Second)
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir()
	}
	if o.Session == "" {
		o.Session = rand.Text()
	}
	if o.Agents == nil {
		o.Agents = binaries.For
	}
	o.Agents = remembering(o.Agents)
	if o.Notify == nil {
		o.Notify = func(string, string) {}
	}
	if o.NetDial == nil {
		d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}}
		o.NetDial = d.DialContext
	}
	d := &Dialer{o: o, total: make(chan struct{}, o.MaxDials), perAddr: map[string]chan struct{}{}}
	d.keys = newKeyring(o)
	d.known = newKnownHosts(o)
	d.hops = newHops()
	d.sudoPasswords = newSudoPasswords(o.Ask)
	d.config = sync.OnceValues(func() (*config, error) { return loadConfig(o) })
	return d
}

// remembering gets each agent once: all connections share it, and it is megabytes.
func remembering(get func(arch string) (binaries.Binary, error)) func(arch string) (binaries.Binary, error) {
	var mu sync.Mutex
	known := map[string]func() (binaries.Binary, error){}
	return func(arch string) (binaries.Binary, error) {
		mu.Lock()
		defer mu.Unlock()
		if known[arch] == nil {
			known[arch] = sync.OnceValues(func() (binaries.Binary, error) { return get(arch) })
		}
		return known[arch]()
	}
}

// session names a host's part of the session: one machine may stand in the inventory twice.
func (d *Dialer) session(host string) string {
	sum := sha256.Sum256([]byte(d.o.Session + "\x00" + host))
	return hex.EncodeToString(sum[:8])
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Dial implements transport.Dialer.
func (d *Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	c := &conn{d: d, target: t, turn: make(chan struct{}, 1)}
	l, err := d.open(ctx, t)
	if err != nil {
		return nil, err
	}
	c.set(l)
	return c, nil
}

// Close ends the use of the Dialer. Jump hosts are left when the last connection through them is closed.
func (d *Dialer) Close() error { return nil }

// open reaches a host and starts the agent. The error is an *Unreachable or the cause of ctx.
func (d *Dialer) open(ctx context.Context, t transport.Target) (*live, error) {
	l, err := d.tryOpen(ctx, t)
	if err != nil && ctx.Err() != nil {
		if _, ok := transport.AsUnreachable(err); !ok || errors.Is(err, context.Cause(ctx)) {
			return nil, context.Cause(ctx)
		}
	}
	return l, err
}

func (d *Dialer) tryOpen(ctx context.Context, t transport.Target) (*live, error) {
	s, err := d.settings(t)
	if err != nil {
		return nil, &transport.Unreachable{Host: t.Name, Stage: transport.Config, Err: err}
	}
	link, err := d.connect(ctx, s)
	if err != nil {
		return nil, err
	}
	l, err := d.startAgent(ctx, s, link)
	if err != nil {
		link.Close()
		return nil, err
	}
	return l, nil
}

// enter takes a place among the dials; leave gives it back.
func (d *Dialer) enter(ctx context.Context, addr string) (leave func(), err error) {
	d.mu.Lock()
	per := d.perAddr[addr]
	if per == nil {
		per = make(chan struct{}, d.o.MaxDialsPerAddress)
		d.perAddr[addr] = per
	}
	d.mu.Unlock()
	if err := take(ctx, per); err != nil {
		return nil, err
	}
	if err := take(ctx, d.total); err != nil {
		<-per
		return nil, err
	}
	return func() { <-d.total; <-per }, nil
}

func take(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
