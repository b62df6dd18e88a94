// Package mask keeps secrets out of what a run shows and stores. A Masker knows the secrets of a run and every form in
// which a program is likely to print them; it goes over each event before any sink sees it.
//
// # What is found
//
// For each secret: the value, the value without white space around it, and each of its lines of at least MinLine
// characters (output comes line by line, a key has many lines); each of these as it is, and written as base64 (both
// alphabets, also inside a longer text such as "user:password", also wrapped), in JSON and Go strings, in a URL, and
// quoted for a shell. What a masker cannot know it cannot find: a program that prints a hash, every second character or
// hex digits of a secret is not caught.
//
// # What is left
//
// All bytes that belong to any form are replaced, also where two forms overlap, and each such stretch becomes "***".
// Where a secret contains an asterisk another character takes its place, so that nothing that is left around it can make
// up a secret again.
//
// Secrets shorter than MinSecret characters are refused where they enter kflow: masking them would blot out ordinary
// text and so tell what they are. A Masker ignores them.
//
// A Masker is safe for concurrent use, and can learn a secret during a run (a token that was minted just now).
package mask

import (
	"sync"
	"sync/atomic"
)

// MinSecret is the length in bytes from which a text can be kept secret.
const MinSecret = 6

// MinLine is the length in bytes from which a line of a secret is masked by itself.
const MinLine = 8

// Masker replaces secrets in text.
type Masker struct {
	mu    sync.Mutex // held while learning
	known map[string]bool
	forms atomic.Pointer[finder] // nil = nothing to find
}

// New returns a Masker for secrets.
func New(secrets ...string) *Masker {
	m := &Masker{}
	m.Learn(secrets...)
	return m
}

// Learn adds secrets. They are masked in every text that is given to the Masker after Learn has returned.
func (m *Masker) Learn(secrets ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range secrets {
		if len(s) < MinSecret || m.known[s] {
			continue
		}
		if m.known == nil {
			m.known = map[string]bool{}
		}
		m.known[s] = true
		f := m.forms.Load()
		if f == nil {
			f = newFinder()
		}
		f.add(formsOf(s))
		m.forms.Store(f)
	}
}

// Knows tells whether there is any secret to be found.
func (m *Masker) Knows() bool { return m.forms.Load() != nil }

// String returns s with every secret replaced. Without one it is s itself, and nothing is allocated.
func (m *Masker) String(s string) string {
	f := m.forms.Load()
	if f == nil {
		return s
	}
	return f.mask(s)
}
