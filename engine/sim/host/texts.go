package host

import (
	"bytes"
	"sync"
)

// Texts keeps one copy of equal texts: most of what is written on hosts is written on all of them. It is safe for concurrent
// use, and its lock is taken while hosts are locked.
type Texts struct {
	mu  sync.RWMutex
	all map[string]string
}

// NewTexts returns an empty set.
func NewTexts() *Texts { return &Texts{all: map[string]string{}} }

// One is the one copy of a text.
func (t *Texts) One(s string) string {
	t.mu.RLock()
	have, ok := t.all[s]
	t.mu.RUnlock()
	if ok {
		return have
	}
	return t.add(s)
}

// Bytes is One for bytes, which are copied only where the text is new.
func (t *Texts) Bytes(b []byte) string {
	t.mu.RLock()
	have, ok := t.all[string(b)]
	t.mu.RUnlock()
	if ok {
		return have
	}
	return t.add(string(b))
}

func (t *Texts) add(s string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.all[s]; ok {
		return have
	}
	t.all[s] = s
	return s
}

// buffer is an empty one to read a file into, to be given back.
func (im *Image) buffer() *bytes.Buffer {
	b, ok := im.buffers.Get().(*bytes.Buffer)
	if !ok {
		return new(bytes.Buffer)
	}
	b.Reset()
	return b
}
