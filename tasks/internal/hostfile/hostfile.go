// Package hostfile has what several kinds need to look at and to write files of a host.
package hostfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/textdiff"
)

// Read returns the content of a file; exists is false, and err nil, where there is none.
func Read(ctx context.Context, h task.Host, name string) (content string, exists bool, err error) {
	b, err := h.ReadFile(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return string(b), err == nil, err
}

// Exists tells whether there is something at name; a symbolic link counts, wherever it points.
func Exists(ctx context.Context, h task.Host, name string) (bool, error) {
	_, err := h.Lstat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Hash is the SHA-256 (hex) of a file of any size; "" where there is none.
func Hash(ctx context.Context, h task.Host, name string) (string, error) {
	r, err := h.OpenFile(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, r)
	return Hex(sum), err
}

// Hex is a SHA-256 as text.
func Hex(sum hash.Hash) string {
	var raw [sha256.Size]byte
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum.Sum(raw[:0]))
	return string(text[:])
}

// Want returns the change that gives a file the content after, or nil when before is that already. The directory of the
// file is made when it is missing.
func Want(name, before, after string, exists bool, attr task.Attr) []task.Change {
	if exists && before == after {
		return nil
	}
	return []task.Change{{
		Summary: "write " + name,
		Diff:    textdiff.Unified(name, before, after),
		Apply:   func(ctx context.Context, h task.Host) error { return Write(ctx, h, name, after, attr) },
	}}
}

// Write writes a file and makes its directory when that is missing.
func Write(ctx context.Context, h task.Host, name, content string, attr task.Attr) error {
	if err := h.MkdirAll(ctx, path.Dir(name), task.Attr{}); err != nil {
		return err
	}
	return h.WriteFile(ctx, name, strings.NewReader(content), attr)
}

// Octal is a mode as chmod takes it, with setuid, setgid and sticky.
func Octal(m fs.FileMode) string {
	n := uint32(m.Perm())
	for i, flag := range []fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid} {
		if m&flag != 0 {
			n |= 0o1000 << i
		}
	}
	return fmt.Sprintf("%04o", n)
}

// UserName is the name that the host has for a user who is given by number; hosts report names. A name stays as it is, and so
// does a number without a name.
func UserName(ctx context.Context, h task.Host, id string) (string, error) {
	return nameOf(ctx, h, "/etc/passwd", id)
}

// GroupName is UserName for groups.
func GroupName(ctx context.Context, h task.Host, id string) (string, error) {
	return nameOf(ctx, h, "/etc/group", id)
}

func nameOf(ctx context.Context, h task.Host, database, id string) (string, error) {
	if strings.Trim(id, "0123456789") != "" || id == "" {
		return id, nil
	}
	text, _, err := Read(ctx, h, database)
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == id {
			return f[0], nil
		}
	}
	return id, err
}
