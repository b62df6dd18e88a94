package expr

import (
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// Template is text with expressions in it, and, in a document, with loops and choices. As with Expr: Check once, Eval
// from any number of goroutines.
type Template struct {
	at    Locator
	parts []part
}

// part is one piece of a template; exactly one field is set.
type part struct {
	text string
	expr *Expr
	loop *loop
	cond *choice
}

// loop is ${{ for name in list }} .. ${{ end }}.
type loop struct {
	name string
	list *Expr
	body []part
}

// choice is ${{ if test }} .. ${{ else }} .. ${{ end }}.
type choice struct {
	test    *Expr
	yes, no []part
}

// ParseTemplate reads text in which ${{ }} holds expressions and $${{ stands for the text ${{. The Template is never nil;
// what is wrong is left out of it.
func ParseTemplate(text string, at Locator) (*Template, diag.List) {
	return parseTemplate(text, at, false)
}

// ParseDocument reads text as ParseTemplate does, and four directives, each on a line of its own, which vanishes from the
// output:
//
//	${{ for h in groups.control_plane }}
//	${{ if inputs.proxy != nil }}
//	${{ else }}
//	${{ end }}
func ParseDocument(text string, at Locator) (*Template, diag.List) {
	return parseTemplate(text, at, true)
}

// Escape returns the template whose literal text is s.
func Escape(s string) string { return strings.ReplaceAll(s, opening, "$"+opening) }

// Literal is the text of a template without any expression.
func (t *Template) Literal() (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expr != nil || p.loop != nil || p.cond != nil {
			return "", false
		}
		b.WriteString(p.text)
	}
	return b.String(), true
}

// Fixed is the text of a template around its expressions.
func (t *Template) Fixed() string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
	}
	return b.String()
}

// Single is the expression of a template that is one ${{ }} and nothing else: its value keeps its type.
func (t *Template) Single() (*Expr, bool) {
	if len(t.parts) != 1 || t.parts[0].expr == nil {
		return nil, false
	}
	return t.parts[0].expr, true
}

// Exprs are all expressions, in the order of the text.
func (t *Template) Exprs() []*Expr { return exprs(t.parts, nil) }

func exprs(parts []part, out []*Expr) []*Expr {
	for _, p := range parts {
		switch {
		case p.expr != nil:
			out = append(out, p.expr)
		case p.loop != nil:
			out = exprs(p.loop.body, append(out, p.loop.list))
		case p.cond != nil:
			out = exprs(p.cond.no, exprs(p.cond.yes, append(out, p.cond.test)))
		}
	}
	return out
}

// Refs are the names that the expressions mention.
func (t *Template) Refs() []Ref {
	var out []Ref
	for _, e := range t.Exprs() {
		out = append(out, e.Refs()...)
	}
	return out
}

// Files are the constant paths that lookup_file is called with.
func (t *Template) Files() []string {
	var out []string
	for _, e := range t.Exprs() {
		out = append(out, e.Files()...)
	}
	return out
}

// Secret tells, after Check, whether any expression reads a secret.
func (t *Template) Secret() bool {
	for _, e := range t.Exprs() {
		if e.Secret() {
			return true
		}
	}
	return false
}

// Clone returns the template as it was before Check.
func (t *Template) Clone() *Template { return &Template{at: t.at, parts: cloneParts(t.parts)} }

func cloneParts(parts []part) []part {
	out := make([]part, len(parts))
	for i, p := range parts {
		switch {
		case p.expr != nil:
			p.expr = p.expr.Clone()
		case p.loop != nil:
			p.loop = &loop{name: p.loop.name, list: p.loop.list.Clone(), body: cloneParts(p.loop.body)}
		case p.cond != nil:
			p.cond = &choice{test: p.cond.test.Clone(), yes: cloneParts(p.cond.yes), no: cloneParts(p.cond.no)}
		}
		out[i] = p
	}
	return out
}

// Check compiles all expressions. Each must be something that can stand in text; a Template that is Single may be of any
// type when its expression is checked instead.
func (t *Template) Check(s *Scope) diag.List {
	var diags diag.List
	checkParts(t.parts, s, nil, &diags)
	return diags
}

func checkParts(parts []part, s *Scope, locals []local, diags *diag.List) {
	for _, p := range parts {
		switch {
		case p.expr != nil:
			diags.Extend(p.expr.check(s, nil, locals, inText))
		case p.cond != nil:
			diags.Extend(p.cond.test.check(s, &shape.Type{Kind: shape.Bool}, locals, asValue))
			checkParts(p.cond.yes, s, locals, diags)
			checkParts(p.cond.no, s, locals, diags)
		case p.loop != nil:
			diags.Extend(p.loop.list.check(s, &shape.Type{Kind: shape.List, Elem: anyType()}, locals, asValue))
			inner := local{name: p.loop.name, typ: elemOf(p.loop.list.typ), secret: p.loop.list.secret}
			checkParts(p.loop.body, s, append(locals[:len(locals):len(locals)], inner), diags)
		}
	}
}

// Eval computes the text. Errors: *Error, for an expression that cannot be computed, is null or is no text, and for a
// text of more than 1 MiB.
func (t *Template) Eval(env Env) (string, error) {
	text, _, err := t.EvalSecrets(env)
	return text, err
}

// EvalSecrets is Eval, and the texts in it that were computed from secrets: each can be printed without the rest.
func (t *Template) EvalSecrets(env Env) (text string, secrets []string, err error) {
	if s, ok := t.Literal(); ok {
		return s, nil, nil
	}
	w := writer{env: env}
	err = w.parts(t.parts)
	return w.b.String(), w.secrets, err
}

type writer struct {
	b       strings.Builder
	env     Env
	secrets []string
}

func (w *writer) parts(parts []part) error {
	for _, p := range parts {
		var err error
		switch {
		case p.expr != nil:
			err = w.expr(p.expr)
		case p.loop != nil:
			err = w.loop(p.loop)
		case p.cond != nil:
			err = w.choice(p.cond)
		default:
			w.b.WriteString(p.text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) expr(e *Expr) error {
	v, err := e.Eval(w.env)
	if err != nil {
		return err
	}
	s, err := toText(v)
	if err != nil {
		return e.fail(e.whole, err)
	}
	if w.b.Len()+len(s) > maxString {
		return e.fail(e.whole, errTooLarge)
	}
	if e.Secret() {
		w.secrets = append(w.secrets, s)
	}
	w.b.WriteString(s)
	return nil
}

func (w *writer) choice(c *choice) error {
	yes, err := c.test.EvalBool(w.env)
	if err != nil {
		return err
	}
	if yes {
		return w.parts(c.yes)
	}
	return w.parts(c.no)
}

func (w *writer) loop(l *loop) error {
	list, err := l.list.EvalList(w.env)
	if err != nil {
		return err
	}
	outer := w.env
	defer func() { w.env = outer }()
	w.env = make(Env, len(outer)+1)
	for k, v := range outer {
		w.env[k] = v
	}
	for _, item := range list {
		w.env[l.name] = item
		if err := w.parts(l.body); err != nil {
			return err
		}
	}
	return nil
}
