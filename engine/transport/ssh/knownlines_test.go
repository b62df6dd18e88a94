package ssh

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/skeema/knownhosts"

	"github.com/kflow/kflow/engine/transport"
)

// OpenSSH reads on behind a line it can't read, and so do we; people are told once.
func TestLinesOfKnownHostsThatCanNotBeRead(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		web, changed := l.server("web"), l.server("changed")
		other := l.server("other")
		lines := []string{"<<<<<<< HEAD", "old.example 1024 35 13579", knownhosts.Line([]string{"web"}, hostEd25519.PublicKey()), "host ssh-ed448 AAAA",
			knownhosts.Line([]string{"changed"}, otherKey.PublicKey())}
		if err := os.WriteFile(l.knownHosts(), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		var told []string
		d := l.dialer(func(o *Options) {
			o.AcceptNewHostKeys = true
			o.Notify = func(_, line string) { told = append(told, line) }
		})
		defer l.end(d)
		dial(t, d, target(web, l.key)).Close()
		_, err := d.Dial(t.Context(), target(changed, l.key))
		unreachable(t, err, transport.HostKey, "HAS CHANGED", l.knownHosts()+":5 has")
		dial(t, d, target(other, l.key)).Close() // its key is added, and all is read again
		dial(t, d, target(other, l.key)).Close()
		if len(told) != 4 || !strings.Contains(told[0], l.knownHosts()+":1 can't be read") || !strings.Contains(told[2], ":4 can't be read (") ||
			!strings.Contains(told[3], "new host key accepted") {
			t.Errorf("%q", told)
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "kflow-*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestAKeyThatMustNotBeTrustedAndCanNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		text, err := os.ReadFile(l.knownHosts())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(l.knownHosts(), append(text, "@revoked web ssh-ed25519 AAAA\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		d := l.dialer()
		defer l.end(d)
		_, err = d.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, transport.Config, ":2 says that a key must not be trusted")
		if err := os.WriteFile(l.knownHosts(), []byte(strings.Repeat("rubbish\n", maxBadLines+1)), 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := l.dialer()
		defer l.end(fresh)
		_, err = fresh.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, transport.Config, "too many lines can't be read")
	})
}
