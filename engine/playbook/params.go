package playbook

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// params reads the parameters of a kind. at is the key of the kind, where nothing is written below it; beside are
// parameters that were reported because they stand beside that key.
func (l *loader) params(t *Task, n *syntax.Node, at diag.Pos, want *shape.Type, beside []string) *Value {
	if !n.Null() {
		if v := l.value(n, want, own(t)); v != nil {
			return v
		}
		return &Value{Form: MapForm, Pos: at, Type: want, Site: Site{t.File, t}, wrong: true}
	}
	v := &Value{Form: MapForm, Pos: at, Len: 1, Type: want, Site: Site{t.File, t}}
	l.complete(v, want, beside)
	v.wrong = v.wrong || len(beside) > 0
	return v
}

// value decodes a node by the type that is wanted. It returns nil for null: a parameter that is null is left out. A value
// that is wrong is reported and returned, marked so that nothing more is said of it. site is that of the task it is for;
// what an override has put there has the site of the override.
func (l *loader) value(n *syntax.Node, want *shape.Type, site Site) *Value {
	if n.Null() {
		return nil
	}
	l.otherBraces(n)
	if shape.IsEngineFormat(want.Format) {
		return l.engineFormat(n, want, site)
	}
	if n.Kind == syntax.Scalar && strings.Contains(n.Text, "${{") {
		return l.template(n, want, site)
	}
	switch want.Kind {
	case shape.Object:
		return l.object(n, want, site)
	case shape.Map:
		return l.mapping(n, want, site)
	case shape.List:
		return l.listValue(n, want, site)
	case shape.Any:
		return l.anyValue(n, want, site)
	}
	return l.literal(n, want, site)
}

func (l *loader) newValue(n *syntax.Node, want *shape.Type, site Site, form ValueForm) *Value {
	if site.Task != nil {
		site = l.site(n, site.Task)
	}
	return &Value{Form: form, Pos: n.Pos(), Len: n.Width(), Type: want, Site: site}
}

func (l *loader) wrongf(v *Value, format string, args ...any) *diag.Diagnostic {
	v.wrong = true
	d := l.diags.Errorf(v.Pos, format, args...)
	d.Len = v.Len
	return d
}

// template reads a scalar with ${{ in it. What has no expression in the end (`$${{`) is a literal text.
func (l *loader) template(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.newValue(n, want, site, Text)
	tpl, diags := expr.ParseTemplate(n.Text, n.LocateRune)
	if diags.HasErrors() {
		l.diags.Extend(l.cutHint(n, diags))
		v.Form, v.wrong = Literal, true
		return v
	}
	l.diags.Extend(diags)
	if text, ok := tpl.Literal(); ok {
		return l.literalText(v, text, want)
	}
	if e, ok := tpl.Single(); ok {
		v.Form, v.Expr = Single, e
		return v
	}
	v.Template, v.source = tpl, n.Text
	switch f, short := want.ShortField(); {
	case want.Kind == shape.Object && short:
		return l.shortForm(n, want, f, site)
	case want.Kind == shape.List && want.OneOK:
		return v
	case want.Kind == shape.List && bareWord(tpl.Fixed(), want):
		return l.listOf([]*syntax.Node{n}, l.newValue(n, want, site, ListForm), want, site)
	case want.Kind == shape.Object || want.Kind == shape.Map || want.Kind == shape.List:
		d := l.wrongf(v, "want a %s, not text", want.Kind).Hintf("a value that is one single ${{ }} keeps its type")
		if want.Kind == shape.List {
			d.Hintf("write each entry on a line of its own after `- `; a value that is one single ${{ }} keeps its type")
		}
	}
	return v
}

func (l *loader) object(n *syntax.Node, want *shape.Type, site Site) *Value {
	if n.Kind != syntax.Mapping {
		if f, ok := want.ShortField(); ok {
			return l.shortForm(n, want, f, site)
		}
		v := l.newValue(n, want, site, MapForm)
		l.wrongf(v, "want a map with %s, not %s", strings.Join(want.Names(), ", "), n.Describe())
		return v
	}
	v := l.newValue(n, want, site, MapForm)
	var meant []string // by keys that are misspelt
	for _, e := range n.Entries {
		f, known := want.Field(e.Key.Text)
		if !known {
			d := l.diags.Errorf(e.Key.Pos(), "no such key `%s`", e.Key.Text)
			d.Len, d.Hint = e.Key.Width(), diag.DidYouMean(e.Key.Text, want.Names())
			if !strings.HasPrefix(d.Hint, "did you mean") && slices.Contains(taskKeys(), e.Key.Text) {
				d.Hintf("`%s` is a key of the task: it stands beside the kind, further to the left", e.Key.Text)
			}
			v.wrong = true
			meant = append(meant, diag.Nearest(e.Key.Text, want.Names()))
			continue
		}
		l.field(v, f, e, site)
	}
	l.complete(v, want, meant)
	return v
}

