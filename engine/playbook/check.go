package playbook

import (
	"fmt"
	"path/filepath"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// check types all expressions of a file, after those of the parts it uses: their outputs have types then.
func (l *loader) check(pb *Playbook) {
	each(pb.Tasks, func(t *Task) {
		if t.Part != nil {
			l.check(t.Part)
		}
	})
	pb.lookup = expr.CachedLookup(func(path string) (string, error) {
		text, err := l.read(l.beside(pb, path))
		return string(text), err
	})
	each(pb.Tasks, func(t *Task) { l.checkTask(t) })
	for _, o := range pb.Outputs {
		l.checkValue(o.Value, l.scope)
		o.Type = typeOf(o.Value)
	}
	l.checkValue(pb.Confirm, func(site Site) *expr.Scope {
		s := *l.scope(site)
		s.Static, s.NoHost = true, true
		return &s
	})
}

func (l *loader) beside(pb *Playbook, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(pb.Dir, path)
}

// Lookup reads files for lookup_file, relative to the playbook, each once. An Env has it under expr.LookupKey.
func (p *Playbook) Lookup() expr.Lookup { return p.lookup }

// each calls f for tasks and the steps of blocks, not for what is inside of parts.
func each(tasks []*Task, f func(*Task)) {
	for _, t := range tasks {
		f(t)
		if t.Part == nil {
			each(t.Steps, f)
		}
	}
}

func (l *loader) checkTask(t *Task) {
	place := func(at bool) func(Site) *expr.Scope {
		return func(site Site) *expr.Scope {
			s := *l.scope(site)
			s.BareGroups, s.Static, s.NoHost, s.Place = true, true, !at, at
			return &s
		}
	}
	static := func(site Site) *expr.Scope {
		s := *l.scope(site)
		s.Static, s.NoHost = true, true
		return &s
	}
	l.checkCode(t.On, place(false), nil)
	l.checkCode(t.At, place(true), nil)
	l.checkCode(t.When, l.scope, &shape.Type{Kind: shape.Bool})
	l.checkValue(t.ForEach, l.scope)
	l.checkValue(t.Timeout, l.scope)
	for _, c := range []*Count{t.MaxParallel, t.MaxFailures} {
		if c != nil {
			l.checkValue(c.Value, static)
		}
	}
	if r := t.Retry; r != nil {
		for _, v := range []*Value{r.Attempts, r.Delay, r.Backoff, r.MaxDelay} {
			l.checkValue(v, l.scope)
		}
		l.checkCode(r.Until, l.withResult(t), &shape.Type{Kind: shape.Bool})
	}
	l.checkValue(t.Params, l.withItem(t))
	if t.Part != nil {
		for _, a := range t.Part.Args {
			l.checkValue(a.Value, l.scope)
		}
	}
}

// withItem is the scope of parameters: `item` is the entry of for_each.
func (l *loader) withItem(t *Task) func(Site) *expr.Scope {
	if t.ForEach == nil {
		return l.scope
	}
	item, secret := &shape.Type{}, l.tainted(t.ForEach)
	if list := typeOf(t.ForEach); list.Kind == shape.List && list.Elem != nil {
		item = list.Elem
	}
	return func(site Site) *expr.Scope {
		s := *l.scope(site)
		s.Item, s.ItemSecret = item, secret
		return &s
	}
}

// ResultType is the type of `result` in `until`: what one attempt of a task of that kind gave.
func ResultType(outputs *shape.Type) *shape.Type {
	if outputs == nil {
		outputs = &shape.Type{Kind: shape.Map, Elem: &shape.Type{}}
	}
	return &shape.Type{Kind: shape.Object, Fields: []shape.Field{
		{Name: "ok", Type: &shape.Type{Kind: shape.Bool}, Doc: "the attempt did not fail"},
		{Name: "changed", Type: &shape.Type{Kind: shape.Bool}, Doc: "the attempt changed the host"},
		{Name: "failure", Type: &shape.Type{Kind: shape.String}, Doc: "what went wrong, empty when nothing did"},
		{Name: "outputs", Type: outputs, Doc: "outputs of the task"},
	}}
}

func (l *loader) withResult(t *Task) func(Site) *expr.Scope {
	return func(site Site) *expr.Scope {
		s := *l.scope(site)
		s.Result = &shape.Type{}
		if t.Leaf() {
			s.Result = ResultType(l.outputsOf(t))
		}
		return &s
	}
}

func (l *loader) checkCode(c *Code, scope func(Site) *expr.Scope, want *shape.Type) {
	if c != nil {
		l.diags.Extend(c.Check(scope(c.Site), want))
	}
}

// checkValue checks all expressions of a value, and marks what is computed from secrets.
func (l *loader) checkValue(v *Value, scope func(Site) *expr.Scope) {
	var exprs []*Value
	v.Walk(func(x *Value) { exprs = append(exprs, x) })
	for _, x := range exprs {
		switch {
		case x.Expr != nil:
			want := x.Type
			if x.Form == Condition {
				want = &shape.Type{Kind: shape.Bool}
			}
			l.diags.Extend(x.Expr.Check(scope(x.Site), want))
			x.Secret = x.Secret || x.Expr.Secret()
			x.expandShort()
		case x.Template != nil:
			l.diags.Extend(x.Template.Check(scope(x.Site)))
			x.Secret = x.Secret || x.Template.Secret()
		}
		for _, e := range x.Map {
			e.Value.Secret = e.Value.Secret || x.Secret && x.Expr == nil && x.Template == nil
		}
		for _, item := range x.List {
			item.Secret = item.Secret || x.Secret
		}
	}
}

// expandShort makes the map of a single expression that stands for its short field: known once the expression has a type.
func (v *Value) expandShort() {
	f, short := v.Type.ShortField()
	t := v.Expr.Type()
	if v.Form != Single || v.Type.Kind != shape.Object || !short || t == nil {
		return
	}
	if t.Kind == shape.Any || t.Kind == shape.Map || t.Kind == shape.Object {
		return
	}
	inner := *v
	inner.Type, inner.Lazy, inner.Secret = f.Type, f.Lazy, v.Secret || f.Secret
	v.Form, v.Expr, v.Map = MapForm, nil, []Entry{{Key: f.Name, Pos: v.Pos, Value: &inner}}
}

// typeOf is what is known of the type of a checked value.
func typeOf(v *Value) *shape.Type {
	if v == nil {
		return &shape.Type{}
	}
	switch v.Form {
	case Single:
		if t := v.Expr.Type(); t != nil {
			return t
		}
	case Text:
		return &shape.Type{Kind: shape.String}
	case ListForm:
		return &shape.Type{Kind: shape.List, Elem: common(v.List)}
	case MapForm:
		t := &shape.Type{Kind: shape.Object, GoName: "map"}
		for _, e := range v.Map {
			t.Fields = append(t.Fields, shape.Field{Name: e.Key, Type: typeOf(e.Value), Secret: e.Value.Secret})
		}
		return t
	case Literal:
		switch v.Plain.(type) {
		case string:
			return &shape.Type{Kind: shape.String}
		case int:
			return &shape.Type{Kind: shape.Int}
		case float64:
			return &shape.Type{Kind: shape.Float}
		case bool:
			return &shape.Type{Kind: shape.Bool}
		}
	}
	return &shape.Type{}
}

// common is the type that all entries of a list have; Any when they differ.
func common(list []*Value) *shape.Type {
	if len(list) == 0 {
		return &shape.Type{}
	}
	first := typeOf(list[0])
	for _, v := range list[1:] {
		if t := typeOf(v); t.Kind != first.Kind || t.Kind == shape.Object {
			return &shape.Type{}
		}
	}
	return first
}

// level is where names mean the same: a list of tasks of one use of a file.
type level struct {
	file  *Playbook
	block *Task // nil = the top of the file
}

// scope is what names mean at a site.
func (l *loader) scope(site Site) *expr.Scope {
	at := level{file: site.File}
	if t := site.Task; t != nil && t.Parent != nil && t.Parent.File == site.File {
		at.block = t.Parent
	}
	if s := l.scopes[at]; s != nil {
		return s
	}
	pb := site.File
	s := &expr.Scope{
		Inputs: map[string]expr.Var{}, Facts: l.facts, Groups: pb.groupNames(), Tasks: map[string]expr.TaskVar{},
		Statuses: statuses(),
		LookupFile: func(path string) error {
			if _, err := pb.lookup(path); err != nil {
				return fmt.Errorf("can't read %s: %s", path, reason(err))
			}
			return nil
		},
	}
	for _, in := range pb.Inputs {
		s.Inputs[in.Name] = expr.Var{Type: in.Shape, Secret: l.secretInput(pb, in.Name)}
	}
	l.addTasks(s, pb.index)
	for b := at.block; b != nil && b.File == pb; b = b.Parent {
		l.addTasks(s, b.index)
	}
	l.scopes[at] = s
	return s
}

func (l *loader) addTasks(s *expr.Scope, index map[string]*Task) {
	for id, t := range index {
		s.Tasks[id] = l.taskVar(t)
	}
}

func statuses() []string {
	var out []string
	for _, s := range []event.Status{event.OK, event.Changed, event.Skipped, event.Blocked, event.Failed, event.Unreachable,
		event.TimedOut, event.Cancelled, event.Unknown, event.Reused} {
		out = append(out, string(s))
	}
	return out
}

func (l *loader) taskVar(t *Task) expr.TaskVar {
	v := expr.TaskVar{Outputs: l.outputsOf(t), Secret: t.SecretOutputs}
	switch {
	case t.Outputs() == nil && t.Part != nil:
		v.NoOutputsWhy = "the part declares no `outputs`"
	case t.Leaf():
		v.NoOutputsWhy = "the kind `" + t.Kind.Name + "` has no outputs"
	default:
		v.NoOutputsWhy = "a block has no outputs"
	}
	return v
}

// Outputs are the declared outputs of a part; nil for other tasks.
func (t *Task) Outputs() []*Output {
	if t.Part == nil {
		return nil
	}
	return t.Part.Outputs
}

// outputsOf is the type of tasks.<id>.outputs; nil when there are none. A task with for_each has a list of them.
func (l *loader) outputsOf(t *Task) *shape.Type {
	switch {
	case t.removed.Known():
		return &shape.Type{} // said by removedRefs
	case t.Leaf():
		out := l.kind(t.Kind.Name).outputs
		if out != nil && t.ForEach != nil {
			return &shape.Type{Kind: shape.List, Elem: out}
		}
		return out
	case len(t.Outputs()) > 0:
		out := &shape.Type{Kind: shape.Object, GoName: "outputs"}
		for _, o := range t.Outputs() {
			out.Fields = append(out.Fields, shape.Field{Name: o.Name, Type: o.Type, Secret: l.tainted(o.Value)})
		}
		return out
	}
	return nil
}

// removedRefs reports expressions that mention a task which an override has removed.
func (l *loader) removedRefs(t *Task) {
	report := func(refs []expr.Ref, site Site) {
		for _, r := range refs {
			if r.Root != "tasks" || len(r.Path) == 0 {
				continue
			}
			if target := site.Lookup(r.Path[0]); target != nil && target.removed.Known() {
				l.diags.Errorf(r.Pos, "task `%s` is mentioned here, but an override has removed it", target.Path).
					Note(target.removed, "removed here").Len = r.Len
			}
		}
	}
	t.walk(func(_ string, c *Code) { report(c.Refs(), c.Site) },
		func(_ string, v *Value) { v.refs(false, func(x *Value, _ bool) { report(x.exprRefs(), x.Site) }) })
}

func factsType() *shape.Type { return shape.Of(task.Facts{}) }
