package download

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
)

// options are the parameters that decide what is unpacked, as text.
func (u *Unpack) options() string {
	return fmt.Sprintf("strip=%d include=%s", u.Strip, strings.Join(u.Include, ","))
}

// unpack unpacks an archive that lies on the host.
func (u *Unpack) unpack(ctx context.Context, h task.Host, file string, readers *sync.Pool) ([]entry, error) {
	f, err := h.OpenFile(ctx, file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := h.Stat(ctx, file)
	if err != nil {
		return nil, err
	}
	plain, done, err := gunzip(f, info.Size, readers)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := h.MkdirAll(ctx, u.To, task.Attr{}); err != nil {
		return nil, err
	}
	x := &extraction{Unpack: u, h: h}
	for r := tar.NewReader(plain); ; {
		hdr, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, task.Failf("the file cannot be unpacked: %w", err).WithHint("is it a tar archive, plain or gzip, and complete?")
		}
		if err := x.entry(ctx, hdr, r); err != nil {
			return nil, err
		}
	}
	if len(x.files) == 0 {
		return nil, task.Failf("nothing in the archive matches").
			WithHint("it has: %s; look at strip and include", strings.Join(x.seen, ", "))
	}
	return x.files, nil
}

// gunzip unpacks gzip of a size, and leaves other data alone. done says that what was returned is not used any more.
func gunzip(r io.Reader, size int64, readers *sync.Pool) (plain io.Reader, done func(), err error) {
	b := bufio.NewReaderSize(r, int(min(size, 1<<16)))
	if magic, _ := b.Peek(2); len(magic) != 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, func() {}, nil
	}
	z, ok := readers.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	return z, func() { readers.Put(z) }, z.Reset(b)
}

// extraction is an archive being unpacked.
type extraction struct {
	*Unpack
	h     task.Host
	files []entry
	links []string // symbolic links of this archive: nothing is written through them
	seen  []string // some names of the archive, for an error
}

func (x *extraction) entry(ctx context.Context, hdr *tar.Header, r io.Reader) error {
	const most = 10
	if len(x.seen) < most {
		x.seen = append(x.seen, hdr.Name)
	}
	name, ok := x.chosen(hdr.Name)
	if !ok {
		return nil
	}
	if !fs.ValidPath(name) {
		return task.Failf("the archive has an entry %q that would lie outside of %s", hdr.Name, x.To).WithHint("do not use this archive")
	}
	dst := path.Join(x.To, name)
	if i := slices.IndexFunc(x.links, func(l string) bool { return strings.HasPrefix(dst, l+"/") }); i >= 0 {
		return task.Failf("the archive has an entry %q behind its own symbolic link %s", hdr.Name, x.links[i]).WithHint("do not use this archive")
	}
	switch hdr.Typeflag {
	case tar.TypeDir:
		return x.h.MkdirAll(ctx, dst, task.Attr{})
	case tar.TypeReg:
		return x.file(ctx, dst, fs.FileMode(hdr.Mode).Perm(), r)
	case tar.TypeSymlink:
		return x.link(ctx, dst, hdr)
	case tar.TypeLink:
		return x.hardlink(ctx, dst, hdr)
	}
	return nil // devices, pipes and headers
}

// chosen is the name of an entry below the directory, if it is to be unpacked.
func (x *extraction) chosen(name string) (string, bool) {
	name = strings.TrimPrefix(path.Clean(name), "/")
	for range x.Strip {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return "", false
		}
		name = rest
	}
	if name == "." || name == "" {
		return "", false
	}
	if len(x.Include) == 0 {
		return name, true
	}
	return name, slices.ContainsFunc(x.Include, func(pattern string) bool {
		whole, _ := path.Match(pattern, name)
		return whole || strings.HasPrefix(name, strings.TrimSuffix(pattern, "/")+"/")
	})
}

func (x *extraction) file(ctx context.Context, dst string, mode fs.FileMode, r io.Reader) error {
	if err := x.h.MkdirAll(ctx, path.Dir(dst), task.Attr{}); err != nil {
		return err
	}
	// A link in the place of a file would be followed, perhaps out of the directory.
	if info, err := x.h.Lstat(ctx, dst); err == nil && info.Mode&fs.ModeSymlink != 0 {
		if err := x.h.Remove(ctx, dst); err != nil {
			return err
		}
	}
	sum := sha256.New()
	if err := x.h.WriteFile(ctx, dst, io.TeeReader(r, sum), task.Attr{Mode: mode, Owner: "root", Group: "root"}); err != nil {
		return err
	}
	x.files = append(x.files, entry{Path: dst, SHA256: hostfile.Hex(sum), Mode: modeText(mode)})
	return nil
}

func (x *extraction) link(ctx context.Context, dst string, hdr *tar.Header) error {
	target := hdr.Linkname
	if path.IsAbs(target) || !within(x.To, path.Join(path.Dir(dst), target)) {
		return task.Failf("the archive has a link %q to %q, outside of %s", hdr.Name, target, x.To).WithHint("leave it out with include, or make the link yourself with the kind file")
	}
	if err := x.h.MkdirAll(ctx, path.Dir(dst), task.Attr{}); err != nil {
		return err
	}
	if err := x.h.Symlink(ctx, target, dst); err != nil {
		return err
	}
	x.links = append(x.links, dst)
	x.files = append(x.files, entry{Path: dst, Link: target})
	return nil
}

// hardlink becomes a copy: names in an archive are not worth a shared inode.
func (x *extraction) hardlink(ctx context.Context, dst string, hdr *tar.Header) error {
	name, ok := x.chosen(hdr.Linkname)
	i := slices.IndexFunc(x.files, func(e entry) bool { return e.Path == path.Join(x.To, name) && e.Link == "" })
	if !ok || i < 0 {
		return task.Failf("the archive has a link %q to %q, which is not unpacked", hdr.Name, hdr.Linkname).WithHint("include %s too", hdr.Linkname)
	}
	r, err := x.h.OpenFile(ctx, x.files[i].Path)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return x.file(ctx, dst, fs.FileMode(hdr.Mode).Perm(), r)
}

func within(dir, name string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
