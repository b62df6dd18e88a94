package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// kinds of the test agents: `do` runs a function of the test by name.
func kinds() []task.Kind {
	return []task.Kind{{Name: "do", New: func() task.Task { return &do{} }}, {Name: "reboot", New: func() task.Task { return &reboot{} }}}
}

type do struct {
	What string `json:"what"`
}

func (d *do) Action() bool { return true }

func (d *do) Changes(context.Context, task.Host) ([]task.Change, error) {
	if d.What == "nothing" {
		return nil, nil
	}
	return []task.Change{{Summary: d.What, Apply: func(ctx context.Context, h task.Host) error {
		if d.What == "wait" {
			h.Log("waiting")
			return h.Sleep(ctx, time.Hour)
		}
		for range 10 {
			if d.What != "talk" {
				break
			}
			h.Log("talking")
			if err := h.Sleep(ctx, 40*time.Second); err != nil {
				return err
			}
		}
		return nil
	}}}, nil
}

type reboot struct{ do }

func (*reboot) RebootTimeout() time.Duration { return 2 * time.Minute }

func request(kind, what string) *job.Request {
	return &job.Request{Kind: kind, Mode: job.Apply, Items: []json.RawMessage{json.RawMessage(`{"what":"` + what + `"}`)}}
}

// lab is a network of test servers and a dialer for it.
type lab struct {
	t   *testing.T
	dir string
	net *network
	key string
	pub gossh.PublicKey
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, dir: t.TempDir(), net: newNetwork()}
	l.key, l.pub = clientKey(t, l.dir, "")
	return l
}

// server adds a server that known_hosts knows by its keys; with none by its Ed25519 key.
func (l *lab) server(name string, keys ...gossh.Signer) *sshd {
	s := newSSHD(name, l.pub, keys...)
	s.net = l.net
	l.net.servers[net.JoinHostPort(name, "22")] = s
	if len(keys) == 0 {
		keys = []gossh.Signer{hostEd25519}
	}
	for _, k := range keys {
		l.know(name, k)
	}
	return s
}

func (l *lab) knownHosts() string { return filepath.Join(l.dir, ".ssh", "known_hosts") }

func (l *lab) know(name string, key gossh.Signer) {
	l.t.Helper()
	if err := remember(l.knownHosts(), net.JoinHostPort(name, "22"), key.PublicKey()); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) dialer(change ...func(*Options)) *Dialer {
	o := Options{Home: l.dir, ConfigFiles: []string{}, AgentSocket: "none", NetDial: l.net.dial,
		Agents: func(arch string) (binaries.Binary, error) { return binaries.Pack([]byte("agent for " + arch)) }}
	for _, c := range change {
		c(&o)
	}
	return New(o)
}

// ends makes sure that nothing of a dialer is left: the bubble of synctest waits for all goroutines.
func (l *lab) end(d *Dialer) {
	d.Close()
	synctest.Wait()
	d.hops.mu.Lock()
	defer d.hops.mu.Unlock()
	if len(d.hops.all) > 0 {
		l.t.Errorf("jump hosts are still connected: %v", d.hops.all)
	}
	for name, s := range l.net.servers {
		s.drop()
		if s.now != 0 {
			l.t.Errorf("%s: %d logins under way", name, s.now)
		}
	}
}

func unreachable(t *testing.T, err error, stage transport.Stage, texts ...string) *transport.Unreachable {
	t.Helper()
	u, ok := transport.AsUnreachable(err)
	if !ok || u.Stage != stage {
		t.Fatalf("got %v, want an error of stage %q", err, stage)
	}
	for _, text := range texts {
		if !strings.Contains(u.Error()+"\n"+u.Hint, text) {
			t.Errorf("%q is missing in:\n%v\n%s", text, u, u.Hint)
		}
	}
	return u
}

func TestDialAndDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c, err := d.Dial(t.Context(), target(s, l.key))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.Facts().Hostname != "web" {
			t.Errorf("%+v", c.Facts())
		}
		out, err := c.Do(t.Context(), request("do", "something"), nil)
		if err != nil || out.Failure != nil || !out.Applied || s.sessions != 1 || s.uploaded != 0 {
			t.Errorf("%+v, %v, %d sessions", out, err, s.sessions)
		}
	})
}

// An agent is megabytes: connections to a thousand hosts must not hold a thousand copies.
func TestAllConnectionsShareTheAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		asked := map[string]int{}
		d := l.dialer(func(o *Options) {
			get := o.Agents
			o.Agents = func(arch string) (binaries.Binary, error) { asked[arch]++; return get(arch) }
		})
		defer l.end(d)
		for _, s := range []*sshd{l.server("one"), l.server("two"), l.server("three")} {
			c, err := d.Dial(t.Context(), target(s, l.key))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		if len(asked) != 2 || asked["amd64"] != 1 || asked["arm64"] != 1 {
			t.Errorf("agents were made %v times", asked)
		}
	})
}

