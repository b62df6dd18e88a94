package ssh

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/skeema/knownhosts"
	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/transport"
)

func TestUnknownHostKeyIsRefusedThenAcceptedThenKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		os.Remove(l.knownHosts())
		d := l.dialer()
		_, err := d.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, transport.HostKey, "web", gossh.FingerprintSHA256(hostEd25519.PublicKey()), "--accept-new-host-keys")
		if _, err := os.Stat(l.knownHosts()); err == nil {
			t.Error("it was remembered nevertheless")
		}
		var told []string
		accepting := l.dialer(func(o *Options) {
			o.AcceptNewHostKeys = true
			o.Notify = func(host, line string) { told = append(told, host+": "+line) }
		})
		for _, d := range []*Dialer{accepting, accepting, l.dialer()} {
			c, err := d.Dial(t.Context(), target(s, l.key))
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			l.end(d)
		}
		if len(told) != 1 || !strings.Contains(told[0], "web: new host key accepted") {
			t.Errorf("%q", told)
		}
	})
}

func TestAChangedHostKeyIsAlwaysRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web", otherKey)
		os.WriteFile(l.knownHosts(), []byte("# first line\n"+knownhosts.Line([]string{"web"}, hostEd25519.PublicKey())+"\n"), 0o600)
		d := l.dialer(func(o *Options) { o.AcceptNewHostKeys = true })
		defer l.end(d)
		_, err := d.Dial(t.Context(), target(s, l.key))
		u := unreachable(t, err, transport.HostKey, "HAS CHANGED", gossh.FingerprintSHA256(hostEd25519.PublicKey()),
			gossh.FingerprintSHA256(otherKey.PublicKey()), l.knownHosts()+":2", "ssh-keygen -R web")
		if u.Transient || s.dials != 1 {
			t.Errorf("dialled %d times", s.dials)
		}
	})
}

// A server with keys of three types is asked for the type that known_hosts has.
func TestHostKeyTypeFollowsKnownHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, known := range []gossh.Signer{hostEd25519, hostECDSA, hostRSA} {
			l := newLab(t)
			s := l.server("web", hostECDSA, hostRSA, hostEd25519)
			os.Remove(l.knownHosts())
			l.know("web", known)
			d := l.dialer()
			c, err := d.Dial(t.Context(), target(s, l.key))
			if err != nil {
				t.Fatalf("%s: %v", known.PublicKey().Type(), err)
			}
			c.Close()
			l.end(d)
		}
		l := newLab(t)
		s := l.server("web", hostECDSA)
		os.Remove(l.knownHosts())
		l.know("web", hostRSA)
		d := l.dialer()
		defer l.end(d)
		_, err := d.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, transport.HostKey, "rsa-sha2-512", "ecdsa-sha2-nistp256", "ssh-keygen -R web")
	})
}

func TestPinnedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web", hostEd25519, hostECDSA, hostRSA)
		os.Remove(l.knownHosts())
		d := l.dialer(func(o *Options) { o.AcceptNewHostKeys = true })
		defer l.end(d)
		for _, key := range []gossh.Signer{hostEd25519, hostECDSA, hostRSA} {
			for _, pin := range []string{gossh.FingerprintSHA256(key.PublicKey()), string(gossh.MarshalAuthorizedKey(key.PublicKey()))} {
				tg := target(s, l.key)
				tg.Fingerprint = pin
				c, err := d.Dial(t.Context(), tg)
				if err != nil {
					t.Fatalf("%s: %v", pin, err)
				}
				c.Close()
			}
		}
		for _, pin := range []string{gossh.FingerprintSHA256(otherKey.PublicKey()), string(gossh.MarshalAuthorizedKey(otherKey.PublicKey()))} {
			tg := target(s, l.key)
			tg.Fingerprint = pin
			_, err := d.Dial(t.Context(), tg)
			unreachable(t, err, transport.HostKey, gossh.FingerprintSHA256(otherKey.PublicKey()), "inventory")
		}
	})
}
