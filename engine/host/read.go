package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"

	"github.com/kflow/kflow/engine/task"
)

// maxRead is the largest file ReadFile reads, in bytes.
const maxRead = 64 << 20

// absolute refuses paths that depend on where this process stands.
func absolute(op, path string) error {
	if !filepath.IsAbs(path) {
		return &fs.PathError{Op: op, Path: path, Err: errors.New("the path is not absolute")}
	}
	return nil
}

// ReadFile implements task.FS.
func (m *Machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	f, err := m.OpenFile(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err != nil {
		return nil, explain("read", path, err)
	}
	if len(b) > maxRead {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxRead>>20)
	}
	return b, nil
}

// OpenFile implements task.FS. A named pipe or device is refused: reading it might never end.
func (m *Machine) OpenFile(_ context.Context, path string) (io.ReadCloser, error) {
	if err := absolute("open", path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, explain("open", path, err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	}
	if err == nil && st.Mode()&fs.ModeNamedPipe != 0 {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("is a named pipe")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Stat implements task.FS.
func (m *Machine) Stat(_ context.Context, path string) (task.FileInfo, error) {
	if err := absolute("stat", path); err != nil {
		return task.FileInfo{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return task.FileInfo{}, explain("stat", path, err)
	}
	return m.info(path, filepath.Base(path), st), nil
}

// Lstat implements task.FS.
func (m *Machine) Lstat(_ context.Context, path string) (task.FileInfo, error) {
	if err := absolute("stat", path); err != nil {
		return task.FileInfo{}, err
	}
	st, err := os.Lstat(path)
	if err != nil {
		return task.FileInfo{}, explain("stat", path, err)
	}
	return m.info(path, filepath.Base(path), st), nil
}

func (m *Machine) info(path, name string, st fs.FileInfo) task.FileInfo {
	fi := task.FileInfo{Name: name, Size: st.Size(), Mode: st.Mode(), MTime: st.ModTime()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		fi.Owner, fi.Group = m.names.users.name(int(sys.Uid)), m.names.groups.name(int(sys.Gid))
	}
	if st.Mode()&fs.ModeSymlink != 0 {
		fi.Target, _ = os.Readlink(path)
	}
	return fi
}

// ReadDir implements task.FS; the entries come by name.
func (m *Machine) ReadDir(_ context.Context, path string) ([]task.FileInfo, error) {
	if err := absolute("read", path); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, explain("read", path, err)
	}
	out := make([]task.FileInfo, 0, len(entries))
	for _, e := range entries {
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, explain("read", path, err)
		}
		out = append(out, m.info(filepath.Join(path, e.Name()), e.Name(), st))
	}
	return out, nil
}

// Glob implements task.FS; the paths come sorted.
func (m *Machine) Glob(_ context.Context, pattern string) ([]string, error) {
	if err := absolute("glob", pattern); err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(pattern)
	sort.Strings(paths)
	return paths, err
}