// Login shells print what they like, on standard output too, and not always whole lines.
func TestNoiseOfLoginShells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.cached = false
		d := l.dialer()
		defer l.end(d)
		for _, s.shell = range []string{"Welcome!\n", "no line end", strings.Repeat("x", 100<<10), "@kflow:fake ready\n"} {
			c, err := d.Dial(t.Context(), target(s, l.key))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Do(t.Context(), request("do", "x"), nil); err != nil {
				t.Error(err)
			}
			c.Close()
		}
		if s.uploaded != 1 {
			t.Errorf("the agent was sent %d times", s.uploaded)
		}
	})
}

func TestARefusedLoginIsNotTriedAgainAndNamesTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		wrong, _ := clientKey(t, l.dir, "")
		d := l.dialer()
		defer l.end(d)
		_, err := d.Dial(t.Context(), target(s, wrong))
		if u := unreachable(t, err, transport.Auth, "root@web", wrong, "authorized_keys"); u.Transient || s.dials != 1 {
			t.Errorf("dialled %d times", s.dials)
		}
		tg := target(s, filepath.Join(l.dir, "nothing"))
		_, err = d.Dial(t.Context(), tg)
		unreachable(t, err, transport.Auth, "no key was offered", "no such file")
		tg.Keys = nil
		for range 7 {
			k, _ := clientKey(t, l.dir, "")
			tg.Keys = append(tg.Keys, k)
		}
		_, err = d.Dial(t.Context(), tg)
		unreachable(t, err, transport.Auth, "too many keys", "keys_only")
	})
}

func TestAHandshakeThatHangsEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.onDial = func(int) error { return errSilent }
		d := l.dialer()
		defer l.end(d)
		tg := target(s, l.key)
		tg.ConnectTimeout = 7 * time.Second
		start := time.Now()
		_, err := d.Dial(t.Context(), tg)
		unreachable(t, err, transport.Handshake, "no answer within 7s")
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("it took %v", took)
		}
		cause := errors.New("Ctrl-C")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if _, err := d.Dial(ctx, tg); err != cause {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// The story of MaxStartups: an sshd drops connections while many others log in.
func TestDroppedConnectionsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		faults := []error{errDrop, syscall.ECONNRESET, errDrop}
		s.onDial = func(n int) error {
			if n <= len(faults) {
				return faults[n-1]
			}
			return nil
		}
		c, err := d.Dial(t.Context(), target(s, l.key))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.dials = 0
		s.onDial = func(int) error { return errDrop }
		_, err = d.Dial(t.Context(), target(s, l.key))
		if u := unreachable(t, err, transport.Handshake, "MaxStartups"); !u.Transient || s.dials != maxAttempts {
			t.Errorf("transient %v after %d dials", u.Transient, s.dials)
		}
		s.dials = 0
		s.onDial = func(int) error {
			return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		_, err = d.Dial(t.Context(), target(s, l.key))
		if u := unreachable(t, err, transport.Dial, "nothing listens on port 22"); u.Transient || s.dials != 1 {
			t.Errorf("refused: %d dials", s.dials)
		}
	})
}

// A neighbour that has come back: its hardware address was searched for while it was away, and that search has just failed.
func TestAHostWithoutARouteIsTriedOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		away := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
		s.onDial = func(n int) error {
			if n == 1 {
				return away
			}
			return nil
		}
		c, err := d.Dial(t.Context(), target(s, l.key))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.dials = 0
		s.onDial = func(int) error { return away }
		_, err = d.Dial(t.Context(), target(s, l.key))
		if unreachable(t, err, transport.Dial, "is the machine up"); s.dials != 2 {
			t.Errorf("%d dials", s.dials)
		}
	})
}

func TestDialsToOneAddressAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.slowLogin = time.Second
		d := l.dialer()
		defer l.end(d)
		start := time.Now()
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				c, err := d.Dial(t.Context(), target(s, l.key))
				if err != nil {
					t.Error(err)
					return
				}
				c.Close()
			})
		}
		wg.Wait()
		// The server may count one as under way that the client has finished with already.
		if s.max < 8 || s.max > 11 || time.Since(start) < 3*time.Second {
			t.Errorf("%d at once, %v", s.max, time.Since(start))
		}
	})
}

func TestAHostThatRefusesSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.noSessions = true
		d := l.dialer()
		defer l.end(d)
		_, err := d.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, transport.Agent, "refused a session", "MaxSessions")
		s.noSessions = false
		for code, text := range map[int]string{126: "noexec", 1: "exit code 1"} {
			s.onExec = func(string) *int { return &code }
			_, err = d.Dial(t.Context(), target(s, l.key))
			unreachable(t, err, transport.Agent, text, "it went wrong")
		}
		s.onExec = nil
		s.exec = func(_ string, ch gossh.Channel) int {
			fmt.Fprint(ch, "This account is currently not available.\n")
			return 1
		}
		_, err = d.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, transport.Agent, "not available")
	})
}

func TestAnAgentThatDoesNotStartInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.exec = func(_ string, ch gossh.Channel) int {
			buf := make([]byte, 1)
			ch.Read(buf) // until the connection ends
			return 1
		}
		d := l.dialer()
		defer l.end(d)
		_, err := d.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, transport.Agent, "did not start within 15s")
		if u, _ := transport.AsUnreachable(err); !u.NoAnswer() {
			t.Error("a shell that hangs is no answer")
		}
	})
}
