package playbook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
	"github.com/kflow/kflow/engine/task"
)

// Options of Load.
type Options struct {
	Kinds *task.Registry
	// Read returns the content of a file: playbooks, parts, templates. nil = syntax.ReadFile.
	Read func(path string) ([]byte, error)
	// Open opens a file that is sent to hosts (`source`). nil = os.Open, or Read when that is given.
	Open func(path string) (io.ReadCloser, error)
	// SecretInputs are inputs whose value is a secret although the playbook does not say so: those of encrypted files.
	SecretInputs []string
}

// Sources are the files that were read, for diagnostics and for the record of a run.
type Sources struct{ text map[string][]byte }

// Text returns the content of a file that was read; nil for others. It is a diag.Source.
func (s *Sources) Text(file string) []byte { return s.text[file] }

// These end a load that parts would make endless in practice: parts that use parts twice each grow by doubling.
const (
	maxTasks  = 20_000
	maxValues = 500_000
	maxDepth  = 32 // parts in parts
)

// Load reads a playbook with all its parts. The Playbook is nil when the file can't be read at all; it is complete when
// the list has no errors. Load reads files and does nothing else.
func Load(ctx context.Context, file string, o Options) (*Playbook, *Sources, diag.List) {
	l := &loader{
		ctx: ctx, kinds: o.Kinds, read: o.Read, open: o.Open, secretInputs: o.SecretInputs,
		sources: &Sources{text: map[string][]byte{}},
		local:   map[string]*LocalFile{},
		docs:    map[*syntax.File]*Playbook{},
		types:   map[string]*kindType{},
		scopes:  map[level]*expr.Scope{},
		secrets: map[secretKey]secretState{},
		readers: map[*Task]bool{},
		facts:   factsType(),
	}
	l.defaults()
	pb := l.file(filepath.Clean(file), nil, diag.Pos{File: file}, nil)
	if pb == nil {
		return nil, l.sources, l.diags
	}
	l.enumerate(pb)
	l.names(pb)
	l.check(pb)
	l.rules(pb)
	return pb, l.sources, l.diags
}

type loader struct {
	ctx     context.Context
	kinds   *task.Registry
	read    func(string) ([]byte, error)
	open    func(string) (io.ReadCloser, error)
	diags   diag.List
	sources *Sources
	local   map[string]*LocalFile
	docs    map[*syntax.File]*Playbook // the use of a file that a node belongs to
	types   map[string]*kindType
	tasks   int
	values  int
	facts   *shape.Type
	scopes  map[level]*expr.Scope
	secrets map[secretKey]secretState
	readers map[*Task]bool // tasks whose outputs an expression reads

	secretInputs []string // of the root, besides those that say so
}

func (l *loader) defaults() {
	if l.kinds == nil {
		l.kinds = task.NewRegistry()
	}
	if l.read == nil {
		l.read = syntax.ReadFile
		if l.open == nil {
			l.open = func(path string) (io.ReadCloser, error) { return os.Open(path) }
		}
	}
	if l.open == nil {
		l.open = func(path string) (io.ReadCloser, error) {
			text, err := l.read(path)
			return io.NopCloser(bytes.NewReader(text)), err
		}
	}
}

// kindType is a kind with the type of its parameters and outputs.
type kindType struct {
	kind    *task.Kind
	params  *shape.Type
	outputs *shape.Type // nil = none
}

func (l *loader) kind(name string) *kindType {
	if t, ok := l.types[name]; ok {
		return t
	}
	k, ok := l.kinds.Lookup(name)
	if !ok {
		return nil
	}
	t := &kindType{kind: &k, params: shape.Of(k.New())}
	if k.Outputs != nil {
		t.outputs = shape.Of(k.Outputs)
	}
	l.types[name] = t
	return t
}

// text reads a file for its name to be known to diagnostics. pos is where it is asked for.
func (l *loader) text(path string, pos diag.Pos, width int) ([]byte, bool) {
	if l.ctx.Err() != nil {
		l.diags.Errorf(pos, "interrupted before %s was read: %v", path, context.Cause(l.ctx))
		return nil, false
	}
	if text, ok := l.sources.text[path]; ok {
		return text, true
	}
	text, err := l.read(path)
	if err != nil {
		d := l.diags.Errorf(pos, "can't read %s: %s", path, reason(err))
		d.Len, d.Hint = width, whereFiles(path, err, pos)
		return nil, false
	}
	l.sources.text[path] = text
	return text, true
}

// reason is an error without the path, which the message says already.
func reason(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}

// file loads one use of a file. by is the task that uses it (nil for the root), at its place in the file of the user.
func (l *loader) file(path string, by *Task, at diag.Pos, overrides []*override) *Playbook {
	switch chain, depth := recursion(path, by); {
	case chain != "":
		l.diags.Errorf(at, "%s uses itself: %s", path, chain)
		return nil
	case depth > maxDepth:
		l.diags.Errorf(at, "parts in parts, more than %d deep", maxDepth).Hintf("a part can stand beside another: use it from further out")
		return nil
	}
	text, ok := l.text(path, at, 0)
	if !ok {
		return nil
	}
	doc, diags := syntax.Parse(path, text)
	l.diags.Extend(diags)
	if doc.Root == nil {
		if !diags.HasErrors() {
			l.diags.Errorf(diag.Pos{File: path, Line: 1, Col: 1}, "the file is empty").Hintf("a playbook begins with `kflow: v1`")
		}
		return nil
	}
	if l.values += doc.Root.Size(); l.values > maxValues {
		l.diags.Errorf(at, "the playbook and its parts have more than %d values", maxValues)
		return nil
	}
	pb := &Playbook{File: path, Dir: filepath.Dir(path), Pos: doc.Root.Pos(), Use: by, Args: map[string]*Arg{}, index: map[string]*Task{}}
	l.docs[doc] = pb
	l.head(pb, doc.Root)
	pb.Tasks = l.list(doc.Root.Get("tasks"), pb, by, overrides)
	return pb
}

// recursion is how a file that is being loaded comes to be used again, "" when it is not, and how deep in parts it is.
func recursion(path string, by *Task) (string, int) {
	chain := []string{path}
	for t := by; t != nil; t = t.File.Use {
		chain = append(chain, t.File.File)
		if t.File.File == path {
			slices.Reverse(chain)
			return strings.Join(chain, " uses "), len(chain)
		}
	}
	return "", len(chain) - 1
}

// relative is a path as written in the file of a node, seen from where kflow runs.
func (l *loader) relative(n *syntax.Node, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(n.File.Name), path)
}

// enumerate gives every task its place, depth first.
func (l *loader) enumerate(pb *Playbook) {
	var walk func(tasks []*Task)
	walk = func(tasks []*Task) {
		for _, t := range tasks {
			t.Index = len(pb.all)
			pb.all = append(pb.all, t)
			walk(t.Steps)
		}
	}
	walk(pb.Tasks)
}

// All are all tasks below the playbook, depth first: containers before what is in them. Call it on the root.
func (p *Playbook) All() []*Task { return p.all }

// Parts are the playbook and all its parts, in the order of the tasks.
func (p *Playbook) Parts() []*Playbook {
	out := []*Playbook{p}
	for _, t := range p.all {
		if t.Part != nil {
			out = append(out, t.Part)
		}
	}
	return out
}

// Leaves are the tasks with a kind inside t, or t itself.
func (t *Task) Leaves() []*Task {
	if t.Leaf() {
		return []*Task{t}
	}
	var out []*Task
	for _, s := range t.Steps {
		out = append(out, s.Leaves()...)
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %s", n, many)
}
