package playbook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
)

// Envs gives the environment of a site: the inputs of its file, the host, the tasks its names mean. Values of one task
// may have several sites, because an override puts values of one file into tasks of another.
type Envs func(Site) (expr.Env, error)

// One is Envs where all sites have the same environment.
func One(env expr.Env) Envs { return func(Site) (expr.Env, error) { return env, nil } }

// Resolver says how values are resolved.
type Resolver struct {
	Envs Envs
	Lazy bool                                     // resolve lazy parameters too; without, they are left out
	Open func(path string) (io.ReadCloser, error) // files whose name is computed; nil = as Load was told
	Memo Memo                                     // of values with expressions; nil = they are computed each time
}

// Memo computes what a value comes to, unless it is known already.
type Memo func(v *Value, compute func() (Resolved, error)) (Resolved, error)

// Resolved is the value of a parameter for one instance.
type Resolved struct {
	Value   any             // plain: for shape.Resolve
	Secrets []string        // texts computed from secrets
	Blobs   map[string]Blob // what Contents without inline text stand for, by SHA-256
}

// Blob is content that the controller holds: Text, or the file Path when that is set.
type Blob struct {
	Text string
	Path string
}

// inlineLimit is the size from which a text is no longer carried inside of the parameters.
const inlineLimit = 64 << 10

// Resolve computes the value: expressions evaluated, templates filled in, contents and paths made. What is null is left
// out of maps. Types are not checked here: shape.Resolve does that. Errors: *expr.Error, diag.Diagnostic with the place
// for a file that can't be read, those of Envs.
func (v *Value) Resolve(r Resolver) (Resolved, error) {
	s := &resolution{Resolver: r, out: Resolved{Blobs: map[string]Blob{}}}
	value, err := s.value(v)
	s.out.Value = value
	s.out.Secrets = maskable(s.out.Secrets)
	return s.out, err
}

type resolution struct {
	Resolver
	out Resolved
}

func (s *resolution) value(v *Value) (any, error) {
	if v == nil || v.Lazy && !s.Lazy {
		return nil, nil
	}
	switch v.Form {
	case Literal:
		s.note(v, v.Plain)
		return v.Plain, nil
	case ListForm:
		return s.list(v)
	case MapForm:
		return s.mapping(v)
	}
	if s.Memo == nil {
		return s.computed(v)
	}
	r, err := s.Memo(v, func() (Resolved, error) {
		one := &resolution{Resolver: s.Resolver, out: Resolved{Blobs: map[string]Blob{}}}
		x, err := one.computed(v)
		one.out.Value = x
		return one.out, err
	})
	s.out.Secrets = append(s.out.Secrets, r.Secrets...)
	maps.Copy(s.out.Blobs, r.Blobs)
	return r.Value, err
}

// computed is the value of what has expressions.
func (s *resolution) computed(v *Value) (any, error) {
	env, err := s.env(v.Site)
	if err != nil {
		return nil, err
	}
	switch v.Form {
	case Single:
		x, err := v.Expr.Eval(env)
		s.note(v, x)
		return x, err
	case Condition:
		yes, err := v.Expr.EvalBool(env)
		return map[string]any{"text": v.Expr.Text(), "value": yes}, err
	case FileForm:
		return s.file(v, env)
	}
	text, secrets, err := v.Template.EvalSecrets(env)
	if err != nil {
		return nil, err
	}
	s.out.Secrets = append(s.out.Secrets, secrets...)
	switch v.Form {
	case Content:
		return s.content(v, text), nil
	case PathForm:
		return absolute(v.Dir, text)
	}
	s.note(v, text)
	return text, nil
}

func (s *resolution) env(site Site) (expr.Env, error) {
	if s.Envs == nil {
		return expr.Env{}, nil
	}
	return s.Envs(site)
}

