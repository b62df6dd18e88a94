package sealed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"
)

const plain = "password: correct horse\n"

// box is a folder of identities and what was encrypted for them.
type box struct {
	t     *testing.T
	files map[string]string
}

func newBox(t *testing.T) *box { return &box{t, map[string]string{}} }

func (b *box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) seal(text string, armoured bool, to ...age.Recipient) []byte {
	b.t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = nopCloser{&out}
	if armoured {
		w = armor.NewWriter(&out)
	}
	in, err := age.Encrypt(w, to...)
	b.must(err)
	_, err = io.WriteString(in, text)
	b.must(err)
	b.must(in.Close())
	b.must(w.Close())
	return out.Bytes()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// scrypt is a recipient for a passphrase, quick for a test.
func (b *box) scrypt(pass string) age.Recipient {
	b.t.Helper()
	r, err := age.NewScryptRecipient(pass)
	b.must(err)
	r.SetWorkFactor(10)
	return r
}

func (b *box) x25519() *age.X25519Identity {
	b.t.Helper()
	id, err := age.GenerateX25519Identity()
	b.must(err)
	return id
}

// sshKey makes a key in OpenSSH's form.
func (b *box) sshKey() (private string, to age.Recipient) {
	b.t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	b.must(err)
	block, err := ssh.MarshalPrivateKey(key, "")
	b.must(err)
	signer, err := ssh.NewPublicKey(public)
	b.must(err)
	to, err = agessh.ParseRecipient(string(ssh.MarshalAuthorizedKey(signer)))
	b.must(err)
	return string(pem.EncodeToMemory(block)), to
}

// lockedKey is one with the passphrase "open sesame", in one round of its hash: the usual sixteen take seconds here.
func (b *box) lockedKey() (private string, to age.Recipient) {
	b.t.Helper()
	text, err := os.ReadFile("testdata/locked")
	b.must(err)
	public, err := os.ReadFile("testdata/locked.pub")
	b.must(err)
	to, err = agessh.ParseRecipient(string(public))
	b.must(err)
	return string(text), to
}

func (b *box) read(path string) ([]byte, error) {
	text, ok := b.files[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

// keys have a person who gives answers, one after another; without any there is nobody.
func (b *box) keys(files []string, environ []string, answers ...string) (*Keys, *[]string) {
	asked := &[]string{}
	k := &Keys{Files: files, Environ: environ, Read: b.read}
	if len(answers) > 0 {
		k.Ask = func(_ context.Context, q string) (string, error) {
			if len(*asked) == len(answers) {
				return "", errors.New("nobody knows")
			}
			*asked = append(*asked, q)
			return answers[len(*asked)-1], nil
		}
	}
	return k, asked
}

func TestOpen(t *testing.T) {
	b := newBox(t)
	id, other := b.x25519(), b.x25519()
	pq, err := age.GenerateHybridIdentity()
	b.must(err)
	private, sshTo := b.sshKey()
	locked, lockedTo := b.lockedKey()
	b.files = map[string]string{
		"mine": "# created: today\n" + id.String() + "\n", "other": other.String(), "pq": pq.String(), "ssh": private, "locked": locked,
		"protected": string(b.seal(id.String(), true, b.scrypt("open sesame"))),
	}
	for _, c := range []struct {
		name    string
		text    []byte
		files   []string
		environ []string
		answers []string
		asked   string
	}{
		{name: "armoured", text: b.seal(plain, true, id.Recipient()), files: []string{"mine"}},
		{name: "binary", text: b.seal(plain, false, id.Recipient()), files: []string{"mine"}},
		{name: "second file", text: b.seal(plain, true, id.Recipient()), files: []string{"other", "mine"}},
		{name: "two recipients", text: b.seal(plain, true, other.Recipient(), id.Recipient()), files: []string{"mine"}},
		{name: "post-quantum", text: b.seal(plain, true, pq.Recipient()), files: []string{"pq"}},
		{name: "key in the environment", text: b.seal(plain, true, id.Recipient()), environ: []string{"A=B", IdentityVar + "=" + id.String()}},
		{name: "file in the environment", text: b.seal(plain, true, id.Recipient()), environ: []string{FileVar + "=mine"}},
		{name: "SSH key", text: b.seal(plain, true, sshTo), files: []string{"ssh"}},
		{name: "SSH key with a passphrase", text: b.seal(plain, true, lockedTo), files: []string{"locked"}, answers: []string{"open sesame"}, asked: "passphrase of locked"},
		{name: "no question where another key fits", text: b.seal(plain, true, id.Recipient()), files: []string{"mine", "locked"}},
		{name: "passphrase", text: b.seal(plain, true, b.scrypt("open sesame")), answers: []string{"wrong", "open sesame"}, asked: "passphrase of vars.age,passphrase of vars.age"},
		{name: "protected identity", text: b.seal(plain, true, id.Recipient()), files: []string{"protected"}, answers: []string{"open sesame"}, asked: "passphrase of protected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, asked := b.keys(c.files, c.environ, c.answers...)
			got, sealed, err := k.Open(t.Context(), "vars.age", c.text)
			if err != nil || !sealed || string(got) != plain {
				t.Errorf("%q sealed %t: %v", got, sealed, err)
			}
			if strings.Join(*asked, ",") != c.asked {
				t.Errorf("asked for %q, want %q", *asked, c.asked)
			}
			for _, secret := range slices.Concat(c.answers, c.environ) {
				if _, value, ok := strings.Cut(secret, IdentityVar+"="); ok {
					secret = value
				} else if strings.Contains(secret, "=") {
					continue
				}
				if !slices.Contains(k.Secrets(), secret) {
					t.Errorf("%q is not among the secrets", secret)
				}
			}
		})
	}
}

func TestPlainIsLeftAlone(t *testing.T) {
	k, _ := newBox(t).keys([]string{"there is no such file"}, nil)
	for _, text := range []string{"", plain, "age-encryption", "# -----BEGIN AGE ENCRYPTED FILE-----\n"} {
		if got, sealed, err := k.Open(t.Context(), "vars", []byte(text)); err != nil || sealed || string(got) != text {
			t.Errorf("%q: %q sealed %t, %v", text, got, sealed, err)
		}
	}
}

// TestErrors: each says what is wrong and what to do, and none quotes a key.
func TestErrors(t *testing.T) {
	b := newBox(t)
	id, other := b.x25519(), b.x25519()
	locked, lockedTo := b.lockedKey()
	b.files = map[string]string{
		"mine": id.String(), "other": other.String(), "public": id.Recipient().String(), "cut": id.String()[:40], "empty": "# nothing\n",
		"plugin": "AGE-PLUGIN-YUBIKEY-1QQQQ", "pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "locked": locked,
		"sealed": string(b.seal(other.String(), true, id.Recipient())),
	}
	text := b.seal(plain, true, id.Recipient())
	damaged := bytes.Clone(b.seal(plain, false, id.Recipient()))
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct {
		name    string
		text    []byte
		files   []string
		environ []string
		answers []string
		want    string
		help    string
	}{
		{name: "none given", text: text, want: "no identity was given", help: "--identity FILE"},
		{name: "none fits", text: text, files: []string{"other"}, environ: []string{IdentityVar + "=" + other.String()}, want: "no identity fits; tried: other, $KFLOW_AGE_IDENTITY", help: "age-keygen -y"},
		{name: "no such file", text: text, files: []string{"none"}, want: "can't read the identity none: file does not exist"},
		{name: "public half", text: text, files: []string{"public"}, want: "public, line 1: this is the public half"},
		{name: "cut off", text: text, files: []string{"cut"}, want: "cut, line 1: this age identity is mistyped or cut off"},
		{name: "nothing in it", text: text, files: []string{"mine", "empty"}, want: "empty holds no age identity"},
		{name: "plugin", text: text, files: []string{"plugin"}, want: "plugins can't be used"},
		{name: "certificate", text: text, files: []string{"pem"}, want: "pem is no SSH key that age can use"},
		{name: "text in the environment", text: text, environ: []string{IdentityVar + "=correct horse"}, want: "$KFLOW_AGE_IDENTITY, line 1: this is no age identity"},
		{name: "identity sealed with a key", text: text, files: []string{"sealed"}, want: "sealed is encrypted with another key"},
		{name: "damaged", text: damaged, files: []string{"mine"}, want: "damaged or cut off"},
		{name: "cut short", text: text[:100], files: []string{"mine"}, want: "damaged or cut off"},
		{name: "nobody to ask", text: b.seal(plain, true, b.scrypt("open sesame")), files: []string{"mine"}, want: "no terminal to ask for the passphrase of vars.age", help: "at a terminal"},
		{name: "nobody to ask for that of a key", text: b.seal(plain, true, lockedTo), files: []string{"locked"}, want: "no terminal to ask for the passphrase of locked"},
		{name: "wrong three times", text: b.seal(plain, true, b.scrypt("open sesame")), answers: []string{"a", "b", "c", "open sesame"}, want: "the passphrase of vars.age is wrong"},
		{name: "no answer", text: b.seal(plain, true, b.scrypt("open sesame")), answers: []string{"a"}, want: "was not given: nobody knows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, _ := b.keys(c.files, c.environ, c.answers...)
			got, _, err := k.Open(t.Context(), "vars.age", c.text)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Error(), c.want) || !strings.Contains(e.Help(), c.help) || got != nil {
				t.Fatalf("%q, %v; want %q", got, err, c.want)
			}
			if _, _, again := k.Open(t.Context(), "more.age", c.text); c.name == "no such file" && again.Error() != err.Error() {
				t.Errorf("of another file: %v", again)
			}
			for _, secret := range []string{id.String()[16:40], other.String()[16:40], "correct horse", "open sesame"} {
				if strings.Contains(e.Error()+e.Help(), secret) {
					t.Errorf("%v quotes a secret", err)
				}
			}
		})
	}
}

