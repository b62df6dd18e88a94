package playbook

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// Given are values of inputs from one source.
type Given struct {
	Source string // for messages: "--set", "environment", the name of a file
	values []givenValue
	lax    bool // unknown names are only warned of
	sealed bool // all of them are secrets
}

// Names are the names of the inputs that are given, in order.
func (g Given) Names() []string {
	var names []string
	for _, v := range g.values {
		names = append(names, v.name)
	}
	return names
}

type givenValue struct {
	name string
	at   diag.Pos // in a file of inputs; else its File is the source
	raw  any      // plain value, or text to be read by the type of the input
	text bool
}

// Values are the inputs of a run.
type Values struct {
	Inputs  map[string]any    // every declared input; nil for one that is absent
	From    map[string]string // source of each value: "default", "--set", a file
	Secrets []string          // texts to be masked, longest first
	Missing []*Input          // required, and given by no source
}

// VarsFile reads a file of inputs: a YAML map from names to values. Lines that are wrong are not shown: which values are
// secrets is not known yet.
func VarsFile(name string, text []byte) (Given, diag.List) {
	doc, found := syntax.Parse(name, text)
	var diags diag.List
	for _, d := range found.Sorted() {
		d.Hidden = true
		diags.Add(d)
	}
	g := Given{Source: name}
	if doc.Root == nil {
		return g, diags
	}
	for _, e := range syntax.Open(doc.Root, "a file of inputs", &diags).Entries() {
		v := givenValue{name: e.Key.Text, at: e.Key.Pos(), raw: e.Value.Any()}
		if e.Value.Kind == syntax.Scalar && !e.Value.Null() {
			v.raw = e.Value.Text
		}
		g.values = append(g.values, v)
	}
	return g, diags
}

// SealedFile reads a file of inputs that was encrypted, from what is inside. Every value is a secret (see
// Options.SecretInputs), so that nothing of the text is shown where it is wrong.
func SealedFile(name string, text []byte) (Given, diag.List) {
	g, found := VarsFile(name, text)
	g.sealed = true
	var diags diag.List
	for _, d := range found.Sorted() {
		diags.Add(diag.Diagnostic{Severity: d.Severity, Pos: d.Pos, Hidden: true, Summary: "the text inside, at this line, is no YAML map of inputs",
			Hint: "decrypt it (age -d) and look at this line; it is not shown here"})
	}
	return g, diags
}

// EnvPrefix begins the names of environment variables that give inputs.
const EnvPrefix = "KFLOW_INPUT_"

// Environ takes inputs from environment variables: KFLOW_INPUT_VRRP_PASSWORD gives vrrp_password. A variable that no
// input is named after is only warned of: it may be meant for another playbook.
func Environ(environ []string) Given {
	g := Given{Source: "environment", lax: true}
	for _, kv := range environ {
		name, value, ok := strings.Cut(kv, "=")
		if rest, mine := strings.CutPrefix(name, EnvPrefix); ok && mine {
			g.values = append(g.values, givenValue{name: strings.ToLower(rest), at: diag.Pos{File: name}, raw: value, text: true})
		}
	}
	slices.SortFunc(g.values, func(a, b givenValue) int { return strings.Compare(a.name, b.name) })
	return g
}

// Set reads NAME=VALUE arguments of a flag. Errors: one that has no `=`.
func Set(flag string, pairs []string) (Given, diag.List) {
	var diags diag.List
	g := Given{Source: flag}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			diags.Errorf(diag.Pos{File: flag}, "%q is not NAME=VALUE", p)
			continue
		}
		g.values = append(g.values, givenValue{name: name, at: diag.Pos{File: flag}, raw: value, text: true})
	}
	return g, diags
}

// SetFile reads NAME=FILE arguments of a flag: the value is the content of the file, without a line end at its end.
// Errors: an argument without `=`, a file that can't be read.
func SetFile(flag string, pairs []string, read func(string) ([]byte, error)) (Given, diag.List) {
	g, diags := Set(flag, pairs)
	for i, v := range g.values {
		path := v.raw.(string)
		text, err := read(filepath.Clean(path))
		if err != nil {
			diags.Errorf(v.at, "can't read %s for input `%s`: %s", path, v.name, reason(err))
			continue
		}
		g.values[i].raw = strings.TrimRight(string(text), "\r\n")
	}
	return g, diags
}

