package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/kflow/kflow/engine/task"
)

// explain adds to an error of a file operation what a person needs to mend it. errors.Is sees the cause as before.
func explain(op, path string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		err = pe.Err // op and path are said below, without names of temporary files
	case errors.As(err, &le):
		err = le.Err
	}
	named := &fs.PathError{Op: op, Path: path, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return task.Failf("%w", named).WithHint("%s: free some space or inodes, then run again", free(path))
	case errors.Is(err, syscall.EROFS):
		return task.Failf("%w", named).WithHint("the file system of %s is mounted read-only: `findmnt -T %s` shows it, "+
			"`dmesg` tells whether an error made it so", path, path)
	case errors.Is(err, fs.ErrPermission):
		return task.Failf("%w", named).WithHint("%s", deniedHint())
	}
	return named
}

func deniedHint() string {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Sprintf("the agent runs as uid %d, not as root: set `become: true` for this host", uid)
	}
	return "root was refused: an immutable attribute (lsattr), SELinux (ausearch -m avc) or a mount option may be the reason"
}

// free says how much room the file system of path has.
func free(path string) string {
	var st syscall.Statfs_t
	dir := path
	for syscall.Statfs(dir, &st) != nil && dir != "/" {
		dir = filepath.Dir(dir)
	}
	bs := uint64(st.Bsize)
	return fmt.Sprintf("the file system of %s has %d MiB of %d MiB and %d of %d inodes free", dir, st.Bavail*bs>>20, st.Blocks*bs>>20,
		st.Ffree, st.Files)
}
