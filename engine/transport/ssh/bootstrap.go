package ssh

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/agent/client"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/transport"
)

// uploadPiece is how much of the agent is written between two looks at the clock, in bytes.
const uploadPiece = 64 << 10

// uploadPause is how long nothing may come of a host while the agent is on its way there. An sshd gives way for more after
// some 100 KB have arrived: this allows for links down to modems.
const uploadPause = time.Minute

const (
	maxMarkers = 600     // an agent that waits for others says so every second, for two minutes at most
	maxNoise   = 1 << 20 // bytes kept of what others print
)

// live is a host that is connected now: SSH, a session, an agent in it.
type live struct {
	link   *link
	agent  *client.Conn
	stderr *stderrTail
	stop   func()        // keepalive
	ended  chan struct{} // closed when the session has ended; exit is set then
	exit   error

	mu   sync.Mutex
	lost error // why we gave it up, if we did
}

// boot is the start of one agent.
type boot struct {
	d       *Dialer
	s       *settings
	nonce   string
	agents  map[string]binaries.Binary
	sudo    *sudo
	clock   *deadline
	heard   *heardConn
	sent    bool // the agent is on its way
	stdin   io.WriteCloser
	stdout  *bufio.Reader
	stderr  *stderrTail
	noise   strings.Builder // what others printed on standard output
	prompts int
	wrong   error // of sudo
}

