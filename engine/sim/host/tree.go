package host

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// node is a file, directory or symbolic link. It is never changed once it is in a tree: a change is a new node. Trees share
// those that are equal, which most are; so a tree keeps the time of its last change apart, and a node in it has none.
type node struct {
	mode         fs.FileMode // with type bits
	owner, group string
	data         string
	target       string
	mtime        time.Time
}

// base is a tree that many hosts share. It is not changed once the first host stands on it.
type base struct {
	nodes map[string]*node
}

func newBase() *base {
	b := &base{nodes: map[string]*node{}}
	b.nodes["/"] = &node{mode: fs.ModeDir | 0o755, owner: "root", group: "root"}
	return b
}

// put adds a node and the directories above it.
func (b *base) put(name string, n *node) {
	if n.owner == "" {
		n.owner, n.group = "root", "root"
	}
	if dir := path.Dir(name); b.nodes[dir] == nil {
		b.put(dir, &node{mode: fs.ModeDir | 0o755})
	}
	b.nodes[name] = n
}

// tree is the file system of one host: a base, and what differs from it. Paths and nodes are numbers of Texts: there are
// thousands of trees with hundreds of files each, most of them the same, and nothing in a tree is to be followed when memory
// is cleaned up.
type tree struct {
	base  *base
	given []*node // of base, by path
	own   places
	texts *Texts
}

// place is what a tree has at a path.
type place struct {
	node    nodeID // 0 = what the base has
	changed uint32 // seconds since 1970; 0 = not known
}

func newTree(b *base, texts *Texts) *tree { return &tree{base: b, given: texts.given(b), texts: texts} }

func (t *tree) at(name string) *node { return t.get(t.texts.pathOf(name)) }

// get is what is at a path.
func (t *tree) get(id pathID) *node {
	if p := t.own.at(id); p.node != 0 {
		return t.texts.node(p.node)
	}
	if int(id) < len(t.given) {
		return t.given[id]
	}
	return nil
}

// changed is when what is at a path was changed.
func (t *tree) changed(name string) time.Time {
	if at := t.own.at(t.texts.pathOf(name)).changed; at != 0 {
		return time.Unix(int64(at), 0).UTC()
	}
	return time.Time{}
}

// set puts a node at a path that is resolved, or takes away what is there (nil).
func (t *tree) set(name string, n *node) {
	id := t.texts.path(name)
	if n == nil {
		if t.get(id) != nil {
			t.own.set(id, place{node: nothing})
		}
		return
	}
	p := place{node: t.texts.nodeOf(*n)}
	if !n.mtime.IsZero() {
		p.changed = uint32(n.mtime.Unix())
	}
	t.own.set(id, p)
}

// list are the names in a directory, sorted.
func (t *tree) list(dir string) []string {
	var out []string
	t.texts.mu.RLock()
	defer t.texts.mu.RUnlock()
	for _, k := range t.texts.byPath[t.texts.pathOf(dir)].kids {
		if t.get(k.id) != nil {
			out = append(out, k.name)
		}
	}
	return out
}

// names are the paths of what differs from the base, sorted.
func (t *tree) names() []string {
	t.texts.mu.RLock()
	defer t.texts.mu.RUnlock()
	var out []string
	for id := range t.own.all() {
		out = append(out, t.texts.byPath[id].name)
	}
	slices.Sort(out)
	return out
}

// forget makes what is at a path what the base has.
func (t *tree) forget(name string) { t.own.set(t.texts.pathOf(name), place{}) }

func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// remove takes away what is at a path, with all below it.
func (t *tree) remove(name string) {
	n := t.at(name)
	if n == nil {
		return
	}
	if n.mode.IsDir() {
		for _, kid := range t.list(name) {
			t.remove(join(name, kid))
		}
	}
	t.set(name, nil)
}

