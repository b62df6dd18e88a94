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
	"strings"
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
	learned := false
	for _, s := range secrets {
		if len(s) < MinSecret || m.known[s] {
			continue
		}
		if m.known == nil {
			m.known = map[string]bool{}
		}
		m.known[s], learned = true, true
	}
	if !learned {
		return
	}
	all := map[string]bool{}
	for s := range m.known {
		addForms(all, s)
	}
	m.forms.Store(newFinder(all))
}

// Secrets returns the secrets, in no order: for a place that masks by itself, such as the agent.
func (m *Masker) Secrets() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]string, 0, len(m.known))
	for s := range m.known {
		all = append(all, s)
	}
	return all
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

// finder finds forms in text: the first prefix bytes of a form lead to the forms that begin so.
type finder struct {
	mark  string
	pairs [1 << 16 / 64]uint64 // bit set of the first two bytes of all forms: sends most positions away
	forms map[[prefix]byte][]string
}

const prefix = MinSecret

func newFinder(all map[string]bool) *finder {
	f := &finder{mark: mark(all), forms: map[[prefix]byte][]string{}}
	for form := range all {
		key := [prefix]byte([]byte(form[:prefix]))
		f.forms[key] = append(f.forms[key], form)
		p := pair(form, 0)
		f.pairs[p/64] |= 1 << (p % 64)
	}
	return f
}

// mark is three times the first printable ASCII character that no form contains; "" when they contain all of them.
func mark(all map[string]bool) string {
	var used [256]bool
	for form := range all {
		for _, c := range []byte(form) {
			used[c] = true
		}
	}
	for _, c := range []byte("*#~^_.-+=@!?:;,|") {
		if !used[c] {
			return strings.Repeat(string(c), 3)
		}
	}
	return ""
}

func pair(s string, i int) uint16 { return uint16(s[i])<<8 | uint16(s[i+1]) }

// mask replaces each stretch of s that forms cover.
func (f *finder) mask(s string) string {
	var out strings.Builder
	kept := 0        // s[:kept] is in out
	from, to := 0, 0 // the stretch at hand
	for i := 0; i+prefix <= len(s); i++ {
		end := i + f.longest(s[i:])
		if end <= max(i, to) {
			continue
		}
		if i > to || to == 0 { // not touching the stretch at hand: that one is complete
			f.flush(&out, s, kept, from, to)
			kept, from = to, i
		}
		to = end
	}
	if to == 0 {
		return s
	}
	if f.mark == "" {
		return "" // what is left around a secret could make up one: leave nothing
	}
	f.flush(&out, s, kept, from, to)
	out.WriteString(s[to:])
	return out.String()
}

// flush writes what comes before a stretch, and the mark for it.
func (f *finder) flush(out *strings.Builder, s string, kept, from, to int) {
	if to > from {
		out.WriteString(s[kept:from])
		out.WriteString(f.mark)
	}
}

// longest is the length of the longest form s begins with; 0 = none. s has at least prefix bytes.
func (f *finder) longest(s string) int {
	p := pair(s, 0)
	if f.pairs[p/64]&(1<<(p%64)) == 0 {
		return 0
	}
	n := 0
	for _, form := range f.forms[[prefix]byte([]byte(s[:prefix]))] {
		if len(form) > n && strings.HasPrefix(s, form) {
			n = len(form)
		}
	}
	return n
}
