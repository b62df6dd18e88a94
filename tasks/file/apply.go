package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/notyet"
	"github.com/kflow/kflow/tasks/internal/program"
	"github.com/kflow/kflow/tasks/internal/textdiff"
)

// write is the change that gives the file its content, and mode and owner with it.
func (p *File) write(now *task.FileInfo, before string, w *wanted) task.Change {
	attr := p.attr()
	if now == nil {
		attr = merge(attr, w.attr)
		if attr.Mode == 0 && w.secret {
			attr.Mode = secretMode
		}
	}
	diff := textdiff.Unified(p.Path, before, w.text)
	if now != nil {
		diff += p.attrDiff(now)
	}
	return task.Change{Summary: "write " + p.Path, Diff: diff, Secret: w.secret, Apply: func(ctx context.Context, h task.Host) error {
		if err := p.validate(ctx, h, w.text); err != nil {
			return err
		}
		return p.place(ctx, h, now, strings.NewReader(w.text), attr)
	}}
}

// secretMode is what a new file with a secret in it has, unless the task says otherwise.
const secretMode = 0o600

// send is write for a large file, which is compared by its hash.
func (p *File) send(ctx context.Context, h task.Host, c task.Content, now *task.FileInfo) ([]task.Change, error) {
	if now != nil && now.Size == c.Size {
		hash, err := hostfile.Hash(ctx, h, p.Path)
		if err != nil {
			return nil, err
		}
		if hash == c.SHA256 {
			return p.attributes(now), nil
		}
	}
	return []task.Change{{
		Summary: "write " + p.Path,
		Diff:    fmt.Sprintf("%s, %d bytes, SHA-256 %s", c.Name, c.Size, c.SHA256),
		Apply: func(ctx context.Context, h task.Host) error {
			r, err := h.Open(ctx, c)
			if err != nil {
				return err
			}
			defer r.Close()
			attr := p.attr()
			if now == nil && c.Secret && attr.Mode == 0 {
				attr.Mode = secretMode
			}
			return p.place(ctx, h, now, r, attr)
		},
	}}, nil
}

func merge(a, otherwise task.Attr) task.Attr {
	if a.Mode == 0 {
		a.Mode = otherwise.Mode
	}
	if a.Owner == "" {
		a.Owner = otherwise.Owner
	}
	if a.Group == "" {
		a.Group = otherwise.Group
	}
	return a
}

// place writes the file, after its directory and the backup.
func (p *File) place(ctx context.Context, h task.Host, now *task.FileInfo, r io.Reader, attr task.Attr) error {
	if p.Parents {
		if err := h.MkdirAll(ctx, path.Dir(p.Path), task.Attr{}); err != nil {
			return err
		}
	}
	if p.Backup && now != nil {
		if err := p.backup(ctx, h, now); err != nil {
			return err
		}
	}
	return h.WriteFile(ctx, p.Path, r, attr)
}

func (p *File) backup(ctx context.Context, h task.Host, now *task.FileInfo) error {
	r, err := h.OpenFile(ctx, p.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	name := p.Path + h.Now().UTC().Format(".20060102-150405~")
	h.Log("the file before is kept as " + name)
	return h.WriteFile(ctx, name, r, task.Attr{Mode: now.Mode &^ fs.ModeType, Owner: now.Owner, Group: now.Group})
}

// checkDir holds new content while a program looks at it; only root may read it.
const checkDir = "/run/kflow"

func (p *File) validate(ctx context.Context, h task.Host, text string) error {
	if len(p.Validate) == 0 {
		return nil
	}
	if err := h.MkdirAll(ctx, checkDir, task.Attr{Mode: 0o700}); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(p.Path))
	dir := path.Join(checkDir, hex.EncodeToString(sum[:4])) // another task may check a file of this name at the same time
	if err := h.MkdirAll(ctx, dir, task.Attr{Mode: 0o700}); err != nil {
		return err
	}
	name := path.Join(dir, path.Base(p.Path))
	if err := h.WriteFile(ctx, name, strings.NewReader(text), task.Attr{Mode: 0o600}); err != nil {
		return err
	}
	argv := slices.Clone(p.Validate)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "%s", name)
	}
	o, err := h.Run(ctx, task.Cmd(argv...))
	if program.Missing(err) {
		err = notyet.Failf("program:"+argv[0], "there is no program %s to check the new content of %s with", argv[0], p.Path).
			WithHint("let this task need the one that installs it; the file on the host is unchanged")
	}
	if err := errors.Join(err, h.Remove(context.WithoutCancel(ctx), dir)); err != nil {
		return err
	}
	if !o.OK() {
		return task.Failf("%s refuses the new content of %s (exit code %d)", argv[0], p.Path, o.Code).WithOutput(o).
			WithHint("the file on the host is unchanged; mend the source or the values it is made of")
	}
	return nil
}

