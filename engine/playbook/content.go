package playbook

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// LocalFile is a file of the controller that a task sends to hosts.
type LocalFile struct {
	Path string

	open func(string) (io.ReadCloser, error)
	once sync.Once
	sum  string
	size int64
	err  error
}

// Sum is the SHA-256 (hex) and the size of the file, read once. Errors: those of opening and reading.
func (f *LocalFile) Sum() (sha string, size int64, err error) {
	f.once.Do(func() {
		r, err := f.open(f.Path)
		if err != nil {
			f.err = err
			return
		}
		defer r.Close()
		h := sha256.New()
		f.size, f.err = io.Copy(h, r)
		f.sum = hex.EncodeToString(h.Sum(nil))
	})
	return f.sum, f.size, f.err
}

// Open opens the file. Errors: those of opening.
func (f *LocalFile) Open() (io.ReadCloser, error) { return f.open(f.Path) }

// engineFormat reads a parameter that the engine turns into something else before the kind sees it.
func (l *loader) engineFormat(n *syntax.Node, want *shape.Type, site Site) *Value {
	if n.Kind != syntax.Scalar {
		v := l.newValue(n, want, site, Literal)
		l.wrongf(v, "want text, not %s", n.Describe())
		return v
	}
	switch want.Format {
	case "condition":
		return l.condition(n, want, site)
	case "content":
		return l.contentText(n, want, site)
	case "template":
		return l.templateFile(n, want, site)
	case "source":
		return l.sourceFile(n, want, site)
	}
	return l.localPath(n, want, site)
}

// contentText is text for a file, written in the playbook.
func (l *loader) contentText(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.newValue(n, want, site, Content)
	tpl, diags := expr.ParseDocument(n.Text, n.LocateRune)
	if diags.HasErrors() {
		diags = l.cutHint(n, diags)
		v.wrong = true
	}
	l.diags.Extend(diags)
	v.Template, v.source = tpl, n.Text
	return v
}

// templateFile is text for a file, from a file next to the playbook. It is read now, so that its mistakes are found now.
func (l *loader) templateFile(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.newValue(n, want, site, Content)
	if strings.Contains(n.Text, "${{") {
		l.wrongf(v, "the path of a template must be plain text: the file is read with the playbook")
		return v
	}
	path := l.relative(n, n.Text)
	text, ok := l.text(path, v.Pos, v.Len)
	if !ok {
		v.wrong = true
		return v
	}
	if len(text) > syntax.MaxBytes {
		l.wrongf(v, "%s is larger than %d MiB", path, syntax.MaxBytes>>20)
		return v
	}
	tpl, diags := expr.ParseDocument(string(text), expr.At(diag.Pos{File: path, Line: 1, Col: 1}, string(text)))
	v.wrong = diags.HasErrors()
	l.diags.Extend(diags)
	v.Template, v.source, v.Local = tpl, string(text), l.localFile(path)
	return v
}

// sourceFile is a file that is sent as it is. It must exist now, unless its name is computed.
func (l *loader) sourceFile(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.localPath(n, want, site)
	v.Form = FileForm
	text, plain := "", false
	if v.Template != nil {
		text, plain = v.Template.Literal()
	}
	if v.wrong || !plain {
		return v
	}
	v.Local, v.Template = l.localFile(l.relative(n, text)), nil
	r, err := v.Local.Open()
	if err == nil {
		_, err = r.Read(make([]byte, 1)) // a directory opens, and can't be read
		r.Close()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		l.wrongf(v, "can't read %s: %s", v.Local.Path, reason(err)).Hint = whereFiles(v.Local.Path, err, v.Pos)
	}
	return v
}

func (l *loader) localPath(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.newValue(n, want, site, PathForm)
	v.Dir, v.open, v.source = filepath.Dir(n.File.Name), l.open, n.Text
	tpl, diags := expr.ParseTemplate(n.Text, n.LocateRune)
	v.wrong = diags.HasErrors()
	l.diags.Extend(diags)
	v.Template = tpl
	return v
}

func (l *loader) localFile(path string) *LocalFile {
	f := l.local[path]
	if f == nil {
		f = &LocalFile{Path: path, open: l.open}
		l.local[path] = f
	}
	return f
}

// absolute is a path as written, from the directory of the file it is written in.
func absolute(dir, path string) (string, error) {
	if strings.ContainsRune(path, 0) || path == "" {
		return "", fmt.Errorf("%q is no path", path)
	}
	directory := strings.HasSuffix(path, "/")
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	abs, err := filepath.Abs(path)
	if err == nil && directory && abs != "/" {
		abs += "/" // it says that a directory is meant
	}
	return abs, err
}