func TestKeyThatOthersMayRead(t *testing.T) {
	b := newBox(t)
	id := b.x25519()
	file := filepath.Join(t.TempDir(), "key")
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true} {
		b.must(os.WriteFile(file, []byte(id.String()), 0o600))
		b.must(os.Chmod(file, mode))
		var got []string
		k := &Keys{Files: []string{file}, Read: os.ReadFile, Warn: func(file, text, help string) { got = append(got, text, help) }}
		if _, _, err := k.Open(t.Context(), "vars.age", b.seal(plain, true, id.Recipient())); err != nil {
			t.Error(err)
		}
		if (len(got) > 0) != warned || warned && got[1] != "chmod 600 "+file {
			t.Errorf("mode %o: %q", mode, got)
		}
		b.must(os.Remove(file))
	}
}

// FuzzOpen: whatever stands in a file of values or of identities, there is an answer, and never a part of a plaintext that
// was not opened.
func FuzzOpen(f *testing.F) {
	b := newBox(&testing.T{})
	id := b.x25519()
	sealedText := b.seal(plain, true, id.Recipient())
	f.Add(sealedText, []byte(id.String()))
	f.Add(b.seal(plain, false, id.Recipient()), []byte("# no key\n"+id.String()))
	f.Add(b.seal(plain, true, b.scrypt("open sesame")), []byte("age1"))
	f.Add([]byte(plain), []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n"))
	private, to := b.lockedKey()
	f.Add(b.seal(plain, true, to), []byte(private))
	f.Fuzz(func(t *testing.T, text, key []byte) {
		k := &Keys{Files: []string{"key"}, Read: func(string) ([]byte, error) { return key, nil }}
		got, sealed, err := k.Open(t.Context(), "vars.age", text)
		switch {
		case !sealed && (err != nil || !bytes.Equal(got, text)):
			t.Errorf("%q became %q, %v", text, got, err)
		case sealed && (err == nil) == (got == nil) && len(got) > 0:
			t.Errorf("an error and %q", got)
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an error without help: %v", err)
		}
	})
}
