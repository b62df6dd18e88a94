// Package sealed reads files that may be encrypted with age (https://age-encryption.org). Whether a file is encrypted is
// told by its content, armored or binary; one that is not comes back as it is.
//
// A file is opened with identities: age's own (X25519 and post-quantum, also in a file that is itself encrypted with a
// passphrase) and SSH keys (Ed25519 and RSA), from files or from the environment. One that is encrypted with a passphrase
// asks for it. What is decrypted stays in memory.
//
// The package imports nothing of kflow.
package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Environment variables that give identities.
const (
	IdentityVar = "KFLOW_AGE_IDENTITY"      // the key itself, or several, a line each
	FileVar     = "KFLOW_AGE_IDENTITY_FILE" // path of a file of keys
)

// maxText ends what a small file can grow to.
const maxText = 16 << 20

// Keys opens sealed files. It asks for each passphrase once.
type Keys struct {
	Files   []string                                            // with identities
	Environ []string                                            // as os.Environ gives it
	Read    func(path string) ([]byte, error)                   //
	Ask     func(ctx context.Context, q string) (string, error) // for a passphrase; nil: there is nobody
	Warn    func(file, text, help string)                       // nil: nobody is told

	loaded  bool
	broken  error // what was met while they were loaded
	known   []age.Identity
	sources []string // of known, for people
	secrets []string
}

// Secrets are passphrases that were typed and keys that stood in the environment: they are to be masked as well.
func (k *Keys) Secrets() []string { return k.secrets }

// Error says why a file could not be opened.
type Error struct {
	Text, Way string
	Err       error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Help says what to do now.
func (e *Error) Help() string { return e.Way }

const intro = "age-encryption.org/"

// Sealed tells whether a text is encrypted with age.
func Sealed(text []byte) bool {
	return bytes.HasPrefix(text, []byte(intro)) || armored(text)
}

func armored(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte(armor.Header))
}

// Open returns what a file holds, decrypted where it is sealed. name is for messages.
func (k *Keys) Open(ctx context.Context, name string, text []byte) (plain []byte, sealed bool, err error) {
	if !Sealed(text) {
		return text, false, nil
	}
	if err := k.load(ctx); err != nil {
		return nil, true, err
	}
	asked := &passphrase{ctx: ctx, keys: k, name: name}
	plain, err = decrypt(text, append(k.known[:len(k.known):len(k.known)], asked)...)
	if err != nil {
		return nil, true, k.explain(name, err)
	}
	return plain, true, nil
}

func decrypt(text []byte, identities ...age.Identity) ([]byte, error) {
	var r io.Reader = bytes.NewReader(text)
	if armored(text) {
		r = armor.NewReader(r)
	}
	r, err := age.Decrypt(r, identities...)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err == nil && len(plain) > maxText {
		err = fmt.Errorf("it holds more than %d MiB", maxText>>20)
	}
	return plain, err
}

// explain turns an error of age into what a person can do about it.
func (k *Keys) explain(name string, err error) error {
	var own *Error
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &none) && len(k.known) == 0:
		return &Error{Text: name + " is encrypted with age, and no identity was given to open it",
			Way: "give the file of your age or SSH key with --identity FILE or $" + FileVar + ", or the age key itself as $" + IdentityVar}
	case errors.As(err, &none):
		return &Error{Text: fmt.Sprintf("%s is encrypted with age, and no identity fits; tried: %s", name, strings.Join(k.sources, ", ")),
			Way: "name the key it was encrypted for with --identity FILE; or let whoever wrote it encrypt it for yours, too (age-keygen -y FILE prints its public half)"}
	}
	return &Error{Text: name + " is encrypted with age, and damaged or cut off", Err: err, Way: "get it anew from where it came from"}
}
