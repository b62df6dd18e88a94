package plan

import (
	"errors"
	"fmt"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/shape"
)

// Value resolves a value for a host.
func (p *Plan) Value(v *playbook.Value, host int, known Known, item any) (playbook.Resolved, error) {
	return p.value(v, host, known, item, true)
}

func (p *Plan) value(v *playbook.Value, host int, known Known, item any, lazy bool) (playbook.Resolved, error) {
	refs := refsBySite(v, lazy)
	made := map[playbook.Site]expr.Env{}
	return v.Resolve(playbook.Resolver{Lazy: lazy, Memo: p.keeper(host, known), Envs: func(site playbook.Site) (expr.Env, error) {
		if env, ok := made[site]; ok {
			return env, nil
		}
		env, err := p.Env(site, host, append([]expr.Ref{}, refs[site]...), known, item)
		made[site] = env
		return env, err
	}})
}

// keeper keeps what the single values of a task come to, for hosts that are alike in what these read.
func (p *Plan) keeper(host int, known Known) playbook.Memo {
	return func(v *playbook.Value, compute func() (playbook.Resolved, error)) (playbook.Resolved, error) {
		x, err := p.remember(v, func() *reads { return p.readsOfValue(v) }, host, known, func() (any, error) { return compute() })
		r, _ := x.(playbook.Resolved)
		return r, err
	}
}

// refsBySite are the names that a value mentions, by where they are written.
func refsBySite(v *playbook.Value, lazy bool) map[playbook.Site][]expr.Ref {
	out := map[playbook.Site][]expr.Ref{}
	v.Walk(func(x *playbook.Value) {
		if x.Lazy && !lazy {
			return
		}
		if x.Expr != nil {
			out[x.Site] = append(out[x.Site], x.Expr.Refs()...)
		}
		if x.Template != nil {
			out[x.Site] = append(out[x.Site], x.Template.Refs()...)
		}
	})
	return out
}

// Params are the parameters of a task for a host, complete and of the types the kind wants. Without lazy the lazy
// parameters are left out. Errors have the place in the playbook.
func (p *Plan) Params(l *Leaf, host int, known Known, item any, lazy bool) (playbook.Resolved, error) {
	v := l.Task.Params
	r, err := p.value(v, host, known, item, lazy)
	if err != nil {
		return r, placed(err, v.Pos)
	}
	want := v.Type
	if !lazy {
		want = withoutLazy(want)
	}
	value, problems := shape.Resolve(want, r.Value, v.Engine())
	if len(problems) > 0 {
		return r, wrong(v, problems)
	}
	r.Value = value
	return r, nil
}

// withoutLazy is a type whose lazy members may be absent.
func withoutLazy(t *shape.Type) *shape.Type {
	if t == nil || t.Kind != shape.Object {
		return t
	}
	out := *t
	out.Fields = make([]shape.Field, len(t.Fields))
	for i, f := range t.Fields {
		if f.Lazy {
			f.Required = false
		}
		f.Type = withoutLazy(f.Type)
		out.Fields[i] = f
	}
	return &out
}

func wrong(v *playbook.Value, problems []shape.Problem) error {
	var l diag.List
	for _, p := range problems {
		d := l.Errorf(posOf(v, p.Path), "%v", p)
		if name, ok := last(p.Path); ok && len(p.Near) > 0 {
			d.Hint = diag.DidYouMean(name, p.Near)
		}
	}
	return l.Err()
}

func last(path []any) (string, bool) {
	if len(path) == 0 {
		return "", false
	}
	s, ok := path[len(path)-1].(string)
	return s, ok
}

// posOf is the place of a member, or of the nearest value around it.
func posOf(v *playbook.Value, path []any) diag.Pos {
	pos := v.Pos
	for _, e := range path {
		switch e := e.(type) {
		case string:
			next := v.Get(e)
			if next == nil {
				return pos
			}
			v = next
		case int:
			if e >= len(v.List) {
				return pos
			}
			v = v.List[e]
		}
		pos = v.Pos
	}
	return pos
}

