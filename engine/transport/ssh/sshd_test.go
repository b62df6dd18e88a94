package ssh

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/host"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// sshd is an SSH server in memory, whose sessions start an agent, and which does what servers do to their clients.
type sshd struct {
	name string
	cfg  *gossh.ServerConfig
	reg  *task.Registry
	net  *network // to forward into, as a jump host

	mu       sync.Mutex
	boot     string
	cached   bool // the agent is on the host
	conns    []*memConn
	dials    int
	now, max int // connections before login: at the moment, most ever
	sessions int
	logins   []string // users that tried
	uploaded int

	// faults
	onDial       func(n int) error         // n counts from 1; errDrop, errSilent or nil
	onExec       func(command string) *int // exit code instead of an agent
	shell        string                    // what the login shell prints
	sudoPassword string                    // sudo asks for it
	slowLogin    time.Duration             // of each handshake
	noSessions   bool
	onUpload     func()                                     // the agent is about to be sent
	deaf         bool                                       // answers no question about the connection
	rate         int                                        // of the link to it, bytes a second; 0 = as fast as it goes
	locked       func() *wire.Held                          // another run works on the host; nil, or one that returns nil: none does
	exec         func(command string, ch gossh.Channel) int // instead of the fake script
}

var (
	errDrop   = errors.New("drop")   // close at once, as MaxStartups does
	errSilent = errors.New("silent") // accept and say nothing
)

// keys of tests; RSA is slow to make, so once.
var (
	hostEd25519 = mustSigner(func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err })
	hostECDSA   = mustSigner(func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	hostRSA     = mustSigner(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	otherKey    = mustSigner(func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err })
)

func mustSigner(gen func() (crypto.Signer, error)) gossh.Signer {
	k, err := gen()
	if err != nil {
		panic(err)
	}
	s, err := gossh.NewSignerFromKey(k)
	if err != nil {
		panic(err)
	}
	return s
}

// clientKey writes a new private key into dir, encrypted when there is a passphrase.
func clientKey(t *testing.T, dir, passphrase string) (path string, public gossh.PublicKey) {
	t.Helper()
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = gossh.MarshalPrivateKey(key, "test")
	} else {
		block, err = gossh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "id_"+rand.Text()[:6])
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	public, _ = gossh.NewPublicKey(pub)
	return path, public
}

func newSSHD(name string, authorized gossh.PublicKey, keys ...gossh.Signer) *sshd {
	s := &sshd{name: name, boot: "boot-1", cached: true, reg: task.NewRegistry(kinds()...)}
	s.cfg = &gossh.ServerConfig{MaxAuthTries: 6, PublicKeyCallback: func(c gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
		s.mu.Lock()
		s.logins = append(s.logins, c.User())
		s.mu.Unlock()
		if authorized != nil && bytes.Equal(key.Marshal(), authorized.Marshal()) {
			return nil, nil
		}
		return nil, errors.New("not authorized")
	}}
	if len(keys) == 0 {
		keys = []gossh.Signer{hostEd25519}
	}
	for _, k := range keys {
		s.cfg.AddHostKey(k)
	}
	return s
}

func (s *sshd) connect() (net.Conn, error) {
	s.mu.Lock()
	s.dials++
	var fault error
	if s.onDial != nil {
		fault = s.onDial(s.dials)
	}
	if fault != nil && fault != errDrop && fault != errSilent {
		s.mu.Unlock()
		return nil, fault
	}
	c, srv := memPipe(s.name)
	c.out.rate = s.rate
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	switch fault {
	case errDrop:
		srv.Close()
	case nil:
		go s.serve(srv)
	}
	return c, nil
}

// drop ends all connections, as a machine does that loses power.
func (s *sshd) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *sshd) serve(nc *memConn) {
	defer nc.Close()
	s.count(1)
	time.Sleep(s.slowLogin)
	conn, chans, reqs, err := gossh.NewServerConn(nc, s.cfg)
	s.count(-1)
	if err != nil {
		return
	}
	defer conn.Close()
	if s.deaf {
		go drain(reqs)
	} else {
		go gossh.DiscardRequests(reqs)
	}
	for nch := range chans {
		switch nch.ChannelType() {
		case "session":
			s.session(nch)
		case "direct-tcpip":
			s.forward(nch)
		default:
			nch.Reject(gossh.UnknownChannelType, "")
		}
	}
}

func drain(reqs <-chan *gossh.Request) {
	for range reqs { // they wait for ever
	}
}

func (s *sshd) count(d int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += d
	s.max = max(s.max, s.now)
}

func (s *sshd) forward(nch gossh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}
	if err := gossh.Unmarshal(nch.ExtraData(), &to); err != nil || s.net == nil {
		nch.Reject(gossh.Prohibited, "no forwarding")
		return
	}
	out, err := s.net.dial(context.Background(), "tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		nch.Reject(gossh.ConnectionFailed, err.Error())
		return
	}
	ch, reqs, err := nch.Accept()
	if err != nil {
		return
	}
	go gossh.DiscardRequests(reqs)
	go func() { io.Copy(ch, out); ch.Close() }()
	go func() { io.Copy(out, ch); out.Close() }()
}

