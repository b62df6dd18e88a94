package tasktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3" //nolint:depguard // cases are written in YAML; nothing here is part of kflow

	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// decode puts a plain value into a struct by way of JSON, as the engine does; unknown fields are errors.
func decode(v, into any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// params makes tasks of the parameters of a case.
type params struct {
	kind    task.Kind
	typ     *shape.Type
	value   any // resolved
	secrets []string
	hasLazy bool
}

// resolve reads params.yaml as the engine would.
func resolve(kind task.Kind, src string, controller map[string][]byte) (*params, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(src), &doc); err != nil {
		return nil, err
	}
	p := &params{kind: kind, typ: shape.Of(kind.New())}
	var in any = map[string]any{}
	if len(doc.Content) > 0 {
		var err error
		if in, err = p.plain(doc.Content[0], p.typ); err != nil {
			return nil, err
		}
	}
	engine := func(format, text string) (any, error) { return p.engine(format, text, controller) }
	out, problems := shape.Resolve(p.typ, in, engine)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	p.value = out
	_, p.hasLazy = withoutLazy(p.typ, out)
	return p, nil
}

// json returns the parameters as they travel to a host; without the lazy ones unless lazy.
func (p *params) json(lazy bool) json.RawMessage {
	v := p.value
	if !lazy {
		v, _ = withoutLazy(p.typ, v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain values can always be written
	}
	return b
}

// action tells whether the task is an action with these parameters.
func (p *params) action() bool {
	t := p.kind.New()
	a, ok := t.(task.Actor)
	return ok && decode(p.value, t) == nil && a.Action()
}

// withoutLazy copies a value and leaves out lazy parameters; found tells whether there were any.
func withoutLazy(t *shape.Type, v any) (out any, found bool) {
	switch in := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(in))
		for key, x := range in {
			elem := t.Elem
			if f, ok := t.Field(key); ok {
				if f.Lazy {
					found = true
					continue
				}
				elem = f.Type
			}
			if elem == nil {
				elem = &shape.Type{}
			}
			y, lazy := withoutLazy(elem, x)
			m[key], found = y, found || lazy
		}
		return m, found
	case []any:
		list := make([]any, len(in))
		for i, x := range in {
			elem := t.Elem
			if elem == nil {
				elem = &shape.Type{}
			}
			y, lazy := withoutLazy(elem, x)
			list[i], found = y, found || lazy
		}
		return list, found
	}
	return v, false
}

// engine makes the values of engine formats.
func (p *params) engine(format, text string, controller map[string][]byte) (any, error) {
	switch format {
	case "content":
		return p.content(text), nil
	case "source", "template":
		b, ok := controller[text]
		if !ok {
			return nil, fmt.Errorf("there is no section controller/%s", text)
		}
		secret := slices.Contains(p.secrets, text) // it is in the file: the name may be seen
		p.secrets = slices.DeleteFunc(p.secrets, func(s string) bool { return s == text })
		return task.Content{Name: text, SHA256: hash(b), Size: int64(len(b)), Secret: secret}, nil
	case "local":
		return controllerDir + text, nil
	case "condition":
		if text == "true" || text == "false" {
			return task.Condition{Text: text, Value: text == "true"}, nil
		}
		return nil, fmt.Errorf(`a condition is written {text: "the expression", value: true} in a case`)
	}
	return nil, fmt.Errorf("unknown format %q of the engine", format)
}

func (p *params) content(text string) task.Content {
	c := task.Content{Text: text, Inline: true, SHA256: hash([]byte(text)), Size: int64(len(text))}
	for _, s := range p.secrets {
		c.Secret = c.Secret || strings.Contains(text, s)
	}
	return c
}

// plain turns YAML into a plain value. Scalars that should be text stay as they are written: 3.10 is no number there.
func (p *params) plain(n *yaml.Node, t *shape.Type) (any, error) {
	if n.Tag == "!secret" {
		p.secrets = append(p.secrets, n.Value)
		n.Tag = "!!str"
	}
	if t == nil {
		t = &shape.Type{}
	}
	switch n.Kind {
	case yaml.MappingNode:
		return p.mapping(n, t)
	case yaml.SequenceNode:
		return p.sequence(n, t)
	}
	if f, short := t.ShortField(); short {
		return p.plain(n, f.Type)
	}
	if t.Kind == shape.List && t.OneOK {
		return p.plain(n, t.Elem)
	}
	if t.Kind == shape.String && n.Tag != "!!null" {
		return n.Value, nil
	}
	var v any
	err := n.Decode(&v)
	return v, err
}

func (p *params) mapping(n *yaml.Node, t *shape.Type) (any, error) {
	m := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		key, elem := n.Content[i].Value, t.Elem
		if f, ok := t.Field(key); ok {
			elem = f.Type
		}
		v, err := p.plain(n.Content[i+1], elem)
		if err != nil {
			return nil, err
		}
		m[key] = v
	}
	return m, nil
}

func (p *params) sequence(n *yaml.Node, t *shape.Type) (any, error) {
	elem := t.Elem
	if f, short := t.ShortField(); short {
		elem = f.Type.Elem
	}
	list := []any{}
	for _, c := range n.Content {
		v, err := p.plain(c, elem)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