// startAgent starts the agent over link and shakes hands with it.
func (d *Dialer) startAgent(ctx context.Context, s *settings, l *link) (*live, error) {
	b := &boot{d: d, s: s, nonce: rand.Text(), heard: l.heard}
	b.sudo = d.newSudo(s, b.nonce)
	b.clock = newDeadline(ctx, l.Client, s.timeout, &slowStart{s.timeout})
	lv, err := b.start(ctx, l)
	ended := b.clock.stop()
	if err == nil && ended == nil {
		lv.stop = keepAlive(l, d.o.KeepAlive, lv.giveUp)
		return lv, nil
	}
	l.Close()
	if lv != nil {
		<-lv.ended
	}
	if ended != nil && b.wrong == nil {
		err = ended
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, b.explain(err, lv) //nolint:contextcheck // to forget a password waits for nobody
}

// slowStart says that the host gave no sign of life while its agent should have started.
type slowStart struct{ after time.Duration }

func (e *slowStart) Error() string { return fmt.Sprintf("the agent did not start within %v", e.after) }

func (b *boot) start(ctx context.Context, l *link) (*live, error) {
	if err := b.loadAgents(); err != nil {
		return nil, err
	}
	sess, err := l.NewSession()
	if err != nil {
		return nil, fmt.Errorf("it refused a session: %w", err)
	}
	lv := &live{link: l, ended: make(chan struct{})}
	if err := b.pipes(ctx, sess); err != nil {
		return nil, err
	}
	lv.stderr = b.stderr
	if err := sess.Start(b.script(l).command(b.sudo)); err != nil {
		return nil, fmt.Errorf("it refused to run a command: %w", err)
	}
	go func() {
		lv.exit = sess.Wait()
		close(lv.ended)
	}()
	if err := b.untilReady(); err != nil {
		return lv, err
	}
	//nolint:contextcheck // the connection outlives its start
	lv.agent, err = client.New(b.stdout, b.stdin, client.Options{Version: b.d.o.Version, Controller: b.d.o.Controller,
		Contents: b.d.o.Contents, Linger: b.d.o.Linger})
	if err == nil {
		b.tellUnheld(lv.agent.Hello().Unheld)
	}
	return lv, err
}

// tellUnheld tells people that a host can't be kept from other runs.
func (b *boot) tellUnheld(why string) {
	if why != "" {
		b.d.o.Notify(b.s.name, client.Unheld(why))
	}
}

// loadAgents gets the agents that there are; that one is missing matters only on a host that needs it.
func (b *boot) loadAgents() error {
	b.agents = map[string]binaries.Binary{}
	var missing error
	for machine, arch := range machines() {
		bin, err := b.d.o.Agents(arch)
		if err != nil {
			missing = err
			continue
		}
		b.agents[machine] = bin
	}
	if len(b.agents) == 0 {
		return missing
	}
	return nil
}

func (b *boot) pipes(ctx context.Context, sess *gossh.Session) error {
	b.stderr = &stderrTail{onPrompt: func() { go b.answerPrompt(ctx, sess) }}
	if b.sudo != nil && b.sudo.password != nil {
		b.stderr.prompt = []byte(b.sudo.prompt)
	}
	sess.Stderr = b.stderr
	stdin, err := sess.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := sess.StdoutPipe()
	if err != nil {
		return err
	}
	b.stdin, b.stdout = stdin, bufio.NewReaderSize(stdout, 64<<10)
	return nil
}

func (b *boot) script(l *link) script {
	sc := script{nonce: b.nonce, agents: b.agents, dirs: rootDirs(), session: b.d.session(b.s.name)}
	if b.d.o.Claim != nil && !b.s.target.Shared {
		sc.claim = wire.Word(b.d.o.Claim.Clean())
	}
	if b.sudo == nil && b.s.user != "root" {
		sc.dirs = userDirs(b.s.user)
	}
	sc.addresses = append(sc.addresses, b.s.target.NodeIP, b.s.host)
	if ip, _, err := net.SplitHostPort(l.RemoteAddr().String()); err == nil {
		sc.addresses = append(sc.addresses, ip)
	}
	return sc
}

// answerPrompt writes the password once. A second prompt, or no password, ends the session.
func (b *boot) answerPrompt(ctx context.Context, sess *gossh.Session) {
	b.clock.pause()
	defer b.clock.resume()
	b.stderr.mu.Lock()
	b.prompts++
	again := b.prompts > 1
	b.stderr.mu.Unlock()
	pass, err := "", errWrongPassword
	if !again {
		pass, err = b.sudo.password(ctx)
	}
	if err == nil {
		_, _ = io.WriteString(b.stdin, pass+"\n") // that it failed shows in the session
		return
	}
	b.stderr.mu.Lock()
	b.wrong = err
	b.stderr.mu.Unlock()
	sess.Close()
}

// untilReady follows the markers of the script until the agent says that it is ready.
func (b *boot) untilReady() error {
	for range maxMarkers {
		words, noise, err := wire.ReadMarker(b.stdout, b.nonce)
		if b.noise.Len() < maxNoise {
			b.noise.WriteString(noise)
		}
		if err != nil {
			return err
		}
		if b.sent {
			b.sent = false
			b.heard.onRead.Store(nil)
			b.clock.limit(b.s.timeout)
		}
		b.clock.touch()
		switch {
		case len(words) == 0: // somebody plays with us
			return errors.New("it sent an empty marker")
		case words[0] == "ready":
			return nil
		case words[0] == "busy": // it waits for an agent before it to end
		case words[0] == "locked":
			return client.Locked(b.s.name, words)
		case words[0] == "need" && len(words) == 2:
			if err := b.upload(words[1]); err != nil {
				return err
			}
		default:
			return b.refused(words)
		}
	}
	return errors.New("it says again and again that it is busy")
}

func (b *boot) upload(machine string) error {
	bin, ok := b.agents[machine]
	if !ok {
		return fmt.Errorf("the host asked for an agent for %q", machine)
	}
	// What is written may be minutes away from arriving; that it does shows in what the other side sends now and then.
	b.clock.limit(max(b.s.timeout, uploadPause))
	touch := b.clock.touch
	b.heard.onRead.Store(&touch)
	b.sent = true
	for rest := bin.Data; len(rest) > 0; {
		n := min(uploadPiece, len(rest))
		if _, err := b.stdin.Write(rest[:n]); err != nil {
			return fmt.Errorf("while the agent was sent: %w", err)
		}
		b.clock.touch()
		rest = rest[n:]
	}
	return nil
}

// refusal is an answer of the script: no agent can be started.
type refusal struct{ text, hint string }

func (r *refusal) Error() string { return r.text }

func (b *boot) refused(words []string) error {
	arg := strings.Join(words[1:], " ")
	switch words[0] {
	case "arch":
		if arch, ok := machines()[arg]; ok {
			_, err := b.d.o.Agents(arch)
			return &refusal{text: fmt.Sprint(err), hint: "build kflow with its agents, or take a released one"}
		}
		return &refusal{text: "there is no agent for a machine of type " + arg, hint: "kflow has agents for " + strings.Join(binaries.Arches(), " and ")}
	case "missing":
		return &refusal{text: "the program " + arg + " is not there", hint: "kflow needs coreutils and gzip on the host to install its agent"}
	case "damaged":
		return &refusal{text: "the agent did not arrive as it was sent", hint: "is the disk full there?"}
	case "nodir":
		return &refusal{text: "there is no directory to keep it in", hint: "one of " + strings.Join(b.dirs(), ", ") +
			" must be writable by the user the agent runs as, and not mounted noexec"}
	}
	return &refusal{text: "it answered " + strings.Join(words, " ")}
}

func (b *boot) dirs() []string {
	if b.sudo == nil && b.s.user != "root" {
		return userDirs(b.s.user)
	}
	return rootDirs()
}

// explain makes an *Unreachable of a start that failed, with what the host said.
func (b *boot) explain(err error, lv *live) error {
	if locked, ok := transport.AsUnreachable(err); ok {
		return locked
	}
	u := &transport.Unreachable{Host: b.s.name, Stage: transport.Agent, Err: err, Silent: errors.As(err, new(*slowStart))}
	var r *refusal
	var missing *binaries.MissingError
	switch {
	case errors.As(err, &r):
		u.Hint = r.hint
		u.Err = withSaid(err, b.said())
		return u
	case errors.As(err, &missing):
		return u
	case lv == nil:
		u.Hint = "does it allow sessions (MaxSessions, ForceCommand of sshd)?"
		return u
	}
	if b.sudo != nil {
		if su := b.sudoFailed(); su != nil {
			return su
		}
	}
	var exit *gossh.ExitError
	if errors.As(lv.exit, &exit) {
		u.Err = fmt.Errorf("the command that starts it ended with exit code %d", exit.ExitStatus())
		if exit.ExitStatus() == 126 {
			u.Hint = "is the directory of the agent mounted noexec? One of " + strings.Join(b.dirs(), ", ") + " must not be"
		}
	} else if errors.Is(err, io.EOF) && lv.exit != nil {
		u.Err, u.Transient = fmt.Errorf("the connection ended: %w", lv.exit), true
	}
	u.Err = withSaid(u.Err, b.said())
	if u.Hint == "" && !u.Transient {
		u.Hint = fmt.Sprintf("does `ssh %s true` come back at once and print nothing? What the shell there runs at a login (.bashrc, .profile) may be in the way", b.s.who())
	}
	return u
}

func (b *boot) sudoFailed() *transport.Unreachable {
	b.stderr.mu.Lock()
	wrong := b.wrong
	b.stderr.mu.Unlock()
	if wrong == nil {
		return sudoError(b.s, b.said())
	}
	u := &transport.Unreachable{Host: b.s.name, Stage: transport.Sudo, Err: fmt.Errorf("%s: %w", b.s.who(), wrong)}
	if errors.Is(wrong, errWrongPassword) {
		b.d.sudoPasswords.forget(context.Background(), b.s.user)
		u.Hint = "correct the password that `become` in the inventory names; it is not tried again, since sudo may lock the account"
	}
	return u
}

// said is what came from the host besides the protocol: standard error, else standard output.
func (b *boot) said() string {
	if b.stderr != nil && b.stderr.String() != "" {
		return b.stderr.String()
	}
	return strings.TrimSpace(b.noise.String())
}

func withSaid(err error, said string) error {
	if said == "" {
		return err
	}
	if len(said) > 1000 {
		said = ".." + said[len(said)-1000:]
	}
	return fmt.Errorf("%w; the host said: %s", err, said)
}