// Answer is a value a person has typed.
func Answer(name, value string) Given {
	return Given{Source: "answer", values: []givenValue{{name: name, at: diag.Pos{File: "answer"}, raw: value, text: true}}}
}

// Merge makes the inputs of a run from defaults and given values, later sources winning. Everything that is wrong is
// reported: unknown names, values that are not of the declared type, and all missing ones. Missing inputs are listed in
// Values too, so that a terminal can ask for the secret ones and merge again.
func (in Inputs) Merge(given ...Given) (*Values, diag.List) {
	var diags diag.List
	v := &Values{Inputs: map[string]any{}, From: map[string]string{}}
	for _, x := range in {
		v.Inputs[x.Name] = x.Default
		if !x.Required {
			v.From[x.Name] = "default"
		}
	}
	for _, g := range given {
		for _, gv := range g.values {
			in.take(v, g, gv, &diags)
		}
	}
	in.missing(v, &diags)
	for _, x := range in {
		if x.Secret {
			v.Secrets = shape.Texts(v.Inputs[x.Name], v.Secrets)
		}
	}
	v.Secrets = maskable(v.Secrets)
	return v, diags
}

// maskable drops texts too short to be masked, and puts the longest first: one may contain another.
func maskable(texts []string) []string {
	texts = slices.DeleteFunc(texts, func(s string) bool { return utf8.RuneCountInString(s) < shape.MinSecret })
	slices.SortFunc(texts, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(texts)
}

func (in Inputs) take(v *Values, g Given, gv givenValue, diags *diag.List) {
	x, ok := in.Get(gv.name)
	if !ok {
		d := diags.Errorf(gv.at, "the playbook has no input `%s`", gv.name)
		d.Hint, d.Hidden = diag.DidYouMean(gv.name, in.Names()), g.sealed
		if g.lax {
			d.Severity = diag.Warning
		}
		return
	}
	v.From[x.Name] = g.Source
	value, err := x.read(gv)
	if err != nil {
		d := diags.Errorf(gv.at, "input `%s`: %s", x.Name, err)
		d.Hidden = x.Secret || g.sealed
		if g.sealed && errors.Is(err, shape.ErrShortSecret) {
			d.Hintf("every value of an encrypted file is a secret: give one that is none in a --vars file of its own, or with --set")
		}
		return
	}
	if value == nil && x.Required {
		delete(v.From, x.Name)
		return
	}
	v.Inputs[x.Name] = value
}

func (in *Input) read(gv givenValue) (any, error) {
	raw := gv.raw
	if s, isText := raw.(string); isText && gv.text {
		parsed, err := in.parse(s)
		if err != nil {
			return nil, err
		}
		raw = parsed
	}
	return in.Check(raw)
}

// parse reads the text of a list or map: YAML, or for a list also words with commas between them.
func (in *Input) parse(text string) (any, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case in.Shape.Kind == shape.List && !strings.HasPrefix(trimmed, "[") && !strings.HasPrefix(trimmed, "-"):
		list := []any{}
		for _, word := range strings.Split(trimmed, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
		return list, nil
	case in.Shape.Kind == shape.List || in.Shape.Kind == shape.Map:
		doc, diags := syntax.Parse("value", []byte(text))
		if diags.HasErrors() && in.Secret {
			return nil, fmt.Errorf("want %s in YAML", in.Shape.Describe())
		}
		if diags.HasErrors() {
			return nil, fmt.Errorf("want %s in YAML: %s", in.Shape.Describe(), diags.Sorted()[0].Summary)
		}
		return doc.Root.Any(), nil
	}
	return text, nil
}

func (in Inputs) missing(v *Values, diags *diag.List) {
	for _, x := range in {
		if _, given := v.From[x.Name]; given || !x.Required {
			continue
		}
		v.Missing = append(v.Missing, x)
		d := diags.Errorf(x.Pos, "input `%s` needs a value", x.Name)
		d.Hintf("give it with --set %s=…, in a --vars file, or as %s%s", x.Name, EnvPrefix, strings.ToUpper(x.Name))
		if x.Secret {
			d.Hintf("give it in a --vars file (it may be encrypted with age), with --set-file %s=FILE, or as %s%s; at a terminal kflow asks for it",
				x.Name, EnvPrefix, strings.ToUpper(x.Name))
		}
		if x.Description != "" {
			d.Note(x.Pos, "%s", x.Description)
		}
	}
}
