// Package whole writes files that appear whole or not at all, and leaves nothing behind, however the process that writes
// them ends.
//
// A file is written without a name (O_TMPFILE), so that the kernel takes it away when its writer is killed; only when it is
// whole it gets a name beside its target for a moment, and is renamed. Where the file system has no files without name it
// has that name from the beginning: .TARGET.kflow-ID. Its writer holds a lock on it (flock), which the kernel releases with
// the process: so whoever writes into the same directory later can tell what is left over, and Sweep takes it away.
package whole

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// File is a file that is not at its target yet.
type File struct {
	*os.File
	target string
	name   string // beside the target; "" while it has none
}

// leftover are the names that files and links get beside their target; the id is that of crypto/rand.Text.
var leftover = regexp.MustCompile(`^\..+\.kflow-[A-Z2-7]{26}$`)

// Name is a name for something that is to be renamed to target, and that Sweep knows.
func Name(target string) string {
	base := filepath.Base(target)
	if len(base) > 180 { // a name has 255 bytes at most
		sum := sha256.Sum256([]byte(base))
		base = base[:160] + "-" + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(filepath.Dir(target), "."+base+".kflow-"+rand.Text())
}

// Create makes a file that will take the place of target. What is there already must be a file: a device or a pipe would be
// gone for all who use it.
func Create(target string) (*File, error) {
	if st, err := os.Stat(target); err == nil && !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "replace", Path: target, Err: errors.New("it is there, and no regular file")}
	}
	fd, err := unix.Open(filepath.Dir(target), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return createNamed(target)
	}
	f := &File{File: os.NewFile(uintptr(fd), target), target: target}
	if err := f.lock(); err != nil {
		f.Discard()
		return nil, err
	}
	return f, nil
}

// createNamed is Create where the file system has no files without name.
func createNamed(target string) (*File, error) {
	for range 100 {
		name := Name(target)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		w := &File{File: f, target: target, name: name}
		if err := w.lock(); err != nil {
			w.Discard()
			return nil, err
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err == nil && st.Nlink > 0 {
			return w, nil
		}
		f.Close() // swept away before it was locked
	}
	return nil, fmt.Errorf("%s: no temporary file beside it stays there", target)
}

// lock tells Sweep that the file has a living writer. A file system without locks does without.
func (f *File) lock() error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		default:
			return err
		}
	}
}

// Aim says where in its directory the file belongs, for one whose name is known when it is whole.
func (f *File) Aim(target string) { f.target = target }

// SetLabel gives the file an extended attribute.
func (f *File) SetLabel(name string, value []byte) error {
	return unix.Fsetxattr(int(f.Fd()), name, value, 0)
}

// Commit puts the file in the place of its target and closes it. On an error it is closed and gone, and the target is as
// before; but with EBUSY (the target is a mount itself) it is still open, and the caller may read it and Discard it.
func (f *File) Commit() error {
	if f.name == "" {
		name := Name(f.target)
		if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
			f.Discard()
			return &fs.PathError{Op: "link", Path: name, Err: err}
		}
		f.name = name
	}
	err := os.Rename(f.name, f.target)
	if errors.Is(err, unix.EBUSY) {
		return err
	}
	if err != nil {
		f.Discard()
		return err
	}
	f.name = ""
	return f.Close()
}

// Discard closes the file and takes it away. After Commit it does nothing.
func (f *File) Discard() {
	if f.name != "" {
		os.Remove(f.name)
		f.name = ""
	}
	f.Close()
}

// WriteTo copies what was written.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(w, struct{ io.Reader }{f.File})
}

// linkAge is how long a link may wait for its rename, which comes at once: a link can't be locked.
const linkAge = time.Minute

// Sweep takes away what writers that were killed have left in a directory: files of ours by name and owner that nobody
// holds a lock on.
func Sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if leftover.MatchString(e.Name()) {
			sweep(filepath.Join(dir, e.Name()))
		}
	}
}

func expired(made time.Time) bool { return time.Since(made) > linkAge }

func sweep(path string) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || int(st.Uid) != os.Geteuid() {
		return
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		if expired(time.Unix(st.Ctim.Unix())) {
			os.Remove(path)
		}
	case unix.S_IFREG:
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		var now unix.Stat_t
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil && unix.Fstat(fd, &now) == nil && now.Ino == st.Ino && now.Dev == st.Dev {
			os.Remove(path)
		}
	}
}
