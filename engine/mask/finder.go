package mask

import (
	"strings"
	"sync/atomic"
)

// finder finds forms in text: the first prefix bytes of a form lead to the forms that begin so. Forms are added by one
// goroutine at a time while others look: what they look at is only ever replaced, or grows behind what they see.
type finder struct {
	pairs [1 << 16 / 64]atomic.Uint64 // bit set of the first two bytes of all forms: sends most positions away
	table atomic.Pointer[table]
	mark  atomic.Pointer[string] // "" = nothing may be left around a secret

	// Of whoever adds.
	known map[string]bool
	slots int
	used  [256]bool // characters that some form contains
}

const prefix = MinSecret

// table has the slots of all prefixes by their hash. Its length is a power of two.
type table []bucket

type bucket struct{ slots atomic.Pointer[[]*slot] }

// slot has the forms that begin with a prefix.
type slot struct {
	key   uint64
	forms atomic.Pointer[[]string]
}

// perBucket is how many slots a bucket of the table has before there are twice as many buckets.
const perBucket = 4

func newFinder() *finder {
	f := &finder{known: map[string]bool{}}
	t := make(table, 64)
	f.table.Store(&t)
	return f
}

// add makes the finder find forms, of prefix bytes or more, from its return on.
func (f *finder) add(forms []string) {
	for _, form := range forms {
		if f.known[form] {
			continue
		}
		f.known[form] = true
		for _, c := range []byte(form) {
			f.used[c] = true
		}
		f.put(form)
		p := pair(form)
		f.pairs[p/64].Or(1 << (p % 64))
	}
	f.chooseMark()
}

func (f *finder) put(form string) {
	t := *f.table.Load()
	key := keyOf(form)
	at := t.bucket(key)
	if s := at.find(key); s != nil {
		more := append(*s.forms.Load(), form)
		s.forms.Store(&more)
		return
	}
	s := &slot{key: key}
	s.forms.Store(&[]string{form})
	at.push(s)
	if f.slots++; f.slots > perBucket*len(t) {
		f.grow(t)
	}
}

// grow moves all slots to a table with twice as many buckets.
func (f *finder) grow(t table) {
	larger := make(table, 2*len(t))
	for i := range t {
		for _, s := range t[i].list() {
			larger.bucket(s.key).push(s)
		}
	}
	f.table.Store(&larger)
}

func (t table) bucket(key uint64) *bucket {
	const spread = 0x9E3779B97F4A7C15 // Fibonacci hashing: the upper bits depend on all of the key
	return &t[key*spread>>32&uint64(len(t)-1)]
}

func (b *bucket) list() []*slot {
	if slots := b.slots.Load(); slots != nil {
		return *slots
	}
	return nil
}

func (b *bucket) find(key uint64) *slot {
	for _, s := range b.list() {
		if s.key == key {
			return s
		}
	}
	return nil
}

func (b *bucket) push(s *slot) {
	more := append(b.list(), s)
	b.slots.Store(&more)
}

// keyOf is the first prefix bytes of a text as a number.
func keyOf(s string) uint64 {
	var key uint64
	for i := range prefix {
		key = key<<8 | uint64(s[i])
	}
	return key
}

func pair(s string) uint16 { return uint16(s[0])<<8 | uint16(s[1]) }

// chooseMark takes three times the first printable ASCII character that no form contains; "" when they contain all of them.
func (f *finder) chooseMark() {
	mark := ""
	for _, c := range []byte("*#~^_.-+=@!?:;,|") {
		if !f.used[c] {
			mark = strings.Repeat(string(c), 3)
			break
		}
	}
	if now := f.mark.Load(); now == nil || *now != mark {
		f.mark.Store(&mark)
	}
}

// mask replaces each stretch of s that forms cover.
func (f *finder) mask(s string) string {
	mark := *f.mark.Load()
	var out strings.Builder
	kept := 0        // s[:kept] is in out
	from, to := 0, 0 // the stretch at hand
	for i := 0; i+prefix <= len(s); i++ {
		end := i + f.longest(s[i:])
		if end <= max(i, to) {
			continue
		}
		if i > to || to == 0 { // not touching the stretch at hand: that one is complete
			if to > from {
				out.WriteString(s[kept:from] + mark)
			}
			kept, from = to, i
		}
		to = end
	}
	if to == 0 {
		return s
	}
	if mark == "" {
		return "" // what is left around a secret could make up one: leave nothing
	}
	out.WriteString(s[kept:from] + mark + s[to:])
	return out.String()
}

// longest is the length of the longest form s begins with; 0 = none. s has at least prefix bytes.
func (f *finder) longest(s string) int {
	p := pair(s)
	if f.pairs[p/64].Load()&(1<<(p%64)) == 0 {
		return 0
	}
	key := keyOf(s)
	at := f.table.Load().bucket(key).find(key)
	if at == nil {
		return 0
	}
	n := 0
	for _, form := range *at.forms.Load() {
		if len(form) > n && strings.HasPrefix(s, form) {
			n = len(form)
		}
	}
	return n
}
