package host

import (
	"bytes"
	"sync"
	"time"
)

// Texts keeps one copy of equal texts, and of equal files: most of what is written on hosts is written on all of them. It is
// safe for concurrent use, and its lock is taken while hosts are locked.
type Texts struct {
	mu    sync.RWMutex
	all   map[string]string
	nodes map[node]*node
}

// NewTexts returns an empty set.
func NewTexts() *Texts { return &Texts{all: map[string]string{}, nodes: map[node]*node{}} }

// node is the one copy of a node, without its time.
func (t *Texts) node(n node) *node {
	n.mtime = time.Time{}
	t.mu.RLock()
	have := t.nodes[n]
	t.mu.RUnlock()
	if have != nil {
		return have
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if have = t.nodes[n]; have == nil {
		have = &n
		t.nodes[n] = have
	}
	return have
}

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
