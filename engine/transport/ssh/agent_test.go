package ssh

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// serveAgent is an ssh-agent with the keys of a ring, until the test ends.
func serveAgent(t *testing.T, l *lab, ring agent.Agent) (socket string) {
	t.Helper()
	socket = filepath.Join(l.dir, "agent")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, c)
		}
	}()
	return socket
}

// confirming is an agent that asks a person before each signature: one at a time, as there is one token.
type confirming struct {
	agent.ExtendedAgent
	takes time.Duration
	mu    sync.Mutex
}

func (c *confirming) SignWithFlags(key gossh.PublicKey, data []byte, flags agent.SignatureFlags) (*gossh.Signature, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	<-time.After(c.takes)
	return c.ExtendedAgent.SignWithFlags(key, data, flags)
}

// Several hosts are dialled at once, and for each a person has to touch a token: one after the other, and no clock of a
// handshake runs out meanwhile.
func TestATokenIsTouchedForEachHost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	l := newLab(t)
	ring, ok := agent.NewKeyring().(agent.ExtendedAgent)
	pem, err := os.ReadFile(l.key)
	raw, err2 := gossh.ParseRawPrivateKey(pem)
	if err := errors.Join(err, err2); err != nil || !ok {
		t.Fatal(err)
	}
	if err := ring.Add(agent.AddedKey{PrivateKey: raw, Comment: "token"}); err != nil {
		t.Fatal(err)
	}
	slow := &confirming{ExtendedAgent: ring, takes: 600 * time.Millisecond}
	socket := serveAgent(t, l, slow)
	d := l.dialer(func(o *Options) { o.AgentSocket = socket })
	var servers []*sshd // all before the first dial: known_hosts is read once
	for _, name := range []string{"a", "b", "c", "d"} {
		servers = append(servers, l.server(name))
	}
	var wg sync.WaitGroup
	for _, s := range servers {
		tg := target(s, "")
		tg.Keys, tg.KeysOnly, tg.ConnectTimeout = nil, false, time.Second
		wg.Go(func() {
			c, err := d.Dial(t.Context(), tg)
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	wg.Wait()
}