func (s *sshd) session(nch gossh.NewChannel) {
	s.mu.Lock()
	s.sessions++
	s.mu.Unlock()
	if s.noSessions {
		nch.Reject(gossh.ResourceShortage, "open failed")
		return
	}
	ch, reqs, err := nch.Accept()
	if err != nil {
		return
	}
	go func() {
		for r := range reqs {
			if r.Type != "exec" {
				r.Reply(false, nil)
				continue
			}
			var cmd struct{ Command string }
			gossh.Unmarshal(r.Payload, &cmd)
			r.Reply(true, nil)
			go func() {
				run := s.exec
				if run == nil {
					run = s.script
				}
				code := run(cmd.Command, ch)
				ch.SendRequest("exit-status", false, gossh.Marshal(struct{ Code uint32 }{uint32(code)}))
				ch.Close()
			}()
		}
	}()
}

var (
	nonceIn = regexp.MustCompile(`n=(\w+);`)
	sizeIn  = regexp.MustCompile(`x86_64\) h=(\w+); s=(\d+);`)
	askIn   = regexp.MustCompile(`sudo -S -p (\S+) --`)
)

// script does what the script of the dialer does on a real host; the real one is run in script_test.go.
func (s *sshd) script(command string, ch gossh.Channel) int {
	in := bufio.NewReader(ch)
	io.WriteString(ch, s.shell)
	if s.onExec != nil {
		if code := s.onExec(command); code != nil {
			io.WriteString(ch.Stderr(), "it went wrong\n")
			return *code
		}
	}
	nonce := nonceIn.FindStringSubmatch(command)[1]
	if s.sudoPassword != "" && strings.Contains(command, "sudo") && !s.sudo(command, in, ch) {
		return 1
	}
	if !s.cached {
		if !s.upload(command, nonce, in, ch) {
			return 4
		}
	}
	if s.locked != nil && strings.Contains(command, " --claim ") {
		if held := s.locked(); held != nil {
			io.WriteString(ch, wire.Marker(nonce, "locked", wire.Word(held)))
			return 1
		}
	}
	s.agent(nonce, in, ch)
	return 0
}

func (s *sshd) sudo(command string, in *bufio.Reader, ch gossh.Channel) bool {
	ask := askIn.FindStringSubmatch(command)
	if ask == nil {
		io.WriteString(ch.Stderr(), "sudo: a password is required\n")
		return false
	}
	for range 3 {
		io.WriteString(ch.Stderr(), ask[1])
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.TrimSpace(line) == s.sudoPassword {
			return true
		}
		io.WriteString(ch.Stderr(), "Sorry, try again.\n")
	}
	return false
}

func (s *sshd) upload(command, nonce string, in *bufio.Reader, ch gossh.Channel) bool {
	want := sizeIn.FindStringSubmatch(command)
	io.WriteString(ch, wire.Marker(nonce, "need", "x86_64"))
	if s.onUpload != nil {
		synctest.Wait()
		s.onUpload()
	}
	var size int64
	fmt.Sscan(want[2], &size)
	zr, err := gzip.NewReader(io.LimitReader(in, size))
	if err != nil {
		return false
	}
	program, err := io.ReadAll(zr)
	if b, _ := binaries.Pack(program); err != nil || b.SHA256 != want[1] {
		io.WriteString(ch, wire.Marker(nonce, "damaged"))
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploaded++
	s.cached = true
	return true
}

// agent is one whose machine has the boot id the test wants.
func (s *sshd) agent(nonce string, in io.Reader, ch gossh.Channel) {
	s.mu.Lock()
	facts := &task.Facts{Hostname: s.name, BootID: s.boot, Kernel: "test"}
	s.mu.Unlock()
	io.WriteString(ch, wire.Marker(nonce, "ready"))
	m := host.New(host.Options{Facts: facts})
	p := wire.NewPeer(wire.NewReader(in), ch, func(ctx context.Context, r *wire.Request) (any, []byte, error) {
		var body wire.Run
		if err := r.Decode(&body); err != nil {
			return nil, nil, err
		}
		return converge.Run(ctx, s.reg, m, body.Request, func(p job.Progress) { _ = r.Progress(p) }), nil, nil
	})
	if p.SendHello(wire.Hello{Protocol: wire.Protocol, Facts: facts}) == nil {
		p.Serve(context.Background())
	}
	p.Wait()
}

// target reaches a server as user root.
func target(s *sshd, key string) transport.Target {
	return transport.Target{Name: s.name, Address: s.name, User: "root", Keys: []string{key}, KeysOnly: true}
}