// note remembers the texts of a secret. Of all outputs of a task only those that its kind calls secret are some: the address
// of a server beside a token is none.
func (s *resolution) note(v *Value, x any) {
	if !v.Secret {
		return
	}
	outputs := v.outputsOf()
	m, ok := x.(map[string]any)
	if outputs == nil || !ok {
		s.out.Secrets = shape.Texts(x, s.out.Secrets)
		return
	}
	for name, inner := range m {
		if f, known := outputs.Field(name); !known || f.Secret || holdsSecret(f.Type) {
			s.out.Secrets = shape.Texts(inner, s.out.Secrets)
		}
	}
}

// outputsOf is the type of the outputs of a task where a value is all of them and the kind says which are secret; else nil.
func (v *Value) outputsOf() *shape.Type {
	if v.Form != Single {
		return nil
	}
	refs := v.Expr.Refs()
	if len(refs) != 1 || refs[0].Root != "tasks" || len(refs[0].Path) != 2 || refs[0].Path[1] != "outputs" ||
		strings.TrimSpace(v.Expr.Text()) != "tasks."+refs[0].Path[0]+".outputs" {
		return nil
	}
	t := v.Site.Lookup(refs[0].Path[0])
	if t == nil || !t.Leaf() || t.Kind.Outputs == nil {
		return nil
	}
	if outputs := shape.Of(t.Kind.Outputs); holdsSecret(outputs) {
		return outputs
	}
	return nil
}

func (s *resolution) list(v *Value) (any, error) {
	out := make([]any, 0, len(v.List))
	for _, item := range v.List {
		x, err := s.value(item)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

func (s *resolution) mapping(v *Value) (any, error) {
	out := make(map[string]any, len(v.Map))
	for _, e := range v.Map {
		x, err := s.value(e.Value)
		if err != nil {
			return nil, err
		}
		if x != nil || v.Type.Kind == shape.Map && e.Value.Form == Literal {
			out[e.Key] = x
		}
	}
	return out, nil
}

// content is the task.Content of a text.
func (s *resolution) content(v *Value, text string) any {
	sum := sha256.Sum256([]byte(text))
	out := map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(text)}
	if v.Local != nil {
		out["name"] = v.Local.Path
	}
	if v.Secret {
		out["secret"] = true
	}
	if len(text) < inlineLimit {
		out["inline"] = true
		if text != "" {
			out["text"] = text
		}
		return out
	}
	s.out.Blobs[out["sha256"].(string)] = Blob{Text: text}
	return out
}

// file is the task.Content of a file of the controller.
func (s *resolution) file(v *Value, env expr.Env) (any, error) {
	f := v.Local
	if f == nil {
		text, err := v.Template.Eval(env)
		if err != nil {
			return nil, err
		}
		path := text
		if !filepath.IsAbs(path) {
			path = filepath.Join(v.Dir, path)
		}
		f = &LocalFile{Path: path, open: v.open}
		if s.Open != nil {
			f.open = s.Open
		}
	}
	sum, size, err := f.Sum()
	if err != nil {
		return nil, diag.Diagnostic{Pos: v.Pos, Len: v.Len, Summary: fmt.Sprintf("can't read %s: %s", f.Path, reason(err))}
	}
	s.out.Blobs[sum] = Blob{Path: f.Path}
	out := map[string]any{"sha256": sum, "size": int(size), "name": f.Path}
	if v.Secret {
		out["secret"] = true
	}
	return out, nil
}

// Engine makes the values of engine formats from texts that an expression has computed as part of a whole map; v is the
// parameter they are in. Its contents are always inline.
func (v *Value) Engine() shape.Engine {
	return func(format, text string) (any, error) {
		s := &resolution{out: Resolved{Blobs: map[string]Blob{}}}
		switch format {
		case "content":
			c := s.content(&Value{Secret: v.Secret}, text).(map[string]any)
			c["text"], c["inline"] = text, true
			return c, nil
		case "local":
			return absolute(filepath.Dir(v.Pos.File), text)
		}
		return nil, fmt.Errorf("a %s must be written in the playbook, it can't be part of a computed map", format)
	}
}