// shortForm is the map that a value which is no map stands for.
func (l *loader) shortForm(n *syntax.Node, want *shape.Type, f shape.Field, site Site) *Value {
	v := l.newValue(n, want, site, MapForm)
	l.field(v, f, syntax.Entry{Key: syntax.NewMapping(n, f.Name, n).Entries[0].Key, Value: n}, site)
	l.complete(v, want, nil)
	return v
}

func (l *loader) field(v *Value, f shape.Field, e syntax.Entry, site Site) {
	x := l.value(e.Value, f.Type, site)
	if x == nil {
		return
	}
	x.Lazy, x.Secret = f.Lazy, f.Secret
	if f.Min != nil && x.Form == Literal && !x.wrong {
		if size, ok := x.Plain.(int); ok && size < *f.Min {
			l.wrongf(x, "`%s` must be at least %d", f.Name, *f.Min)
		}
	}
	if f.Min != nil && x.Form == ListForm && len(x.List) < *f.Min && !x.wrong {
		l.wrongf(x, "`%s` needs at least %s", f.Name, plural(*f.Min, "entry", "entries"))
	}
	v.Map = append(v.Map, Entry{Key: f.Name, Pos: e.Key.Pos(), Value: x})
}

// complete checks what must be given. meant are fields that misspelt keys were to give: nothing is said of them.
func (l *loader) complete(v *Value, want *shape.Type, meant []string) {
	given := func(name string) bool {
		return slices.Contains(meant, name) || slices.ContainsFunc(v.Map, func(e Entry) bool { return e.Key == name })
	}
	for _, f := range want.Fields {
		if f.Required && f.Default == nil && !given(f.Name) {
			d := l.diags.Errorf(v.Pos, "`%s` is missing", f.Name)
			if f.Doc != "" {
				d.Hintf("%s: %s", f.Name, f.Doc)
			}
			v.wrong = true
		}
	}
	for _, problem := range shape.CheckArms(want, given) {
		d := l.diags.Errorf(v.Pos, "%s", problem)
		for _, e := range v.Map {
			if f, _ := want.Field(e.Key); f.Arm != "" && strings.HasPrefix(problem, "only one") && len(d.Notes) < 2 {
				d.Note(e.Pos, "`%s` is given here", e.Key)
			}
		}
		v.wrong = true
	}
}

func (l *loader) mapping(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.newValue(n, want, site, MapForm)
	if n.Kind != syntax.Mapping {
		l.wrongf(v, "want a map, not %s", n.Describe()).Hintf("each entry is a key with its value: `NAME: VALUE`")
		return v
	}
	elem := want.Elem
	if elem == nil {
		elem = &shape.Type{}
	}
	for _, e := range n.Entries {
		l.key(e.Key)
		x := l.value(e.Value, elem, site)
		if x == nil && elem.Kind == shape.Any {
			x = l.newValue(e.Value, elem, site, Literal)
		}
		if x != nil {
			v.Map = append(v.Map, Entry{Key: e.Key.Text, Pos: e.Key.Pos(), Value: x})
		}
	}
	return v
}

// key refuses an expression as key of a map: what it is would be known too late to check it.
func (l *loader) key(k *syntax.Node) {
	if strings.Contains(k.Text, "${{") {
		l.diags.Errorf(k.Pos(), "a key can't be an expression").
			Hintf("make the whole map by one: ${{ {name: value} }}").Len = k.Width()
	}
}

func (l *loader) listValue(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.newValue(n, want, site, ListForm)
	items := n.Items
	switch {
	case n.Kind == syntax.Sequence:
	case want.OneOK || n.Kind == syntax.Scalar && bareWord(n.Text, want):
		items = []*syntax.Node{n}
	default:
		l.wrongf(v, "want a list, not %s", n.Describe()).Hintf("%s", asList(n))
		return v
	}
	return l.listOf(items, v, want, site)
}

