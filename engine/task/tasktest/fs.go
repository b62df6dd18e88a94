package tasktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// node is a file, directory or symbolic link of the fake host.
type node struct {
	mode         fs.FileMode // with type bits
	owner, group string
	data         []byte
	target       string
	mtime        time.Time
}

// files is a file system in memory: absolute clean path to node.
type files map[string]*node

func newFiles() files {
	f := files{"/": {mode: fs.ModeDir | 0o755, owner: "root", group: "root"}}
	for _, dir := range []string{"/etc", "/root", "/run", "/tmp", "/usr", "/var/lib", "/proc/sys", "/sys"} {
		f.mkdirs(dir)
	}
	f["/tmp"].mode |= fs.ModeSticky | 0o777
	return f
}

func (f files) mkdirs(dir string) {
	for ; dir != "/"; dir = path.Dir(dir) {
		if f[dir] == nil {
			f[dir] = &node{mode: fs.ModeDir | 0o755, owner: "root", group: "root"}
		}
	}
}

func (f files) clone() files {
	out := make(files, len(f))
	for name, n := range f {
		c := *n
		out[name] = &c
	}
	return out
}

func fail(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

var errLoop = errors.New("too many levels of symbolic links")

// walk resolves the symbolic links of a path; the last component only with follow.
func (f files) walk(name string, follow bool) (string, error) {
	if !path.IsAbs(name) {
		return "", errors.New("path is not absolute")
	}
	rest := strings.Split(strings.Trim(path.Clean(name), "/"), "/")
	at := "/"
	for hops := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		n := f[next]
		if n == nil || n.mode&fs.ModeSymlink == 0 || (len(rest) == 0 && !follow) {
			at = next
			continue
		}
		if hops++; hops > 40 {
			return "", errLoop
		}
		target := n.target
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(next), target)
		}
		rest = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest...)
		at = "/"
	}
	return at, nil
}

func (f files) get(op, name string, follow bool) (string, *node, error) {
	actual, err := f.walk(name, follow)
	if err != nil {
		return "", nil, fail(op, name, err)
	}
	n := f[actual]
	if n == nil {
		return actual, nil, fail(op, name, fs.ErrNotExist)
	}
	return actual, n, nil
}

func info(name string, n *node) task.FileInfo {
	return task.FileInfo{
		Name: path.Base(name), Size: int64(len(n.data)), Mode: n.mode, Owner: n.owner, Group: n.group,
		Target: n.target, MTime: n.mtime,
	}
}

// ReadFile implements task.FS.
func (h *Host) ReadFile(_ context.Context, name string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, n, err := h.files.get("open", name, true)
	switch {
	case err != nil:
		return nil, err
	case n.mode.IsDir():
		return nil, fail("read", name, errors.New("is a directory"))
	}
	return slices.Clone(n.data), nil
}

// OpenFile implements task.FS.
func (h *Host) OpenFile(ctx context.Context, name string) (io.ReadCloser, error) {
	b, err := h.ReadFile(ctx, name)
	return io.NopCloser(bytes.NewReader(b)), err
}

// Stat implements task.FS.
func (h *Host) Stat(_ context.Context, name string) (task.FileInfo, error) {
	return h.stat(name, true)
}

// Lstat implements task.FS.
func (h *Host) Lstat(_ context.Context, name string) (task.FileInfo, error) {
	return h.stat(name, false)
}

func (h *Host) stat(name string, follow bool) (task.FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, n, err := h.files.get("stat", name, follow)
	if err != nil {
		return task.FileInfo{}, err
	}
	return info(name, n), nil
}

// ReadDir implements task.FS.
func (h *Host) ReadDir(_ context.Context, name string) ([]task.FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	actual, n, err := h.files.get("open", name, true)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, fail("readdir", name, errors.New("not a directory"))
	}
	var out []task.FileInfo
	for _, p := range slices.Sorted(maps.Keys(h.files)) {
		if p != "/" && path.Dir(p) == actual {
			out = append(out, info(p, h.files[p]))
		}
	}
	return out, nil
}

// Glob implements task.FS.
func (h *Host) Glob(_ context.Context, pattern string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, p := range slices.Sorted(maps.Keys(h.files)) {
		ok, err := path.Match(pattern, p)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, p)
		}
	}
	return out, nil
}