// placed gives an error a place, if it has none.
func placed(err error, pos diag.Pos) error {
	if _, ok := diag.As(err); ok {
		return err
	}
	var e *expr.Error
	if errors.As(err, &e) && e.Pos.Known() {
		pos = e.Pos
	}
	return &PlacedError{Diagnostic: diag.Diagnostic{Pos: pos, Summary: err.Error()}, Err: err}
}

// PlacedError is an error of an expression with its place in the playbook.
type PlacedError struct {
	diag.Diagnostic
	Err error
}

// Unwrap returns both.
func (e *PlacedError) Unwrap() []error { return []error{e.Diagnostic, e.Err} }

// Condition evaluates a condition for a host. more are further roots (`result`).
func (p *Plan) Condition(c *playbook.Code, host int, known Known, more map[string]any) (bool, error) {
	if more != nil {
		return p.condition(c, host, known, more)
	}
	x, err := p.remember(c, func() *reads { return p.readsOfCode(c) }, host, known, func() (any, error) { return p.condition(c, host, known, nil) })
	yes, _ := x.(bool)
	return yes, err
}

func (p *Plan) condition(c *playbook.Code, host int, known Known, more map[string]any) (bool, error) {
	env, err := p.Env(c.Site, host, append([]expr.Ref{}, c.Refs()...), known, nil)
	if err != nil {
		return false, placed(err, c.Pos())
	}
	for k, v := range more {
		env[k] = v
	}
	yes, err := c.EvalBool(env)
	if err != nil {
		return false, placed(err, c.Pos())
	}
	return yes, nil
}

// Check evaluates what inputs and inventory decide: asserts that mention no facts, and parameters of tasks whose
// expressions mention none.
func (p *Plan) Check(found *diag.List) {
	for _, a := range p.Playbook.StaticAsserts() {
		p.checkAssert(a, found)
	}
}

func (p *Plan) checkAssert(a playbook.Assertion, found *diag.List) {
	hosts := p.hostsOf[a.Task]
	if len(p.Hosts) == 0 && onlyInputs(a.That, a.That.Site.File) { // without an inventory what inputs decide is decided
		hosts = []int{NoHost}
	}
	for _, host := range hosts {
		if !p.holdAll(a.When, host) {
			continue
		}
		r, err := p.Value(a.That, host, nil, nil)
		if err != nil {
			if !p.sketch {
				found.Errorf(a.That.Pos, "%v", err)
			}
			return
		}
		if c, ok := r.Value.(map[string]any); !ok || c["value"] == true {
			continue
		}
		text := p.message(a, host)
		if host != NoHost {
			text += " (on " + p.Hosts[host].Name + ")"
		}
		found.Errorf(a.That.Pos, "%s", text)
		return
	}
}

// onlyInputs tells whether a value written in a file depends on nothing but inputs, and these on nothing but inputs.
func onlyInputs(v *playbook.Value, file *playbook.Playbook) bool {
	only := true
	v.Walk(func(x *playbook.Value) {
		for _, refs := range refsBySite(x, true) {
			for _, r := range refs {
				only = only && r.Root == "inputs" && len(r.Path) > 0
				if arg := file.Args[first(r.Path)]; only && arg != nil {
					only = onlyInputs(arg.Value, arg.Value.Site.File)
				}
			}
		}
	})
	return only
}

func first(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return path[0]
}

func (p *Plan) holdAll(conditions []*playbook.Code, host int) bool {
	for _, c := range conditions {
		if yes, err := p.Condition(c, host, nil, nil); err != nil || !yes {
			return false
		}
	}
	return true
}

func (p *Plan) message(a playbook.Assertion, host int) string {
	if a.Message != nil {
		r, err := p.Value(a.Message, host, nil, nil)
		p.learn(r.Secrets)
		if err == nil {
			return fmt.Sprint(r.Value)
		}
	}
	return fmt.Sprintf("`%s` does not hold", a.That.Expr.Text())
}
