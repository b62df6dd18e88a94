package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kflow/kflow/engine/host/whole"
	"github.com/kflow/kflow/engine/task"
)

// WriteFile implements task.FS. A cancelled ctx ends it between two pieces of r, with nothing changed.
func (m *Machine) WriteFile(ctx context.Context, path string, r io.Reader, a task.Attr) error {
	if err := absolute("write", path); err != nil {
		return err
	}
	target, err := follow(path)
	if err != nil {
		return explain("write", path, err)
	}
	old, err := os.Stat(target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain("write", path, err)
	}
	if old != nil && old.IsDir() {
		return &fs.PathError{Op: "write", Path: path, Err: syscall.EISDIR}
	}
	uid, gid, err := m.ids(a)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	r = &ctxReader{ctx, r}
	if old != nil && inPlace(target, old) {
		return overwrite(target, r)
	}
	return m.replace(path, target, old, r, attrs{a.Mode, uid, gid})
}

type attrs struct {
	mode     fs.FileMode
	uid, gid int // -1 = not given
}

func (m *Machine) ids(a task.Attr) (uid, gid int, err error) {
	if uid, err = m.names.users.id(a.Owner); err != nil {
		return
	}
	gid, err = m.names.groups.id(a.Group)
	return
}

// follow is the file at the end of the symbolic links at path; it need not exist.
func follow(path string) (string, error) {
	for range 40 {
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link, or nothing there: the write itself says what is wrong
		}
		if err := trusted(path); err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", syscall.ELOOP
}

// trusted refuses a symbolic link that another user may have put into a directory where all may write, such as /tmp: as the
// kernel does for who opens it (fs.protected_symlinks).
func trusted(link string) error {
	l, err := os.Lstat(link)
	if err != nil {
		return err
	}
	d, err := os.Stat(filepath.Dir(link))
	if err != nil {
		return err
	}
	owner := l.Sys().(*syscall.Stat_t).Uid
	shared := d.Mode()&fs.ModeSticky != 0 && d.Mode()&0o002 != 0
	if shared && int(owner) != os.Geteuid() && owner != d.Sys().(*syscall.Stat_t).Uid {
		return task.Failf("%s is a symbolic link of another user, in a directory where all may write", link).
			WithHint("it may lead anywhere: look at it, and remove it")
	}
	return nil
}

// inPlace tells whether a file cannot be replaced: the kernel made it.
func inPlace(path string, st fs.FileInfo) bool {
	return !st.Mode().IsRegular() || strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/sys/")
}

// overwrite writes into the file that is there, in one write: that is what /proc and /sys want.
func overwrite(path string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return explain("write", path, err)
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return explain("write", path, err)
	}
	return nil
}

// replace puts a new file in the place of target. path is what the caller asked for, for errors.
func (m *Machine) replace(path, target string, old fs.FileInfo, r io.Reader, want attrs) error {
	dir := filepath.Dir(target)
	m.sweep(dir)
	f, err := whole.Create(target)
	if err != nil {
		return explain("write", path, err)
	}
	defer f.Discard()
	err = fill(f, target, old, r, want)
	if err == nil {
		err = f.Commit()
		if errors.Is(err, syscall.EBUSY) { // target is a mount itself, as container runtimes make /etc/hosts
			err = copyOver(f, target)
		}
	}
	if err != nil {
		return explainWrite(path, err)
	}
	syncDir(dir)
	return nil
}

// sweep takes away what agents that were killed have left in a directory, once.
func (m *Machine) sweep(dir string) {
	if _, done := m.swept.LoadOrStore(dir, true); !done {
		whole.Sweep(dir)
	}
}

// explainWrite leaves errors of the source of a write (a lost transfer, a cancel) as they are.
func explainWrite(path string, err error) error {
	var src *sourceError
	if errors.As(err, &src) {
		return src.err
	}
	return explain("write", path, err)
}

// copyOver writes into the file that is there.
func copyOver(from *whole.File, to string) error {
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = from.WriteTo(dst)
	if err == nil {
		err = dst.Sync()
	}
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	return err
}

// fill writes content and attributes. Mode comes last: chown takes setuid away.
func fill(f *whole.File, target string, old fs.FileInfo, r io.Reader, want attrs) error {
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	mode := want.mode
	if mode == 0 {
		mode = 0o644
	}
	if old != nil {
		sys := old.Sys().(*syscall.Stat_t)
		if want.mode == 0 {
			mode = old.Mode()
		}
		want.uid, want.gid = given(want.uid, int(sys.Uid)), given(want.gid, int(sys.Gid))
	}
	if err := chown(f, want.uid, want.gid); err != nil {
		return err
	}
	if err := f.Chmod(mode & settable); err != nil {
		return err
	}
	copyLabel(f, target, old != nil)
	return f.Sync()
}

// settable are the bits of a mode that chmod sets.
const settable = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func given(id, otherwise int) int {
	if id >= 0 {
		return id
	}
	return otherwise
}

// chown gives the file to uid and gid. A new file of root belongs to root:root. It asks the kernel for nothing when the
// file has that owner already, so that a user who is not root can write his own files.
func chown(f *whole.File, uid, gid int) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	sys := st.Sys().(*syscall.Stat_t)
	if os.Geteuid() == 0 {
		uid, gid = given(uid, 0), given(gid, 0)
	}
	if given(uid, int(sys.Uid)) == int(sys.Uid) && given(gid, int(sys.Gid)) == int(sys.Gid) {
		return nil
	}
	return f.Chown(uid, gid)
}

const selinuxLabel = "security.selinux"

// copyLabel gives f the SELinux label of the file it replaces. A new file has the one its directory gives.
func copyLabel(f *whole.File, target string, exists bool) {
	if !exists {
		return
	}
	buf := make([]byte, 256)
	if n, err := syscall.Getxattr(target, selinuxLabel, buf); err == nil && n > 0 {
		_ = f.SetLabel(selinuxLabel, buf[:n])
	}
}

func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // some file systems cannot; the rename has been done
		d.Close()
	}
}

// ctxReader ends with the cause when ctx ends, and marks errors as those of the source.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func (c *ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, &sourceError{context.Cause(c.ctx)}
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}
