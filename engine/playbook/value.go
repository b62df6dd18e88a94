package playbook

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/expr"
)

// Walk calls f for v and all values inside, parents first.
func (v *Value) Walk(f func(*Value)) {
	if v == nil {
		return
	}
	f(v)
	for _, x := range v.List {
		x.Walk(f)
	}
	for _, e := range v.Map {
		e.Value.Walk(f)
	}
}

// Get returns the member of a map, following the keys; nil when there is none.
func (v *Value) Get(keys ...string) *Value {
	for _, key := range keys {
		if v == nil {
			return nil
		}
		i := slices.IndexFunc(v.Map, func(e Entry) bool { return e.Key == key })
		if i < 0 {
			return nil
		}
		v = v.Map[i].Value
	}
	return v
}

// refs calls f for each value with expressions, and tells whether it is inside a lazy parameter.
func (v *Value) refs(lazy bool, f func(x *Value, lazy bool)) {
	if v == nil {
		return
	}
	lazy = lazy || v.Lazy
	if v.Expr != nil || v.Template != nil {
		f(v, lazy)
	}
	for _, x := range v.List {
		x.refs(lazy, f)
	}
	for _, e := range v.Map {
		e.Value.refs(lazy, f)
	}
}

// exprRefs are the names that the expressions of v itself mention.
func (v *Value) exprRefs() []expr.Ref {
	switch {
	case v.Expr != nil:
		return v.Expr.Refs()
	case v.Template != nil:
		return v.Template.Refs()
	}
	return nil
}

// constant tells whether no expression is in v.
func (v *Value) constant() bool {
	constant := true
	v.Walk(func(x *Value) {
		if x.Expr != nil {
			constant = false
		} else if x.Template != nil {
			_, plain := x.Template.Literal()
			constant = constant && plain
		}
	})
	return constant
}

// plain is the value of a constant of ordinary types; for Content and paths it is the text.
func (v *Value) plain() any {
	switch {
	case v == nil:
		return nil
	case v.Form == ListForm:
		list := make([]any, len(v.List))
		for i, x := range v.List {
			list[i] = x.plain()
		}
		return list
	case v.Form == MapForm:
		m := make(map[string]any, len(v.Map))
		for _, e := range v.Map {
			m[e.Key] = e.Value.plain()
		}
		return m
	case v.Template != nil:
		text, _ := v.Template.Literal()
		return text
	}
	return v.Plain
}

// Canonical is a text that two values share exactly when they mean the same as written: it does not depend on positions,
// on comments or on the order of keys. Files count by their content, so it reads them. Errors: those of reading.
func (v *Value) Canonical() (string, error) {
	tree, err := v.canonical()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(tree)
	return string(text), err
}

func (v *Value) canonical() (any, error) {
	switch {
	case v == nil:
		return nil, nil
	case v.Form == ListForm:
		list := make([]any, len(v.List))
		for i, x := range v.List {
			c, err := x.canonical()
			if err != nil {
				return nil, err
			}
			list[i] = c
		}
		return list, nil
	case v.Form == MapForm:
		m := make(map[string]any, len(v.Map))
		for _, e := range v.Map {
			c, err := e.Value.canonical()
			if err != nil {
				return nil, err
			}
			m[e.Key] = c
		}
		return m, nil
	case v.Form == FileForm && v.Local != nil:
		sum, _, err := v.Local.Sum()
		return map[string]any{"$file": sum}, err
	case v.Expr != nil:
		return map[string]any{"$expr": v.Expr.Text()}, nil
	case v.Template != nil:
		return map[string]any{"$text": v.source}, nil
	}
	return v.Plain, nil
}

// Static tells whether v can be computed from inputs and inventory alone, before a host is reached.
func (v *Value) Static() bool {
	static := true
	v.Walk(func(x *Value) {
		text := x.source
		if x.Expr != nil {
			text = x.Expr.Text()
		}
		static = static && staticRefs(x.exprRefs(), x.Site, text)
	})
	return static
}

// Static tells whether an expression can be computed from inputs and inventory alone.
func (c *Code) Static() bool { return staticRefs(c.Refs(), c.Site, c.Text()) }

// staticRefs looks at the names of an expression and, where it goes through lists of hosts, for facts in its text: what
// is read of an entry of a list is no name.
func staticRefs(refs []expr.Ref, site Site, text string) bool {
	for _, r := range refs {
		lists := r.Root == "hosts" || r.Root == "groups"
		if !staticRef(r, site) || lists && strings.Contains(text, "facts") {
			return false
		}
	}
	return true
}

// staticRef tells whether a name is known before a host is reached: not facts, tasks, run, item and result, and inputs
// of a part only when what is given for them is known.
func staticRef(r expr.Ref, site Site) bool {
	switch r.Root {
	case "tasks", "run", "item", "result":
		return false
	case "host":
		return len(r.Path) > 0 && r.Path[0] != "facts"
	case "hosts", "groups":
		return true
	case "inputs":
		return len(r.Path) > 0 && site.File.staticInput(r.Path[0])
	}
	return true
}

func (p *Playbook) staticInput(name string) bool {
	arg := p.Args[name]
	return arg == nil || arg.Value.Static()
}

// Assertion is a condition that inputs and inventory decide, so that it can be evaluated without reaching a host.
type Assertion struct {
	Task    *Task
	That    *Value  // Condition
	Message *Value  // nil = none
	When    []*Code // `when` of the task and of the blocks around it: the assertion holds where all are true
}

// StaticAsserts are the static conditions of all tasks of kind assert that run where static conditions say.
func (p *Playbook) StaticAsserts() []Assertion {
	var out []Assertion
	for _, t := range p.all {
		when, static := t.conditions()
		if !t.Leaf() || t.Kind.Name != "assert" || t.ForEach != nil || !static {
			continue
		}
		t.Params.Walk(func(v *Value) {
			for _, e := range v.Map {
				if e.Value.Form == Condition && !e.Value.wrong && e.Value.Static() {
					out = append(out, Assertion{t, e.Value, v.Get("message"), when})
				}
			}
		})
	}
	return out
}

// conditions are the `when` of a task and of all around it, outermost first; static tells whether all are.
func (t *Task) conditions() (when []*Code, static bool) {
	static = true
	for ; t != nil; t = t.Parent {
		if t.When != nil {
			when = append([]*Code{t.When}, when...)
			static = static && t.When.Static()
		}
	}
	return when, static
}
