package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/kflow/kflow/engine/host/whole"
	"github.com/kflow/kflow/engine/task"
)

// MkdirAll implements task.FS.
func (m *Machine) MkdirAll(ctx context.Context, path string, a task.Attr) error {
	if err := absolute("mkdir", path); err != nil {
		return err
	}
	st, err := os.Stat(path)
	switch {
	case err == nil && st.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return explain("mkdir", path, err)
	}
	if err := m.MkdirAll(ctx, filepath.Dir(path), a); err != nil {
		return err
	}
	if a.Mode == 0 {
		a.Mode = 0o755
	}
	// Made private first, so that nobody uses it before owner and mode are right.
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain("mkdir", path, err)
	}
	if os.Geteuid() == 0 {
		a.Owner, a.Group = orZero(a.Owner), orZero(a.Group)
	}
	return m.SetAttr(ctx, path, a)
}

func orZero(name string) string {
	if name == "" {
		return "0"
	}
	return name
}

// SetAttr implements task.FS; a symbolic link is followed.
func (m *Machine) SetAttr(_ context.Context, path string, a task.Attr) error {
	if err := absolute("set attributes", path); err != nil {
		return err
	}
	uid, gid, err := m.ids(a)
	if err != nil {
		return &fs.PathError{Op: "set owner", Path: path, Err: err}
	}
	st, err := os.Stat(path)
	if err != nil {
		return explain("stat", path, err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	mode := st.Mode() & settable
	if given(uid, int(sys.Uid)) != int(sys.Uid) || given(gid, int(sys.Gid)) != int(sys.Gid) {
		if err := os.Chown(path, uid, gid); err != nil {
			return explain("set owner", path, err)
		}
		mode = 0 // chown may take bits away: set the mode again
	}
	want := a.Mode & settable
	if want == 0 {
		want = st.Mode() & settable
	}
	if mode == want {
		return nil
	}
	if err := os.Chmod(path, want); err != nil {
		return explain("set mode", path, err)
	}
	return nil
}

// Symlink implements task.FS.
func (m *Machine) Symlink(_ context.Context, target, path string) error {
	if err := absolute("link", path); err != nil {
		return err
	}
	if st, err := os.Lstat(path); err == nil && st.IsDir() {
		return &fs.PathError{Op: "link", Path: path, Err: syscall.EISDIR}
	}
	m.sweep(filepath.Dir(path))
	tmp := whole.Name(path)
	if err := os.Symlink(target, tmp); err != nil {
		return explain("link", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return explain("link", path, err)
	}
	syncDir(filepath.Dir(path))
	return nil
}

// Rename implements task.FS.
func (m *Machine) Rename(_ context.Context, from, to string) error {
	if err := errors.Join(absolute("rename", from), absolute("rename", to)); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return explain("rename", from, err)
	}
	syncDir(filepath.Dir(to))
	return nil
}

// Remove implements task.FS. It refuses the root directory.
func (m *Machine) Remove(_ context.Context, path string) error {
	if err := absolute("remove", path); err != nil {
		return err
	}
	if filepath.Clean(path) == "/" {
		return &fs.PathError{Op: "remove", Path: path, Err: errors.New("refused")}
	}
	if err := os.RemoveAll(path); err != nil {
		return explain("remove", path, err)
	}
	return nil
}
