package sealed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// load reads all identities, when the first sealed file is met. What is wrong with one is wrong for every file.
func (k *Keys) load(ctx context.Context) error {
	if !k.loaded {
		k.loaded, k.broken = true, k.loadAll(ctx)
	}
	return k.broken
}

func (k *Keys) loadAll(ctx context.Context) error {
	files := k.Files
	if path := k.variable(FileVar); path != "" {
		files = append(files[:len(files):len(files)], path)
	}
	for _, path := range files {
		if err := k.file(ctx, path); err != nil {
			return err
		}
	}
	if text := k.variable(IdentityVar); text != "" {
		for line := range strings.Lines(text) {
			k.secrets = append(k.secrets, strings.TrimSpace(line))
		}
		return k.take("$"+IdentityVar, []byte(text))
	}
	return nil
}

func (k *Keys) variable(name string) string {
	for _, kv := range k.Environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

func (k *Keys) file(ctx context.Context, path string) error {
	text, err := k.Read(path)
	var bad *fs.PathError
	if errors.As(err, &bad) {
		err = bad.Err
	}
	if err != nil {
		return &Error{Text: "can't read the identity " + path, Err: err, Way: "--identity and $" + FileVar + " take the file of an age or SSH key"}
	}
	switch {
	case Sealed(text):
		return k.protected(ctx, path, text)
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")):
		return k.ssh(ctx, path, text)
	}
	k.open(path)
	return k.take(path, text)
}

// open warns of a key that everybody on this machine can read. Keys that a CI system or a cluster has mounted are often
// like that, so that it is no reason to refuse them.
func (k *Keys) open(path string) {
	info, err := os.Stat(path)
	const others = 0o077
	if err != nil || info.Mode().Perm()&others == 0 || k.Warn == nil {
		return
	}
	k.Warn(path, fmt.Sprintf("others on this machine may read this key (mode %04o)", info.Mode().Perm()), "chmod 600 "+path)
}

// take reads identities in age's own form, a line each. What is wrong is said without the line: it may be a key.
func (k *Keys) take(source string, text []byte) error {
	scan := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, err := identity(line)
		if err != nil {
			return &Error{Text: fmt.Sprintf("%s, line %d: %v", source, n, err), Way: "age-keygen writes such files; an SSH private key will do as well"}
		}
		k.add(source, id)
	}
	if err := scan.Err(); err != nil {
		return &Error{Text: source + " is no file of age identities", Err: err}
	}
	if len(k.sources) == 0 || k.sources[len(k.sources)-1] != source {
		return &Error{Text: source + " holds no age identity", Way: "age-keygen writes one"}
	}
	return nil
}

func identity(line string) (age.Identity, error) {
	var id age.Identity
	var err error
	switch {
	case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
		id, err = age.ParseHybridIdentity(line)
	case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
		id, err = age.ParseX25519Identity(line)
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		return nil, errors.New("identities of age plugins can't be used here")
	case strings.HasPrefix(line, "age1"):
		return nil, errors.New("this is the public half of a key; the private one begins with AGE-SECRET-KEY-")
	default:
		return nil, errors.New("this is no age identity: they begin with AGE-SECRET-KEY-")
	}
	if err != nil {
		return nil, errors.New("this age identity is mistyped or cut off") // err may quote it
	}
	return id, nil
}

func (k *Keys) add(source string, id age.Identity) {
	k.known = append(k.known, id)
	if len(k.sources) == 0 || k.sources[len(k.sources)-1] != source {
		k.sources = append(k.sources, source)
	}
}

// protected takes the identities of a file that is itself encrypted with a passphrase.
func (k *Keys) protected(ctx context.Context, path string, text []byte) error {
	plain, err := decrypt(text, &passphrase{ctx: ctx, keys: k, name: path})
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return &Error{Text: "the identity " + path + " is encrypted with another key", Way: "an identity may be encrypted with a passphrase (age -p), not with a key"}
	}
	if err != nil {
		return k.explain(path, err)
	}
	return k.take(path, plain)
}

// ssh takes an SSH private key. The passphrase of an encrypted one is asked for when a file is for it.
func (k *Keys) ssh(ctx context.Context, path string, text []byte) error {
	id, err := agessh.ParseIdentity(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked) && locked.PublicKey != nil:
		ask := func() ([]byte, error) {
			pass, err := k.ask(ctx, "passphrase of "+path)
			return []byte(pass), err
		}
		id, err = agessh.NewEncryptedSSHIdentity(locked.PublicKey, text, ask)
	case errors.As(err, &locked):
		return &Error{Text: path + " is an encrypted SSH key of an old format", Way: "ssh-keygen -p -f " + path + " writes it in the present one"}
	default:
		k.open(path)
	}
	if err != nil {
		return &Error{Text: path + " is no SSH key that age can use", Err: err, Way: "age takes Ed25519 and RSA keys, or its own (age-keygen)"}
	}
	k.add(path, id)
	return nil
}

// maxAsk is how often a wrong passphrase may be given.
const maxAsk = 3

// ask asks for a passphrase.
func (k *Keys) ask(ctx context.Context, what string) (string, error) {
	if k.Ask == nil {
		return "", &Error{Text: "there is no terminal to ask for the " + what, Way: "start kflow at a terminal, or use an identity without a passphrase"}
	}
	pass, err := k.Ask(ctx, what)
	if err != nil {
		return "", &Error{Text: "the " + what + " was not given", Err: err}
	}
	k.secrets = append(k.secrets, pass)
	return pass, nil
}

// passphrase is the identity of files that are encrypted with one: it asks only when it meets such a file.
type passphrase struct {
	ctx  context.Context // age knows none
	keys *Keys
	name string
}

// Unwrap implements age.Identity.
func (p *passphrase) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, age.ErrIncorrectIdentity
	}
	for range maxAsk {
		text, err := p.keys.ask(p.ctx, "passphrase of "+p.name)
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		id, err := age.NewScryptIdentity(text)
		if err != nil {
			return nil, err
		}
		key, err := id.Unwrap(stanzas)
		if !errors.Is(err, age.ErrIncorrectIdentity) {
			return key, err
		}
	}
	return nil, &Error{Text: "the passphrase of " + p.name + " is wrong", Way: "nothing was touched; try again"}
}