// named replaces numbers that were given for user and group by the names that the host has for them, since it reports
// names.
func (p *File) named(ctx context.Context, h task.Host) error {
	var err error
	if p.Owner, err = hostfile.UserName(ctx, h, p.Owner); err == nil {
		p.Group, err = hostfile.GroupName(ctx, h, p.Group)
	}
	return err
}

// attributes is the change of mode and owner alone.
func (p *File) attributes(now *task.FileInfo) []task.Change {
	diff := p.attrDiff(now)
	if diff == "" {
		return nil
	}
	return []task.Change{{Summary: "set mode and owner of " + p.Path, Diff: diff, Apply: func(ctx context.Context, h task.Host) error {
		return h.SetAttr(ctx, p.Path, p.attr())
	}}}
}

func (p *File) attrDiff(now *task.FileInfo) string {
	want, diff := p.attr(), ""
	if have := now.Mode &^ fs.ModeType; want.Mode != 0 && have != want.Mode {
		diff += fmt.Sprintf("mode: %s -> %s\n", hostfile.Octal(have), hostfile.Octal(want.Mode))
	}
	if want.Owner != "" && want.Owner != now.Owner {
		diff += fmt.Sprintf("owner: %s -> %s\n", now.Owner, want.Owner)
	}
	if want.Group != "" && want.Group != now.Group {
		diff += fmt.Sprintf("group: %s -> %s\n", now.Group, want.Group)
	}
	return diff
}

func (p *File) absent(ctx context.Context, h task.Host) ([]task.Change, error) {
	there, err := hostfile.Exists(ctx, h, p.Path)
	if err != nil || !there {
		return nil, err
	}
	return []task.Change{{Summary: "remove " + p.Path, Apply: func(ctx context.Context, h task.Host) error {
		return h.Remove(ctx, p.Path)
	}}}, nil
}

func (p *File) symlink(ctx context.Context, h task.Host) ([]task.Change, error) {
	fi, err := h.Lstat(ctx, p.Path)
	have := "nothing"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := p.parent(ctx, h); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case fi.Mode.IsDir():
		return nil, task.Failf("%s is a directory, not a link", p.Path).WithHint("remove it first with `absent: true`")
	case fi.Mode&fs.ModeSymlink == 0:
		have = "a file"
	case fi.Target == p.Symlink:
		return nil, nil
	default:
		have = fi.Target
	}
	return []task.Change{{Summary: "link " + p.Path + " to " + p.Symlink, Diff: have + " -> " + p.Symlink, Apply: p.link}}, nil
}

func (p *File) link(ctx context.Context, h task.Host) error {
	if p.Parents {
		if err := h.MkdirAll(ctx, path.Dir(p.Path), task.Attr{}); err != nil {
			return err
		}
	}
	return h.Symlink(ctx, p.Symlink, p.Path)
}

func (p *File) directory(ctx context.Context, h task.Host) ([]task.Change, error) {
	now, err := look(ctx, h, p.Path)
	switch {
	case err != nil:
		return nil, err
	case now == nil:
		return []task.Change{{Summary: "make directory " + p.Path, Apply: p.mkdir}}, nil
	case !now.Mode.IsDir():
		return nil, task.Failf("%s is not a directory", p.Path).WithHint("remove it first with `absent: true`")
	}
	return p.attributes(now), nil
}

// mkdir makes the directory; mode and owner are for it alone, not for those above it.
func (p *File) mkdir(ctx context.Context, h task.Host) error {
	if err := h.MkdirAll(ctx, path.Dir(p.Path), task.Attr{}); err != nil {
		return err
	}
	return h.MkdirAll(ctx, p.Path, p.attr())
}
