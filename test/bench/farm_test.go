package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kflow/kflow/engine/agent/server"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/sim/cluster"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks"
)

// farm is SSH servers on loopback, each with a host key, a TCP port and a simulated host of its own. Their sessions do what
// the script of the dialer does (which is run for real in the tests of transport/ssh), and become the real agent.
type farm struct {
	dir        string // home of who runs kflow: key, known_hosts, inventory
	authorized ssh.PublicKey
	registry   *task.Registry
	hosts      []*sshHost
	together   int           // so many of the first logins wait for each other,
	full       chan struct{} // which is closed when they are there
	once       sync.Once
	running    sync.WaitGroup

	mu     sync.Mutex
	counts counts
	errs   []error
}

// counts are what the servers see.
type counts struct {
	connections, logins int
	dialling, most      int // connections that are not logged in: now, and most ever
	sessions, agents    int
	uploads             int
}

// sshHost is one server.
type sshHost struct {
	*host.Host
	farm     *farm
	name     string
	config   *ssh.ServerConfig
	key      ssh.PublicKey
	listener net.Listener
	cached   bool // the agent is there
}

// newFarm starts n servers; every fiftieth has no agent yet.
func newFarm(tb testing.TB, n int) *farm {
	tb.Helper()
	f := &farm{dir: tb.TempDir(), registry: tasks.All(), together: min(n, 64), full: make(chan struct{})}
	f.clientKey(tb)
	clock := &leap{now: time.Date(2024, time.June, 10, 9, 0, 0, 0, time.UTC)}
	network := cluster.New(1, clock)
	image := host.NewImage("debian12")
	texts := host.NewTexts()
	for i := range n {
		h := &sshHost{farm: f, name: fmt.Sprintf("node%04d", i+1), cached: i%50 != 0}
		h.listen(tb, fmt.Sprintf("127.1.%d.%d:0", i/250, i%250+1))
		h.Host = host.New(host.Options{Name: h.name, IP: h.address(), Image: image, Seed: 1, Clock: clock, Network: network,
			Programs: network.Programs(), Texts: texts, OnStart: network.OnStart})
		network.Add(h.Host)
		f.hosts = append(f.hosts, h)
		f.running.Go(h.accept)
	}
	f.inventory(tb)
	return f
}

func (f *farm) clientKey(tb testing.TB) {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		tb.Fatal(err)
	}
	f.authorized = signer(tb, key).PublicKey()
	f.write(tb, "id_ed25519", string(pem.EncodeToMemory(block)))
}

func signer(tb testing.TB, key ed25519.PrivateKey) ssh.Signer {
	tb.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (f *farm) write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func (f *farm) path(name string) string { return filepath.Join(f.dir, name) }

// inventory writes how the hosts are reached, and their keys.
func (f *farm) inventory(tb testing.TB) {
	tb.Helper()
	var text, known bytes.Buffer
	fmt.Fprintf(&text, "kflow: v1\ndefaults:\n  ssh:\n    user: root\n    key: %s\n    known_hosts: %s\n    connect_timeout: 2m\nhosts:\n",
		f.path("id_ed25519"), f.path("known_hosts"))
	for _, h := range f.hosts {
		_, port, err := net.SplitHostPort(h.listener.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(&text, "  %s:\n    address: %s\n    ssh:\n      port: %s\n", h.name, h.address(), port)
		fmt.Fprintln(&known, knownhosts.Line([]string{h.listener.Addr().String()}, h.key))
	}
	f.write(tb, "inventory.yaml", text.String())
	f.write(tb, "known_hosts", known.String())
}

// count changes the counts.
func (f *farm) count(change func(c *counts)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.counts)
	f.counts.most = max(f.counts.most, f.counts.dialling)
}

// reset returns the counts and begins anew.
func (f *farm) reset() counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.counts
	f.counts = counts{dialling: seen.dialling}
	return seen
}

func (f *farm) wrong(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

// close ends all servers and waits for them.
func (f *farm) close(tb testing.TB) {
	tb.Helper()
	for _, h := range f.hosts {
		if err := h.listener.Close(); err != nil {
			tb.Error(err)
		}
	}
	f.running.Wait()
	if err := errors.Join(f.errs...); err != nil {
		tb.Error(err)
	}
}

func (h *sshHost) listen(tb testing.TB, address string) {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	h.key = signer(tb, key).PublicKey()
	h.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(offered.Marshal(), h.farm.authorized.Marshal()) {
			return nil, errors.New("not authorized")
		}
		return nil, nil
	}}
	h.config.AuthLogCallback = func(_ ssh.ConnMetadata, method string, err error) {
		if err == nil { // told before the client is, so a dial that is over is never counted beside its successor
			h.farm.count(func(c *counts) { c.dialling--; c.logins++ })
		}
	}
	h.config.AddHostKey(signer(tb, key))
	if h.listener, err = net.Listen("tcp", address); err != nil {
		tb.Fatal(err)
	}
}

