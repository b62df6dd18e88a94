package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/kflow/kflow/engine/transport"
)

// sudo makes the agent root. It watches standard error of the session for sudo's prompt, a text of our own that nobody
// else prints, and then writes the password: so it is written only where sudo asks for it, it is in no command line, and
// a second prompt means that it was wrong.
type sudo struct {
	prompt   string
	password func(context.Context) (string, error) // nil: there is none
}

// prefix is the command line of sudo. -n: never ask.
func (s *sudo) prefix() string {
	if s.password == nil {
		return "sudo -n --"
	}
	return "sudo -S -p " + s.prompt + " --"
}

// newSudo returns nil where no sudo is needed.
func (d *Dialer) newSudo(s *settings, nonce string) *sudo {
	if !s.target.Become || s.user == "root" {
		return nil
	}
	su := &sudo{prompt: "@kflow:" + nonce + ":sudo:"}
	switch {
	case s.target.BecomePassword != "":
		su.password = func(context.Context) (string, error) { return s.target.BecomePassword, nil }
	case d.o.Ask != nil:
		su.password = func(ctx context.Context) (string, error) { return d.sudoPasswords.get(ctx, s.user) }
	}
	return su
}

// sudoPasswords are those people gave, by user: one user has one password on all hosts as a rule, and is asked once.
type sudoPasswords struct {
	ask func(context.Context, Question) (string, error)

	turn  chan struct{}
	known map[string]string
}

func newSudoPasswords(ask func(context.Context, Question) (string, error)) *sudoPasswords {
	return &sudoPasswords{ask: serialised(ask), turn: make(chan struct{}, 1), known: map[string]string{}}
}

func (p *sudoPasswords) get(ctx context.Context, user string) (string, error) {
	if err := take(ctx, p.turn); err != nil {
		return "", err
	}
	defer func() { <-p.turn }()
	if pass, ok := p.known[user]; ok {
		return pass, nil
	}
	pass, err := p.ask(ctx, Question{Prompt: "sudo password of " + user})
	if err == nil {
		p.known[user] = pass
	}
	return pass, err
}

// forget makes the next one ask again: the password was wrong.
func (p *sudoPasswords) forget(ctx context.Context, user string) {
	if take(ctx, p.turn) == nil {
		delete(p.known, user)
		<-p.turn
	}
}

// errors of sudo that have a remedy.
var errWrongPassword = errors.New("the sudo password is wrong")

// sudoError makes an *Unreachable of what sudo said; nil when it was not sudo.
func sudoError(s *settings, said string) *transport.Unreachable {
	u := &transport.Unreachable{Host: s.name, Stage: transport.Sudo, Err: fmt.Errorf("%s: %s", s.who(), lastLine(said))}
	switch {
	case strings.Contains(said, "a password is required"), strings.Contains(said, "no password was provided"),
		strings.Contains(said, "interactive authentication is required"):
		u.Hint = fmt.Sprintf("sudo asks %s for a password: say where kflow gets it (`become: {password_env: NAME}` in the inventory), or allow NOPASSWD in sudoers", s.user)
	case strings.Contains(said, "must have a tty"):
		u.Hint = "sudoers has `requiretty` there: add `Defaults:" + s.user + " !requiretty`"
	case strings.Contains(said, "not in the sudoers file"), strings.Contains(said, "is not allowed to execute"), strings.Contains(said, "may not run sudo"):
		u.Hint = fmt.Sprintf("%s may not become root there: add it to sudoers, or log in as another user", s.user)
	case strings.Contains(said, "sudo: not found"), strings.Contains(said, "sudo: command not found"), strings.Contains(said, "Unknown command: sudo"):
		u.Hint = "sudo is not installed there: log in as root and leave out `become`"
	case strings.Contains(said, "account validation failure"), strings.Contains(said, "password expired"), strings.Contains(said, "PAM"):
		u.Hint = fmt.Sprintf("the account of %s there needs care: log in once by hand", s.user)
	default:
		return nil
	}
	return u
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// stderrTail keeps the end of standard error, without prompts, and calls onPrompt at each prompt.
type stderrTail struct {
	prompt   []byte
	onPrompt func()

	mu  sync.Mutex
	buf []byte
}

var _ io.Writer = (*stderrTail)(nil)

const tailBytes = 8 << 10

func (t *stderrTail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.buf = append(t.buf, p...)
	prompts := 0
	for len(t.prompt) > 0 {
		i := bytes.Index(t.buf, t.prompt)
		if i < 0 {
			break
		}
		t.buf = append(t.buf[:i], t.buf[i+len(t.prompt):]...)
		prompts++
	}
	if len(t.buf) > tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	t.mu.Unlock()
	for range prompts {
		t.onPrompt()
	}
	return len(p), nil
}

func (t *stderrTail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
