package ssh

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kflow/kflow/engine/transport"
)

func TestSudo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.sudoPassword = "pass word"
		tg := target(s, l.key)
		tg.User, tg.Become = "ops", true

		d := l.dialer()
		_, err := d.Dial(t.Context(), tg)
		unreachable(t, err, transport.Sudo, "ops@web", "a password is required", "password_env")
		tg.BecomePassword = "wrong"
		_, err = d.Dial(t.Context(), tg)
		if u := unreachable(t, err, transport.Sudo, "sudo password is wrong"); u.Transient {
			t.Error("a wrong password is tried again: accounts get locked")
		}
		tg.BecomePassword = s.sudoPassword
		dial(t, d, tg).Close()
		s.cached = false // the agent is asked for after the password
		dial(t, d, tg).Close()
		if s.uploaded != 1 {
			t.Errorf("sent %d times", s.uploaded)
		}
		s.sudoPassword = "" // sudo does not ask: the password must not get into the protocol
		dial(t, d, tg).Close()
		l.end(d)
	})
}

func TestThePasswordIsInNoCommandLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.sudoPassword = "pass-word"
		s.onExec = func(command string) *int {
			if strings.Contains(command, "pass-word") {
				t.Errorf("%s", command)
			}
			return nil
		}
		tg := target(s, l.key)
		tg.User, tg.Become, tg.BecomePassword = "ops", true, "pass-word"
		d := l.dialer()
		defer l.end(d)
		dial(t, d, tg).Close()
	})
}

// One user has one password: it is asked for once, though many hosts want it at the same time.
func TestPeopleAreAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		key, pub := clientKey(t, l.dir, "opensesame")
		l.pub = pub
		var mu sync.Mutex
		var asked []string
		d := l.dialer(func(o *Options) {
			o.Ask = func(_ context.Context, q Question) (string, error) {
				time.Sleep(time.Minute) // people think; no clock of a handshake may run out meanwhile
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, q.Prompt)
				switch {
				case strings.HasPrefix(q.Prompt, "sudo"):
					return "sudopw", nil
				case q.Again:
					return "opensesame", nil
				}
				return "typo", nil
			}
		})
		defer l.end(d)
		var servers []*sshd
		for _, name := range []string{"a", "b", "c", "d"} {
			s := l.server(name)
			s.sudoPassword = "sudopw"
			servers = append(servers, s)
		}
		var wg sync.WaitGroup
		for _, s := range servers {
			tg := target(s, key)
			tg.User, tg.Become = "ops", true
			wg.Go(func() { dial(t, d, tg).Close() })
		}
		wg.Wait()
		if got := strings.Join(asked, "|"); got != "passphrase of "+key+"|passphrase of "+key+"|sudo password of ops" {
			t.Errorf("asked: %s", got)
		}
	})
}

func TestALockedKeyWithNobodyToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		key, pub := clientKey(t, l.dir, "opensesame")
		l.pub = pub
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		_, err := d.Dial(t.Context(), target(s, key))
		if err == nil || !strings.Contains(err.Error(), "nobody to ask for the passphrase of "+key) {
			t.Errorf("%v", err)
		}
	})
}

// Keys that the inventory names come first; IdentitiesOnly keeps the others back, and lets the agent sign for a key
// whose private part is nowhere else.
func TestKeysOfTheAgent(t *testing.T) {
	l := newLab(t)
	ring := agent.NewKeyring()
	socket := serveAgent(t, l, ring)
	add := func(comment string) (file string) {
		file, pub := clientKey(t, l.dir, "")
		pem, _ := os.ReadFile(file)
		raw, _ := gossh.ParseRawPrivateKey(pem)
		ring.Add(agent.AddedKey{PrivateKey: raw, Comment: comment})
		os.WriteFile(file+".pub", gossh.MarshalAuthorizedKey(pub), 0o600)
		return file
	}
	first, second := add("first"), add("second")
	os.Remove(second) // its .pub is left
	onDisk, _ := clientKey(t, l.dir, "")
	d := l.dialer(func(o *Options) { o.AgentSocket = socket })
	defer d.Close()
	for _, c := range []struct {
		keys []string
		only bool
		want string
	}{
		{nil, false, "ssh-agent: first|ssh-agent: second"},
		{[]string{onDisk}, false, onDisk + "|ssh-agent: first|ssh-agent: second"},
		{[]string{second, onDisk}, false, "ssh-agent: second|" + onDisk + "|ssh-agent: first"},
		{[]string{second}, true, "ssh-agent: second"},
		{[]string{first, onDisk}, true, "ssh-agent: first|" + onDisk},
	} {
		s, err := d.settings(transport.Target{Name: "web", Keys: c.keys, KeysOnly: c.only})
		if err != nil {
			t.Fatal(err)
		}
		offers, notes, done := d.keys.offers(s)
		done()
		var names []string
		for _, o := range offers {
			names = append(names, o.name)
		}
		if got := strings.Join(names, "|"); got != c.want || len(notes) > 0 {
			t.Errorf("keys %v, only %v: %s (%v)\nwant %s", c.keys, c.only, got, notes, c.want)
		}
	}
}

func TestPasswordLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.cfg.PublicKeyCallback = nil
		s.cfg.PasswordCallback = func(_ gossh.ConnMetadata, p []byte) (*gossh.Permissions, error) {
			if string(p) == "secret" {
				return nil, nil
			}
			return nil, errRefused
		}
		tg := target(s, l.key)
		d := l.dialer()
		defer l.end(d)
		tg.Password = "secret"
		dial(t, d, tg).Close()
		tg.Password = "wrong!!"
		_, err := d.Dial(t.Context(), tg)
		unreachable(t, err, transport.Auth, "a password")
	})
}

func TestAnAgentThatDoesNotAnswerIsPassedOverOnce(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k := newKeyring(Options{})
	for i, limit := range []time.Duration{2 * agentPatience, time.Second} {
		start := time.Now()
		offers, _, err := k.fromAgent(socket)
		if err == nil || !strings.Contains(err.Error(), "no answer within") || len(offers) > 0 || time.Since(start) > limit {
			t.Errorf("%d: %v, %v after %v", i, offers, err, time.Since(start))
		}
	}
}