// WriteFile implements task.FS. Files below /proc and /sys cannot be made, and those of /proc/sys are kept as a kernel
// shows them: numbers separated by tabs.
func (h *Host) WriteFile(_ context.Context, name string, r io.Reader, a task.Attr) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files.write(name, data, a, h.now)
}

func (f files) write(name string, data []byte, a task.Attr, now time.Time) error {
	actual, err := f.walk(name, true)
	if err != nil {
		return fail("open", name, err)
	}
	n := f[actual]
	switch {
	case n != nil && n.mode.IsDir():
		return fail("open", name, errors.New("is a directory"))
	case n == nil && f[path.Dir(actual)] == nil:
		return fail("open", name, fs.ErrNotExist)
	case n == nil && !f[path.Dir(actual)].mode.IsDir():
		return fail("open", name, errors.New("not a directory"))
	case n == nil && kernelFile(actual):
		return fail("open", name, fs.ErrNotExist)
	case n == nil:
		n = &node{mode: 0o644, owner: "root", group: "root"}
		f[actual] = n
	}
	if strings.HasPrefix(actual, "/proc/sys/") {
		data = []byte(strings.Join(strings.Fields(string(data)), "\t") + "\n")
	}
	n.data, n.mtime = data, now
	n.set(a)
	return nil
}

func kernelFile(name string) bool {
	return strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/sys/")
}

func (n *node) set(a task.Attr) {
	if a.Mode != 0 {
		n.mode = n.mode&fs.ModeType | a.Mode
	}
	if a.Owner != "" {
		n.owner = a.Owner
	}
	if a.Group != "" {
		n.group = a.Group
	}
}

// MkdirAll implements task.FS.
func (h *Host) MkdirAll(_ context.Context, name string, a task.Attr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	actual, err := h.files.walk(name, true)
	if err != nil {
		return fail("mkdir", name, err)
	}
	for dir := actual; ; dir = path.Dir(dir) {
		if n := h.files[dir]; n == nil {
			n = &node{mode: fs.ModeDir | 0o755, owner: "root", group: "root"}
			n.set(a)
			h.files[dir] = n
			continue
		} else if !n.mode.IsDir() {
			return fail("mkdir", dir, errors.New("not a directory"))
		}
		return nil
	}
}

// SetAttr implements task.FS.
func (h *Host) SetAttr(_ context.Context, name string, a task.Attr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, n, err := h.files.get("chmod", name, true)
	if err != nil {
		return err
	}
	n.set(a)
	return nil
}

// Symlink implements task.FS.
func (h *Host) Symlink(_ context.Context, target, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	actual, err := h.files.walk(name, false)
	if err != nil {
		return fail("symlink", name, err)
	}
	if h.files[path.Dir(actual)] == nil {
		return fail("symlink", name, fs.ErrNotExist)
	}
	if n := h.files[actual]; n != nil && n.mode.IsDir() {
		return fail("symlink", name, fs.ErrExist)
	}
	h.files[actual] = &node{mode: fs.ModeSymlink | 0o777, owner: "root", group: "root", target: target, mtime: h.now}
	return nil
}

// Rename implements task.FS.
func (h *Host) Rename(_ context.Context, from, to string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	src, _, err := h.files.get("rename", from, false)
	if err != nil {
		return err
	}
	dst, err := h.files.walk(to, false)
	if err != nil || h.files[path.Dir(dst)] == nil {
		return fail("rename", to, cmpErr(err, fs.ErrNotExist))
	}
	h.files.remove(dst)
	for _, p := range slices.Sorted(maps.Keys(h.files)) {
		if p == src || strings.HasPrefix(p, src+"/") {
			h.files[dst+strings.TrimPrefix(p, src)] = h.files[p]
			delete(h.files, p)
		}
	}
	return nil
}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Remove implements task.FS.
func (h *Host) Remove(_ context.Context, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	actual, err := h.files.walk(name, false)
	if err != nil {
		return fail("remove", name, err)
	}
	if actual == "/" {
		return fail("remove", name, fmt.Errorf("refused: %w", fs.ErrPermission))
	}
	h.files.remove(actual)
	return nil
}

func (f files) remove(actual string) {
	for p := range f {
		if p == actual || strings.HasPrefix(p, actual+"/") {
			delete(f, p)
		}
	}
}