// mkdirs makes a directory and those above it.
func (t *tree) mkdirs(dir string, made func() *node) error {
	if n := t.at(dir); n != nil {
		if !n.mode.IsDir() {
			return errNotDir
		}
		return nil
	}
	if err := t.mkdirs(path.Dir(dir), made); err != nil {
		return err
	}
	t.set(dir, made())
	return nil
}

const (
	errLoop   = syscall.ELOOP
	errNotDir = syscall.ENOTDIR
	errIsDir  = syscall.EISDIR
)

// resolve follows the symbolic links of a path; the last component only with follow.
func (t *tree) resolve(name string, follow bool) (string, error) {
	if !path.IsAbs(name) {
		return "", errors.New("path is not absolute")
	}
	name = path.Clean(name)
	if t.direct(name, follow) {
		return name, nil
	}
	for hops := 0; ; hops++ {
		if hops > 40 {
			return "", errLoop
		}
		next, again := t.oneLink(name, follow)
		if !again {
			return name, nil
		}
		name = next
	}
}

// direct tells whether a clean path leads to its end without a link: what a tree has at a path lies in directories, so that
// where there is something, there is no link on the way.
func (t *tree) direct(name string, follow bool) bool {
	if n := t.at(name); n != nil {
		return !follow || n.mode&fs.ModeSymlink == 0
	}
	dir := t.at(path.Dir(name))
	return dir != nil && dir.mode.IsDir()
}

// oneLink replaces the first symbolic link of a path by where it points.
func (t *tree) oneLink(name string, follow bool) (string, bool) {
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' || i == len(name) && !follow {
			continue
		}
		n := t.at(name[:i])
		if n == nil {
			return name, false
		}
		if n.mode&fs.ModeSymlink == 0 {
			continue
		}
		target := n.target
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name[:i]), target)
		}
		return path.Clean(target + name[i:]), true
	}
	return name, false
}

// find resolves a path to a node.
func (t *tree) find(op, name string, follow bool) (string, *node, error) {
	p := t.texts.pair(name)
	switch n := t.get(p.id); {
	case n != nil && (!follow || n.mode&fs.ModeSymlink == 0):
		return name, n, nil // see direct; a path in a tree is clean
	case n == nil && t.get(p.dir).isDir():
		return name, nil, wrong(op, name, syscall.ENOENT)
	}
	at, err := t.resolve(name, follow)
	if err != nil {
		return "", nil, wrong(op, name, err)
	}
	n := t.at(at)
	if n == nil {
		return at, nil, wrong(op, name, t.missing(at))
	}
	return at, n, nil
}

// exists tells whether there is something at a path, behind the links in it.
func (t *tree) exists(name string) bool {
	if n := t.at(name); n != nil && n.mode&fs.ModeSymlink == 0 {
		return true
	}
	at, err := t.resolve(name, true)
	return err == nil && t.at(at) != nil
}

// isDir tells whether there is a directory at a path that is resolved.
func (t *tree) isDir(name string) bool { return t.at(name).isDir() }

func (n *node) isDir() bool { return n != nil && n.mode.IsDir() }

// missing says why there is nothing at a path that is resolved.
func (t *tree) missing(name string) error {
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if n := t.at(dir); n != nil {
			if !n.mode.IsDir() {
				return errNotDir
			}
			break
		}
	}
	return syscall.ENOENT
}

func wrong(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// info is what stands at a path that is resolved.
func (t *tree) info(name string, n *node) task.FileInfo {
	return task.FileInfo{
		Name: path.Base(name), Size: int64(len(n.data)), Mode: n.mode, Owner: n.owner, Group: n.group, Target: n.target, MTime: t.changed(name),
	}
}

// with returns a copy with attributes set.
func (n node) with(a task.Attr) node {
	if a.Mode != 0 {
		n.mode = n.mode&fs.ModeType | a.Mode
	}
	if a.Owner != "" {
		n.owner = a.Owner
	}
	if a.Group != "" {
		n.group = a.Group
	}
	return n
}
