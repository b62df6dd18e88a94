package host

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// ReadFile implements task.FS.
func (h *Host) ReadFile(_ context.Context, name string) ([]byte, error) {
	text, err := h.read(name)
	return []byte(text), err
}

// read is ReadFile without a copy.
func (h *Host) read(name string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, n, err := h.files.find("open", name, true)
	switch {
	case err != nil:
		return "", err
	case n.mode.IsDir():
		return "", wrong("read", name, errIsDir)
	case name == uptime:
		return fmt.Sprintf("%.2f 0.00\n", h.o.Clock.Now().Sub(h.booted).Seconds()), nil
	}
	return n.data, nil
}

// uptime is the file that has the seconds since the host was started, whatever its clock says.
const uptime = "/proc/uptime"

// OpenFile implements task.FS.
func (h *Host) OpenFile(_ context.Context, name string) (io.ReadCloser, error) {
	text, err := h.read(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// Stat implements task.FS.
func (h *Host) Stat(_ context.Context, name string) (task.FileInfo, error) {
	return h.stat("stat", name, true)
}

// Lstat implements task.FS.
func (h *Host) Lstat(_ context.Context, name string) (task.FileInfo, error) {
	return h.stat("lstat", name, false)
}

func (h *Host) stat(op, name string, follow bool) (task.FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, n, err := h.files.find(op, name, follow)
	if err != nil {
		return task.FileInfo{}, err
	}
	return h.files.info(at, n), nil
}

// ReadDir implements task.FS.
func (h *Host) ReadDir(_ context.Context, name string) ([]task.FileInfo, error) { return h.List(name) }

// List is ReadDir, as a program does it.
func (h *Host) List(name string) ([]task.FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, n, err := h.files.find("open", name, true)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, wrong("readdir", name, errNotDir)
	}
	var out []task.FileInfo
	for _, kid := range h.files.list(at) {
		below := join(at, kid)
		out = append(out, h.files.info(below, h.files.at(below)))
	}
	return out, nil
}

// Glob implements task.FS.
func (h *Host) Glob(_ context.Context, pattern string) ([]string, error) { return h.match(pattern) }

func (h *Host) match(pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	pattern = path.Clean(pattern)
	fixed := 0 // parts before it have no pattern
	if i := strings.IndexAny(pattern, `*?[\`); i > 0 {
		fixed = strings.LastIndexByte(pattern[:i], '/')
	} else {
		fixed = strings.LastIndexByte(pattern, '/')
	}
	return h.files.glob(path.Clean("/"+pattern[:max(fixed, 0)]), strings.Split(strings.Trim(pattern[max(fixed, 0):], "/"), "/")), nil
}

// glob are the paths in a directory that fit, part by part.
func (t *tree) glob(dir string, parts []string) []string {
	at, n, err := t.find("open", dir, true)
	if err != nil || !n.mode.IsDir() {
		return nil
	}
	var out []string
	for _, kid := range t.list(at) {
		if ok, _ := path.Match(parts[0], kid); !ok {
			continue
		}
		if len(parts) == 1 {
			out = append(out, join(dir, kid))
		} else {
			out = append(out, t.glob(join(dir, kid), parts[1:])...)
		}
	}
	return out
}

// WriteFile implements task.FS.
func (h *Host) WriteFile(_ context.Context, name string, r io.Reader, a task.Attr) error {
	b := h.o.Image.buffer()
	defer h.o.Image.buffers.Put(b)
	if _, err := b.ReadFrom(r); err != nil {
		return err
	}
	return h.write(name, h.o.Texts.Bytes(b.Bytes()), a)
}

// Mkdir makes a directory of that mode where there is none, with those above it: what a program does.
func (h *Host) Mkdir(name string, mode fs.FileMode) error {
	if err := h.mkdir(path.Dir(name), task.Attr{}); err != nil {
		return err
	}
	return h.mkdir(name, task.Attr{Mode: mode})
}

// Write replaces a file, with the directories above it: what a program does.
func (h *Host) Write(name, text string, mode fs.FileMode) error {
	if err := h.mkdir(path.Dir(name), task.Attr{}); err != nil {
		return err
	}
	return h.write(name, text, task.Attr{Mode: mode})
}

// kernelMade tells whether a path lies where the kernel alone makes files.
func kernelMade(at string) bool {
	return strings.HasPrefix(at, "/proc/") || strings.HasPrefix(at, "/sys/")
}

func (h *Host) write(name, text string, a task.Attr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, err := h.files.resolve(name, true)
	if err != nil {
		return wrong("open", name, err)
	}
	kernel := kernelMade(at)
	if h.full && !kernel {
		return wrong("write", name, errFull)
	}
	have := h.files.at(at)
	switch {
	case have != nil && have.mode.IsDir():
		return wrong("open", name, errIsDir)
	case have == nil && (kernel || !h.files.isDir(path.Dir(at))):
		return wrong("write", name, h.files.missing(at))
	case have == nil:
		have = &node{mode: 0o644, owner: "root", group: "root"}
	}
	if a, err = h.owned(a); err != nil {
		return wrong("write", name, err)
	}
	if strings.HasPrefix(at, "/proc/sys/") && (!strings.HasSuffix(text, "\n") || strings.ContainsAny(text[:len(text)-1], " \t\n")) {
		text = strings.Join(strings.Fields(text), "\t") + "\n"
	}
	n := have.with(a)
	n.data, n.mtime = h.share(text), h.now()
	h.files.set(at, &n)
	return nil
}

// MkdirAll implements task.FS.
func (h *Host) MkdirAll(_ context.Context, name string, a task.Attr) error { return h.mkdir(name, a) }

func (h *Host) mkdir(name string, a task.Attr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, err := h.files.resolve(name, true)
	if err != nil {
		return wrong("mkdir", name, err)
	}
	if kernelMade(at) && !h.files.isDir(at) {
		return wrong("mkdir", name, h.files.missing(at))
	}
	if a, err = h.owned(a); err != nil {
		return wrong("set owner", name, err)
	}
	err = h.files.mkdirs(at, func() *node {
		n := node{mode: fs.ModeDir | 0o755, owner: "root", group: "root", mtime: h.now()}.with(a)
		return &n
	})
	if err != nil {
		return wrong("mkdir", name, err)
	}
	return nil
}

// SetAttr implements task.FS.
func (h *Host) SetAttr(_ context.Context, name string, a task.Attr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, err := h.owned(a)
	if err != nil {
		return wrong("set owner", name, err)
	}
	at, n, err := h.files.find("stat", name, true)
	if err == nil {
		changed := n.with(a)
		changed.mtime = h.files.changed(at)
		h.files.set(at, &changed)
	}
	return err
}

// Symlink implements task.FS.
func (h *Host) Symlink(_ context.Context, target, name string) error { return h.link(target, name) }

func (h *Host) link(target, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, err := h.files.resolve(name, false)
	if err != nil {
		return wrong("symlink", name, err)
	}
	if h.files.at(path.Dir(at)) == nil {
		return wrong("symlink", name, fs.ErrNotExist)
	}
	if n := h.files.at(at); n != nil && n.mode.IsDir() {
		return wrong("symlink", name, fs.ErrExist)
	}
	h.files.set(at, &node{mode: fs.ModeSymlink | 0o777, owner: "root", group: "root", target: target, mtime: h.now()})
	return nil
}

// Rename implements task.FS.
func (h *Host) Rename(_ context.Context, from, to string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	src, _, err := h.files.find("rename", from, false)
	if err != nil {
		return err
	}
	dst, err := h.files.resolve(to, false)
	if err == nil && h.files.at(path.Dir(dst)) == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return wrong("rename", to, err)
	}
	h.files.remove(dst)
	h.files.move(src, dst)
	return nil
}

func (t *tree) move(from, to string) {
	n := *t.at(from)
	n.mtime = t.changed(from)
	t.set(to, &n)
	if n.mode.IsDir() {
		for _, kid := range t.list(from) {
			t.move(join(from, kid), join(to, kid))
		}
	}
	t.set(from, nil)
}

// Remove implements task.FS.
func (h *Host) Remove(_ context.Context, name string) error { return h.Unlink(name) }

// Unlink is Remove, as a program does it.
func (h *Host) Unlink(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, err := h.files.resolve(name, false)
	if err != nil {
		return wrong("remove", name, err)
	}
	if at == "/" {
		return wrong("remove", name, fs.ErrPermission)
	}
	h.files.remove(at)
	return nil
}

// Exists tells whether there is something at a path.
func (h *Host) Exists(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files.exists(name)
}

// Text is the content of a file; "" when there is none.
func (h *Host) Text(name string) string {
	text, _ := h.read(name)
	return text
}
