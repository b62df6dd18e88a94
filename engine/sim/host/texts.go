package host

import (
	"bytes"
	"path"
	"sync"
	"time"
)

// Texts keeps one copy of equal texts, and gives equal files and paths one number: most of what is written on hosts is written
// on all of them. It is safe for concurrent use, and its lock is taken while hosts are locked.
type Texts struct {
	mu     sync.RWMutex
	all    map[string]string
	nodes  map[node]nodeID
	byNode []*node // 0 is nothing
	paths  map[string]pathID
	byPath []location // 0 is none
	bases  map[*base][]*node
}

type (
	nodeID uint32
	pathID uint32
)

// location is a path, and that of the directory it is in.
type location struct {
	name string
	dir  pathID
}

// NewTexts returns an empty set.
func NewTexts() *Texts {
	return &Texts{all: map[string]string{}, nodes: map[node]nodeID{}, byNode: []*node{nil}, paths: map[string]pathID{}, byPath: []location{{}},
		bases: map[*base][]*node{}}
}

// nodeOf is the number of a node, without its time.
func (t *Texts) nodeOf(n node) nodeID {
	n.mtime = time.Time{}
	t.mu.RLock()
	id := t.nodes[n]
	t.mu.RUnlock()
	if id != 0 {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id = t.nodes[n]; id == 0 {
		kept := n
		id = nodeID(len(t.byNode))
		t.nodes[n], t.byNode = id, append(t.byNode, &kept)
	}
	return id
}

// given are the nodes of a base by the numbers of their paths.
func (t *Texts) given(b *base) []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.bases[b]; ok {
		return have
	}
	for name := range b.nodes {
		t.number(name)
	}
	list := make([]*node, len(t.byPath))
	for name, n := range b.nodes {
		list[t.paths[name]] = n
	}
	t.bases[b] = list
	return list
}

// pathOf is the number of a path; 0 = no host has had anything there.
func (t *Texts) pathOf(name string) pathID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.paths[name]
}

// path is the number of a path, which it gets when it has none.
func (t *Texts) path(name string) pathID {
	if id := t.pathOf(name); id != 0 {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.number(name)
}

// number gives a path, and the directories it is in, numbers. t.mu is held.
func (t *Texts) number(name string) pathID {
	if id := t.paths[name]; id != 0 {
		return id
	}
	var dir pathID
	if name != "/" {
		dir = t.number(path.Dir(name))
	}
	id := pathID(len(t.byPath))
	t.paths[name], t.byPath = id, append(t.byPath, location{name, dir})
	return id
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