// bareWord tells whether a text can only mean a list of one: `package: socat`. One with white space or a comma may mean
// several, or a command line.
func bareWord(text string, list *shape.Type) bool {
	elem := list.Elem
	if elem == nil || text == "" {
		return false
	}
	if f, ok := elem.ShortField(); ok && elem.Kind == shape.Object {
		elem = f.Type
	}
	if elem.Kind == shape.List && elem.OneOK {
		elem = elem.Elem
	}
	sentence := elem.Format == "condition" || elem.Format == "expr"
	return elem.Kind == shape.String && (sentence || !strings.ContainsAny(text, ", \t\n"))
}

// asList says how to write as a list what is none.
func asList(n *syntax.Node) string {
	words := strings.FieldsFunc(n.Text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
	if n.Kind != syntax.Scalar || len(words) == 0 || len(words) > 6 {
		return "write each entry on a line of its own after `- `"
	}
	return "write [" + strings.Join(words, ", ") + "], or each entry on a line of its own after `- `"
}

func (l *loader) listOf(items []*syntax.Node, v *Value, want *shape.Type, site Site) *Value {
	for _, item := range items {
		x := l.value(item, want.Elem, site)
		if x == nil {
			l.diags.Errorf(item.Pos(), "an entry of the list is empty")
			continue
		}
		v.List = append(v.List, x)
	}
	return v
}

// anyValue decodes what has no type: scalars by their usual meaning.
func (l *loader) anyValue(n *syntax.Node, want *shape.Type, site Site) *Value {
	switch n.Kind {
	case syntax.Mapping:
		return l.mapping(n, &shape.Type{Kind: shape.Map, Elem: want}, site)
	case syntax.Sequence:
		v := l.newValue(n, &shape.Type{Kind: shape.List, Elem: want}, site, ListForm)
		for _, item := range n.Items {
			x := l.value(item, want, site)
			if x == nil {
				x = l.newValue(item, want, site, Literal)
			}
			v.List = append(v.List, x)
		}
		return v
	}
	v := l.newValue(n, want, site, Literal)
	v.Plain = n.Any()
	return v
}

// literal converts the text of a scalar to the type.
func (l *loader) literal(n *syntax.Node, want *shape.Type, site Site) *Value {
	v := l.newValue(n, want, site, Literal)
	if n.Kind != syntax.Scalar {
		d := l.wrongf(v, "want %s, not %s", article(want), n.Describe())
		if n.Kind == syntax.Sequence && len(n.Items) == 1 && n.Items[0].Kind == syntax.Scalar {
			d.Hintf("without brackets: %s", n.Items[0].Text)
		}
		return v
	}
	v = l.literalText(v, n.Text, want)
	if want.Format == "mode" && !v.wrong && n.Style == syntax.Plain && !strings.HasPrefix(n.Text, "0") {
		d := l.wrongf(v, "%s could be meant as octal or as decimal", n.Text).Hintf("write \"0%s\"", n.Text)
		if i, err := strconv.Atoi(n.Text); err == nil {
			d.Hintf("write \"0%s\"; the decimal number is \"0%o\"", n.Text, i)
		}
	}
	return v
}

func (l *loader) literalText(v *Value, text string, want *shape.Type) *Value {
	v.Form = Literal
	switch want.Kind {
	case shape.Any:
		v.Plain = text
		return v
	case shape.Object, shape.Map, shape.List:
		if want.Kind == shape.List && want.OneOK {
			one := *v
			v.Form, v.List = ListForm, []*Value{l.literalText(&one, text, want.Elem)}
			return v
		}
		l.wrongf(v, "want %s, not text", article(want))
		return v
	}
	x, err := shape.Scalar(want, text)
	if err != nil {
		l.wrongf(v, "%v", err).Hint = wayOut(want, text, v.Site)
		return v
	}
	v.Plain = x
	return v
}

func article(t *shape.Type) string {
	d := t.Describe()
	for _, word := range []string{"list", "map", "whole number", "number", "path", "version", "duration", "url", "size"} {
		if strings.HasPrefix(d, word) {
			return "a " + d
		}
	}
	return d
}