func (h *sshHost) address() string { return h.listener.Addr().(*net.TCPAddr).IP.String() }

func (h *sshHost) accept() {
	for {
		c, err := h.listener.Accept()
		if err != nil {
			return // the farm is closed
		}
		h.farm.running.Go(func() {
			if err := h.serve(c); err != nil {
				h.farm.wrong(fmt.Errorf("%s: %w", h.name, err))
			}
		})
	}
}

// serve is one connection. The first logins wait until as many have come as may come at once: so the limit is reached,
// and a client without one goes beyond it meanwhile.
func (h *sshHost) serve(nc net.Conn) error {
	defer nc.Close()
	h.farm.count(func(c *counts) {
		c.connections++
		c.dialling++
		if c.connections == h.farm.together {
			h.farm.once.Do(func() { close(h.farm.full) })
		}
	})
	<-h.farm.full
	conn, chans, reqs, err := ssh.NewServerConn(nc, h.config)
	if err != nil {
		h.farm.count(func(c *counts) { c.dialling-- })
		return err
	}
	defer conn.Close()
	h.farm.running.Go(func() { ssh.DiscardRequests(reqs) })
	for nch := range chans {
		if nch.ChannelType() != "session" {
			return errors.Join(errors.New("asked for a channel of type "+nch.ChannelType()), nch.Reject(ssh.UnknownChannelType, ""))
		}
		h.farm.count(func(c *counts) { c.sessions++ })
		ch, reqs, err := nch.Accept()
		if err != nil {
			return err
		}
		h.farm.running.Go(func() { h.session(ch, reqs) })
	}
	return nil
}

// session runs the one command of a session.
func (h *sshHost) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		var cmd struct{ Command string }
		ok := r.Type == "exec" && ssh.Unmarshal(r.Payload, &cmd) == nil
		if err := r.Reply(ok, nil); err != nil || !ok {
			h.farm.wrong(fmt.Errorf("%s: request %s: %w", h.name, r.Type, err))
			return
		}
		h.farm.running.Go(func() {
			code := uint32(0)
			if err := h.start(cmd.Command, ch); err != nil {
				code = 1
				h.farm.wrong(fmt.Errorf("%s: %w", h.name, err))
			}
			// The connection may be gone, which the client knows best.
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
			_ = ch.Close()
		})
	}
}

var (
	nonceIn = regexp.MustCompile(`n=(\w+);`)
	agentIn = regexp.MustCompile(`x86_64\) h=(\w+); s=(\d+);`)
)

// start does what the script does: gets the agent if it is not there, checks it, becomes it.
func (h *sshHost) start(command string, ch ssh.Channel) error {
	nonce, agent := nonceIn.FindStringSubmatch(command), agentIn.FindStringSubmatch(command)
	if nonce == nil || agent == nil {
		return fmt.Errorf("this is not the script that starts an agent: %s", command)
	}
	in := bufio.NewReader(ch)
	if !h.cached {
		if err := h.upload(nonce[1], agent[1], agent[2], in, ch); err != nil {
			return err
		}
	}
	h.farm.count(func(c *counts) { c.agents++ })
	return server.Serve(context.Background(), server.Options{Registry: h.farm.registry, Nonce: nonce[1], SHA256: agent[1], Machine: h.machine}, in, ch)
}

func (h *sshHost) upload(nonce, sum, size string, in io.Reader, ch ssh.Channel) error {
	var n int64
	if _, err := fmt.Sscan(size, &n); err != nil {
		return err
	}
	if _, err := io.WriteString(ch, wire.Marker(nonce, "need", "x86_64")); err != nil {
		return err
	}
	zr, err := gzip.NewReader(io.LimitReader(in, n))
	if err != nil {
		return err
	}
	got := sha256.New()
	if _, err := io.Copy(got, zr); err != nil {
		return err
	}
	if hex.EncodeToString(got.Sum(nil)) != sum {
		return errors.New("the agent that came is not the one that was announced")
	}
	h.farm.count(func(c *counts) { c.uploads++ })
	h.cached = true
	return nil
}

// machine is the simulated host behind an agent.
func (h *sshHost) machine(_ context.Context, c server.Controller) (task.Host, *task.Facts, error) {
	return &host.View{Host: h.Host, Control: c, Source: c.Fetch}, h.Gather(), nil
}

// leap is a clock on which waiting takes no time.
type leap struct {
	mu  sync.Mutex
	now time.Time
}

func (l *leap) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *leap) Sleep(ctx context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(max(0, d))
	return context.Cause(ctx)
}
