package expr

import (
	"fmt"
	"strings"

	"github.com/kflow/kflow/engine/shape"
)

// path is a run of accesses with constant keys: what `host.facts.os.family` does with host.
type path struct {
	start string // source of the value it begins with, for messages
	steps []pathStep
	maybe bool // left of `??`: what cannot be had is nil
}

type pathStep struct {
	name    string
	index   int
	number  bool // the key is index, not name
	absent  bool // a missing key is nil
	null    bool // nil has this member too, it is nil
	lenient bool // an index out of range is nil
	typed   bool // the key is declared: where it is missing, it has its zero value
	zero    func() any
}

// declare notes what a declared member is when the map does not hold it. A Go struct leaves out zero values when it
// becomes a map; an input that is not given is nil; what a Scope knows itself must be there.
func (s *pathStep) declare(in, t *shape.Type, ok bool) {
	switch {
	case !ok:
	case in.GoName == typeInputs || in.GoName == "":
		s.typed, s.zero = true, func() any { return nil }
	case in.GoName[0] != '$':
		s.typed, s.zero = true, zeroOf(orAny(t))
	}
}

func zeroOf(t *shape.Type) func() any {
	return func() any {
		switch t.Kind {
		case shape.String:
			return ""
		case shape.Int:
			return 0
		case shape.Float:
			return 0.0
		case shape.Bool:
			return false
		case shape.List:
			return []any{}
		case shape.Map, shape.Object:
			return map[string]any{}
		}
		return nil
	}
}

// text is the source of the access up to step n.
func (p *path) text(n int) string {
	var b strings.Builder
	b.WriteString(p.start)
	for _, s := range p.steps[:n] {
		switch {
		case s.number:
			fmt.Fprintf(&b, "[%d]", s.index)
		default:
			b.WriteString("." + s.name)
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

// harmless is an error whose message holds names and sorts, no values, so that it may be shown of a secret too.
type harmless struct{ text string }

func (m harmless) Error() string { return m.text }

func harmlessf(format string, args ...any) error { return harmless{fmt.Sprintf(format, args...)} }

func (p *path) get(v any) (any, error) {
	for i := range p.steps {
		s := &p.steps[i]
		if a, ok := v.(Absent); ok {
			if s.null {
				return nil, nil
			}
			return nil, p.absent(i, a)
		}
		if v == nil {
			if s.null {
				return nil, nil
			}
			return nil, harmlessf("`%s` is nil", p.text(i))
		}
		var err error
		if s.number {
			v, err = p.entry(i, v, s.index)
		} else {
			v, err = p.member(i, v, s.name)
		}
		if err != nil {
			return nil, err
		}
	}
	if a, ok := v.(Absent); ok {
		if p.maybe {
			return nil, nil
		}
		return nil, p.absent(len(p.steps), a)
	}
	return v, nil
}

func (p *path) absent(n int, a Absent) error {
	return fmt.Errorf("`%s` cannot be read: %w", p.text(n), a)
}

func (p *path) member(i int, v any, name string) (any, error) {
	s := &p.steps[i]
	m, ok := v.(map[string]any)
	if !ok {
		return nil, harmlessf("`%s` is %s, it has no `%s`", p.text(i), withArticle(sortOf(v)), name)
	}
	x, ok := m[name]
	switch {
	case ok:
		return x, nil
	case s.typed:
		return s.zero(), nil
	case s.absent:
		return nil, nil
	}
	return nil, harmlessf("`%s` has no `%s`", p.text(i), name)
}

func (p *path) entry(i int, v any, index int) (any, error) {
	s := &p.steps[i]
	list, ok := v.([]any)
	if !ok {
		return nil, harmlessf("`%s` is %s, it has no numbered entries", p.text(i), withArticle(sortOf(v)))
	}
	n := index
	if n < 0 {
		n += len(list)
	}
	switch {
	case n >= 0 && n < len(list):
		return list[n], nil
	case s.absent || s.lenient:
		return nil, nil
	}
	return nil, harmlessf("`%s` has %s, so there is no [%d]", p.text(i), counted(len(list), "entry", "entries"), index)
}

// at is the access with a computed key, which the only step of p stands for.
func (p *path) at(v, key any) (any, error) {
	if v == nil && p.steps[0].null {
		return nil, nil
	}
	switch k := key.(type) {
	case int:
		return p.entry(0, v, k)
	case string:
		return p.member(0, v, k)
	}
	return nil, harmlessf("`%s`: a key is text or a whole number, not %s", p.start, withArticle(sortOf(key)))
}

func counted(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// sortOf names the sort of a value, never the value.
func sortOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int:
		return "whole number"
	case float64:
		return "number"
	case []any:
		return "list"
	case map[string]any:
		return "map"
	}
	return "value of another kind"
}
