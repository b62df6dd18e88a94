package playbook

import (
	"errors"
	"fmt"
	"regexp"
	resyntax "regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// Inputs are the declared inputs of a file, in order.
type Inputs []*Input

// Input is a value a user of a playbook can give.
type Input struct {
	Name        string
	Type        string // as written: "version"
	Shape       *shape.Type
	Description string
	Pos         diag.Pos
	Required    bool
	Default     any // converted; nil when Required, or when absence is allowed
	Secret      bool
	Enum        []string
	Min, Max    *float64 // of a number, or of the length of a text, list or map
	Pattern     string   // the whole text must match

	pattern *regexp.Regexp
}

// Get returns the input of that name.
func (in Inputs) Get(name string) (*Input, bool) {
	i := slices.IndexFunc(in, func(x *Input) bool { return x.Name == name })
	if i < 0 {
		return nil, false
	}
	return in[i], true
}

// Names are the names, in order.
func (in Inputs) Names() []string {
	names := make([]string, len(in))
	for i, x := range in {
		names[i] = x.Name
	}
	return names
}

// inputType is the shape of a type name; nil for a name that is none.
func inputType(name string) *shape.Type {
	text := func(format string) *shape.Type { return &shape.Type{Kind: shape.String, Format: format} }
	switch name {
	case "string":
		return text("")
	case "int":
		return &shape.Type{Kind: shape.Int}
	case "float":
		return &shape.Type{Kind: shape.Float}
	case "bool":
		return &shape.Type{Kind: shape.Bool}
	case "list":
		return &shape.Type{Kind: shape.List, Elem: &shape.Type{}}
	case "map":
		return &shape.Type{Kind: shape.Map, Elem: &shape.Type{}}
	case "version", "ip", "cidr", "duration", "path", "url", "size", "mode":
		return text(name)
	}
	return nil
}

// InputTypes are the names of the types that an input can have.
func InputTypes() []string {
	return []string{"string", "int", "float", "bool", "version", "ip", "cidr", "duration", "path", "url", "size", "mode", "list", "map"}
}

func (l *loader) inputs(pb *Playbook, n *syntax.Node) {
	if names, wrong := l.listed(n, "inputs", "vip: {type: ip}"); wrong {
		for _, name := range names {
			pb.Inputs = append(pb.Inputs, &Input{Name: name.Text, Type: "string", Shape: &shape.Type{}, Pos: name.Pos()})
		}
		return
	}
	for _, e := range syntax.Open(n, "`inputs`", &l.diags).Entries() {
		checkName(e.Key, "input", &l.diags)
		pb.Inputs = append(pb.Inputs, l.input(pb, e))
	}
}

func (l *loader) input(pb *Playbook, e syntax.Entry) *Input {
	in := &Input{Name: e.Key.Text, Pos: e.Key.Pos()}
	what := "input `" + in.Name + "`"
	if n := e.Value; n.Kind == syntax.Scalar && !n.Null() {
		l.shortInput(n, what)
		in.Type, in.Shape = "string", &shape.Type{}
		return in
	}
	f := syntax.Open(e.Value, what, &l.diags).
		Known("type", "element", "default", "required", "secret", "enum", "min", "max", "pattern", "description")
	in.Type, in.Shape = "string", inputType("string")
	if e.Value.Null() || e.Value.Kind == syntax.Mapping && f.Get("type") == nil {
		l.diags.Errorf(e.Key.Pos(), "%s needs a `type`", what).Hintf("types: %s", strings.Join(InputTypes(), ", "))
	} else if n := f.Get("type"); n != nil {
		in.Type, in.Shape = l.typeName(n, f.Get("element"))
	}
	in.Description = f.Text("description")
	in.Secret, _ = f.Bool("secret")
	for _, n := range f.Texts("enum") {
		in.Enum = append(in.Enum, n.Text)
	}
	if in.Shape.Kind == shape.String {
		in.Shape.Enum = in.Enum
	}
	in.Min, in.Max = l.bound(f, "min"), l.bound(f, "max")
	if in.Min != nil && in.Max != nil && *in.Min > *in.Max {
		l.diags.Errorf(f.Pos("max"), "%s: nothing is at least %v and at most %v", what, *in.Min, *in.Max)
	}
	l.boundable(in, f)
	l.pattern(in, f.Get("pattern"))
	l.defaultOf(pb, in, f)
	if pb.Use == nil && slices.Contains(l.secretInputs, in.Name) {
		in.Secret = true
	}
	return in
}

// shortInput is for an input that is no map: of what the type, or the default, alone is written.
func (l *loader) shortInput(n *syntax.Node, what string) {
	d := l.diags.Errorf(n.Pos(), "%s must be a map, not %s", what, n.Describe())
	d.Len = n.Width()
	if inputType(n.Text) != nil {
		d.Hintf("write {type: %s}", n.Text)
	} else {
		d.Hintf("a value that can be left out is written {type: string, default: %s}", n.Text)
	}
}

func (l *loader) typeName(n, element *syntax.Node) (string, *shape.Type) {
	t := inputType(n.Text)
	if t == nil || n.Kind != syntax.Scalar {
		d := l.diags.Errorf(n.Pos(), "%s is no type of an input", n.Describe())
		d.Len, d.Hint = n.Width(), diag.DidYouMean(n.Text, InputTypes())
		if d.Hint == "" {
			d.Hintf("types: %s", strings.Join(InputTypes(), ", "))
		}
		return "string", &shape.Type{}
	}
	if element == nil {
		return n.Text, t
	}
	if t.Elem == nil {
		l.diags.Errorf(element.Pos(), "`element` belongs to a list or map, not to %s", n.Text)
		return n.Text, t
	}
	_, t.Elem = l.typeName(element, nil)
	return n.Text, t
}

func (l *loader) bound(f *syntax.Fields, key string) *float64 {
	n := f.Get(key)
	if n == nil {
		return nil
	}
	v, err := shape.Scalar(&shape.Type{Kind: shape.Float}, n.Text)
	if err != nil || n.Kind != syntax.Scalar {
		l.diags.Errorf(n.Pos(), "`%s` must be a number, not %s", key, n.Describe()).Len = n.Width()
		return nil
	}
	x := v.(float64)
	return &x
}

// boundable reports min and max where it would not be clear what they count.
func (l *loader) boundable(in *Input, f *syntax.Fields) {
	for _, key := range []string{"min", "max"} {
		if f.Get(key) != nil && (in.Shape.Kind == shape.Bool || in.Shape.Format != "") {
			l.diags.Errorf(f.Pos(key), "`%s` is for numbers, and for the length of texts, lists and maps, not for %s", key, in.Type)
		}
	}
}

func (l *loader) pattern(in *Input, n *syntax.Node) {
	if n == nil {
		return
	}
	re, err := regexp.Compile(`^(?:` + n.Text + `)$`)
	if err != nil || n.Kind != syntax.Scalar {
		d := l.diags.Errorf(n.Pos(), "`pattern` must be a regular expression (RE2), not %s", n.Describe())
		d.Len = n.Width()
		var syntaxError *resyntax.Error
		if errors.As(err, &syntaxError) {
			d.Hintf("%s", syntaxError.Code)
		}
		return
	}
	in.Pattern, in.pattern = n.Text, re
}

// defaultOf reads default and required: without either an input is required; `default: null` and `required: false` let
// it be absent, and its value is null.
func (l *loader) defaultOf(pb *Playbook, in *Input, f *syntax.Fields) {
	required, said := f.Bool("required")
	in.Required = !f.Has("default") && (required || !said)
	n := f.Get("default")
	if n == nil {
		return
	}
	if said && required {
		l.diags.Errorf(f.Pos("required"), "input `%s` has a default, so it is not required", in.Name)
	}
	v := l.value(n, in.Shape, Site{File: pb})
	if v == nil {
		return
	}
	if !v.constant() {
		l.diags.Errorf(n.Pos(), "a default is a plain value, not an expression").Len = n.Width()
		return
	}
	plain, err := in.Check(v.plain())
	if err != nil && !v.wrong {
		l.diags.Errorf(n.Pos(), "the default of input `%s`: %s", in.Name, err).Len = n.Width()
	}
	in.Default = plain
}

// Check converts a value to the type of the input and holds it against its limits. Errors say what is wrong, without the
// name of the input and without the value of a secret.
func (in *Input) Check(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	out, problems := shape.Resolve(in.Shape, v, nil)
	if len(problems) > 0 {
		if in.Secret {
			return nil, fmt.Errorf("the value is no %s", in.Shape.Describe())
		}
		return nil, problems[0]
	}
	if err := in.limits(out); err != nil {
		return nil, err
	}
	return out, in.checkSecret(out)
}

// Accepts tells why a value that was given for this input can't be taken; nil when it can.
func (in *Input) Accepts(g Given) error {
	for _, v := range g.values {
		value, err := in.read(v)
		if err != nil {
			return err
		}
		if value == nil || value == "" {
			return errors.New("it needs a value")
		}
	}
	return nil
}

func (in *Input) limits(v any) error {
	text, isText := v.(string)
	if len(in.Enum) > 0 && !slices.Contains(in.Enum, fmt.Sprint(v)) {
		return fmt.Errorf("%s is not one of %s", in.show(v), strings.Join(in.Enum, ", "))
	}
	if isText && in.pattern != nil && !in.pattern.MatchString(text) {
		return fmt.Errorf("%s does not match %s", in.show(v), in.Pattern)
	}
	size, what := measure(v)
	switch {
	case in.Min != nil && size < *in.Min:
		return fmt.Errorf("%s must be at least %v", what, *in.Min)
	case in.Max != nil && size > *in.Max:
		return fmt.Errorf("%s must be at most %v", what, *in.Max)
	}
	return nil
}

func measure(v any) (float64, string) {
	switch v := v.(type) {
	case int:
		return float64(v), "it"
	case float64:
		return v, "it"
	case string:
		return float64(utf8.RuneCountInString(v)), "its length"
	case []any:
		return float64(len(v)), "its length"
	case map[string]any:
		return float64(len(v)), "its length"
	}
	return 0, "it"
}

func (in *Input) show(v any) string {
	if in.Secret {
		return "the value"
	}
	return fmt.Sprintf("%q", fmt.Sprint(v))
}

func (in *Input) checkSecret(v any) error {
	if !in.Secret {
		return nil
	}
	return shape.CheckSecret(v)
}
