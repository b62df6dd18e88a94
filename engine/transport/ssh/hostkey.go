package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	gossh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/kflow/kflow/engine/transport"
)

// knownHosts holds what known_hosts files say; they are read once, and again after a key was added.
type knownHosts struct {
	accept bool
	notify func(host, line string)

	mu     sync.Mutex
	dbs    map[string]*knownhosts.HostKeyDB // by the list of files
	copies map[string]string                // names of files without the lines that can't be read -> the files
	told   map[string]bool                  // of which lines people know
}

func newKnownHosts(o Options) *knownHosts {
	return &knownHosts{accept: o.AcceptNewHostKeys, notify: o.Notify, dbs: map[string]*knownhosts.HostKeyDB{},
		copies: map[string]string{}, told: map[string]bool{}}
}

func (k *knownHosts) db(s *settings) (*knownhosts.HostKeyDB, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dbLocked(s)
}

func (k *knownHosts) dbLocked(s *settings) (*knownhosts.HostKeyDB, error) {
	files := s.knownHosts
	id := strings.Join(files, "\x00")
	if db := k.dbs[id]; db != nil {
		return db, nil
	}
	var there []string
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			there = append(there, f)
		}
	}
	db, err := k.read(s, there)
	if err != nil {
		return nil, fmt.Errorf("known_hosts: %w", err)
	}
	k.dbs[id] = db
	return db, nil
}

// algorithms are the host key algorithms to ask for: those of the keys that are known, since a key of another type could
// not be checked; for an unknown host all, in OpenSSH's order.
func (k *knownHosts) algorithms(s *settings) ([]string, error) {
	if s.target.Fingerprint != "" {
		if key, ok := pinnedKey(s.target.Fingerprint); ok {
			return algorithmsOf(key.Type()), nil
		}
		return preferred(), nil
	}
	db, err := k.db(s)
	if err != nil {
		return nil, err
	}
	for _, name := range s.aliases {
		if algos := db.HostKeyAlgorithms(name); len(algos) > 0 {
			return algos, nil
		}
	}
	return preferred(), nil
}

func preferred() []string {
	first := []string{gossh.KeyAlgoED25519, gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521, gossh.KeyAlgoRSASHA512,
		gossh.KeyAlgoRSASHA256}
	for _, a := range gossh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(first, a) && !strings.Contains(a, "-cert-") {
			first = append(first, a)
		}
	}
	return first
}

func algorithmsOf(keyType string) []string {
	if keyType == gossh.KeyAlgoRSA {
		return []string{gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// pinnedKey reads a pin that is a whole public key.
func pinnedKey(pin string) (gossh.PublicKey, bool) {
	key, _, _, _, err := gossh.ParseAuthorizedKey([]byte(pin))
	return key, err == nil
}

// hostKeyError is why a key was refused: an *Unreachable says it to people.
type hostKeyError struct {
	text, hint string
	pinned     bool // it differs from the pin: another key of the host may match
}

func (e *hostKeyError) Error() string { return e.text }

func (e *hostKeyError) unreachable(s *settings) *transport.Unreachable {
	return &transport.Unreachable{Host: s.name, Stage: transport.HostKey, Err: e, Hint: e.hint}
}

// check decides on the key a host has shown.
func (k *knownHosts) check(s *settings, key gossh.PublicKey) error {
	if pin := s.target.Fingerprint; pin != "" {
		return checkPin(pin, key)
	}
	db, err := k.db(s)
	if err != nil {
		return err
	}
	check := db.HostKeyCallback()
	for _, name := range s.aliases {
		err = check(name, &net.TCPAddr{}, key)
		if !knownhosts.IsHostUnknown(err) {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case knownhosts.IsHostKeyChanged(err):
		return k.changed(s, err, key)
	case knownhosts.IsHostUnknown(err):
		return k.unknown(s, key)
	}
	var revoked *xknownhosts.RevokedError
	if errors.As(err, &revoked) {
		return &hostKeyError{text: fmt.Sprintf("its key %s is marked @revoked at %s:%d", describe(key), k.original(revoked.Revoked.Filename), revoked.Revoked.Line),
			hint: "the key may be in wrong hands: give the host a new one"}
	}
	return err
}

func describe(key gossh.PublicKey) string { return key.Type() + " " + gossh.FingerprintSHA256(key) }

func checkPin(pin string, key gossh.PublicKey) error {
	if want, ok := pinnedKey(pin); ok {
		if bytes.Equal(want.Marshal(), key.Marshal()) {
			return nil
		}
		pin = describe(want)
	} else if gossh.FingerprintSHA256(key) == pin {
		return nil
	}
	return &hostKeyError{text: fmt.Sprintf("it showed the key %s, the inventory has %s", describe(key), pin), pinned: true,
		hint: "if the host was installed anew, compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console and " +
			"correct the inventory; otherwise another machine answers at its address"}
}

func (k *knownHosts) changed(s *settings, err error, key gossh.PublicKey) error {
	var ke *xknownhosts.KeyError
	if !errors.As(err, &ke) || len(ke.Want) == 0 {
		return err
	}
	old := ke.Want[0]
	for _, w := range ke.Want {
		if w.Key.Type() == key.Type() {
			old = w
		}
	}
	old.Filename = k.original(old.Filename)
	name := xknownhosts.Normalize(s.aliases[0])
	return &hostKeyError{
		text: fmt.Sprintf("THE HOST KEY HAS CHANGED: it showed %s, %s:%d has %s", describe(key), old.Filename, old.Line, describe(old.Key)),
		hint: fmt.Sprintf("if the host was installed anew, compare the new fingerprint on its console, then run "+
			"`ssh-keygen -R %s -f %s`; otherwise another machine answers at its address: do not go on", quoteBrackets(name), old.Filename),
	}
}

// quoteBrackets puts [host]:port into quotes, since shells take brackets for patterns.
func quoteBrackets(name string) string {
	if strings.ContainsAny(name, "[]") {
		return "'" + name + "'"
	}
	return name
}

// unknown accepts a key that is met for the first time, where that is allowed.
func (k *knownHosts) unknown(s *settings, key gossh.PublicKey) error {
	if !k.accept {
		return &hostKeyError{
			text: fmt.Sprintf("its key is not known: %s", describe(key)),
			hint: fmt.Sprintf("compare with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host, then use --accept-new-host-keys, "+
				"or `ssh %s` once, or pin the fingerprint in the inventory", keyName(key), s.who()),
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	db, err := k.dbLocked(s)
	if err == nil && db.HostKeyCallback()(s.aliases[0], &net.TCPAddr{}, key) == nil {
		return nil // another dial was first
	}
	if err := remember(s.knownHosts[0], s.aliases[0], key); err != nil {
		return fmt.Errorf("its new key cannot be remembered: %w", err)
	}
	clear(k.dbs)
	k.notify(s.name, fmt.Sprintf("new host key accepted, and remembered in %s: %s", s.knownHosts[0], describe(key)))
	return nil
}

func keyName(key gossh.PublicKey) string {
	switch t := key.Type(); {
	case t == gossh.KeyAlgoRSA:
		return "rsa"
	case strings.HasPrefix(t, "ecdsa"):
		return "ecdsa"
	}
	return "ed25519"
}

// remember adds a line to a known_hosts file.
func remember(file, name string, key gossh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	line := knownhosts.Line([]string{name}, key) + "\n"
	if old, err := os.ReadFile(file); err == nil && len(old) > 0 && old[len(old)-1] != '\n' {
		line = "\n" + line
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
