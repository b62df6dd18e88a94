package host

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Texts keeps one copy of equal texts, and gives equal files and paths one number: most of what is written on hosts is written
// on all of them. It is safe for concurrent use, and its lock is taken while hosts are locked; what is looked up again and
// again needs none.
type Texts struct {
	paths    sync.Map // of string: its pathID and that of its directory, as a pair
	programs sync.Map // of string: its spots, see Texts.spots
	units    sync.Map
	sections sync.Map                // of the text of a .repo file: its []repository
	byNode   atomic.Pointer[[]*node] // 0 and nothing are nil

	mu     sync.RWMutex
	all    map[string]string
	nodes  map[node]nodeID
	byPath []location // 0 is none
	bases  map[*base][]*node
}

type (
	nodeID uint32
	pathID uint32
)

// nothing is the number of what has been taken away.
const nothing nodeID = 1

// location is a path, with what may lie in it, in the order of names.
type location struct {
	name string
	kids []kid
}

type kid struct {
	name string
	id   pathID
}

// pair is the number of a path, and that of the directory it is in.
type pair struct{ id, dir pathID }

// spot is a path at which something may lie, and the directory it is in.
type spot struct {
	path    string
	id, dir pathID
}

// NewTexts returns an empty set.
func NewTexts() *Texts {
	t := &Texts{all: map[string]string{}, nodes: map[node]nodeID{}, byPath: []location{{}}, bases: map[*base][]*node{}}
	t.byNode.Store(&[]*node{0: nil, nothing: nil})
	return t
}

// node is what has that number.
func (t *Texts) node(id nodeID) *node { return (*t.byNode.Load())[id] }

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
		list := append(*t.byNode.Load(), &kept)
		id = nodeID(len(list) - 1)
		t.nodes[n] = id
		t.byNode.Store(&list) // who has an older one does not know the number either
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
		list[t.pathOf(name)] = n
	}
	t.bases[b] = list
	return list
}

// pathOf is the number of a path; 0 = no host has had anything there.
func (t *Texts) pathOf(name string) pathID { return t.pair(name).id }

// pair is pathOf with the directory. A path that has a number is clean.
func (t *Texts) pair(name string) pair {
	if p, ok := t.paths.Load(name); ok {
		return p.(pair)
	}
	return pair{}
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
	if id := t.pathOf(name); id != 0 {
		return id
	}
	var dir pathID
	if name != "/" {
		dir = t.number(path.Dir(name))
	}
	id := pathID(len(t.byPath))
	t.byPath = append(t.byPath, location{name: name})
	if dir != 0 {
		in, added := &t.byPath[dir], kid{path.Base(name), id}
		at, _ := slices.BinarySearchFunc(in.kids, added, func(a, b kid) int { return strings.Compare(a.name, b.name) })
		in.kids = slices.Insert(in.kids, at, added)
	}
	t.paths.Store(name, pair{id, dir})
	return id
}

// spots are where something with that name may lie, in the order of dirs. known keeps what was asked for before.
func (t *Texts) spots(known *sync.Map, dirs func() []string, name string) []spot {
	if have, ok := known.Load(name); ok {
		return have.([]spot)
	}
	var out []spot
	for _, dir := range dirs() {
		at := dir + "/" + name
		out = append(out, spot{path: at, id: t.path(at), dir: t.path(dir)})
	}
	known.Store(name, out)
	return out
}

// yumSections are the repositories that the text of a .repo file declares.
func (t *Texts) yumSections(text string) []repository {
	if have, ok := t.sections.Load(text); ok {
		return have.([]repository)
	}
	out := yumSections(text)
	t.sections.Store(text, out)
	return out
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
