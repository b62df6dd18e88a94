package kube

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Path leads to a value inside decoded JSON: spec.template.spec.containers[name=calico-node].env[0],
// metadata.annotations["example.com/a.b"].
type Path []step

// step is a key of a map, an index of a list, or the entry of a list that has a key of some value.
type step struct {
	key        string
	index      int // with isIndex
	isIndex    bool
	match, val string // with match != ""
}

// ParsePath reads a path.
func ParsePath(s string) (Path, error) {
	var p Path
	rest := s
	bad := func(why string) (Path, error) { return nil, fmt.Errorf("path %q: %s", s, why) }
	for rest != "" {
		if rest[0] == '[' {
			inner, after, ok := bracket(rest)
			if !ok {
				return bad("a [ is not closed")
			}
			st, err := selector(inner)
			if err != nil {
				return bad(err.Error())
			}
			p, rest = append(p, st), strings.TrimPrefix(after, ".")
			continue
		}
		n := strings.IndexAny(rest, ".[")
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return bad("a name is missing")
		}
		p = append(p, step{key: rest[:n]})
		rest = strings.TrimPrefix(rest[n:], ".")
	}
	if len(p) == 0 {
		return bad("it is empty")
	}
	return p, nil
}

// bracket cuts [..] off; a quoted key may hold a ].
func bracket(s string) (inner, after string, ok bool) {
	if strings.HasPrefix(s, `["`) {
		if i := strings.Index(s, `"]`); i > 0 {
			return s[1 : i+1], s[i+2:], true
		}
		return "", "", false
	}
	i := strings.IndexByte(s, ']')
	if i < 0 {
		return "", "", false
	}
	return s[1:i], s[i+1:], true
}

func selector(s string) (step, error) {
	if strings.HasPrefix(s, `"`) {
		key, err := strconv.Unquote(s)
		return step{key: key}, err
	}
	if key, val, ok := strings.Cut(s, "="); ok {
		return step{match: key, val: val}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return step{}, fmt.Errorf(`[%s] is neither an index, nor [key=value], nor ["key"]`, s)
	}
	return step{index: n, isIndex: true}, nil
}

// Get finds the value at the path.
func (p Path) Get(v any) (any, bool) {
	for _, s := range p {
		var ok bool
		if v, ok = s.get(v); !ok {
			return nil, false
		}
	}
	return v, true
}

func (s step) get(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if s.isIndex || s.match != "" {
			return nil, false
		}
		x, ok := v[s.key]
		return x, ok
	case []any:
		if i := s.find(v); i >= 0 {
			return v[i], true
		}
	}
	return nil, false
}

// find is the index of the entry a step chooses, or -1.
func (s step) find(list []any) int {
	switch {
	case s.isIndex && s.index < len(list):
		return s.index
	case s.match != "":
		return slices.IndexFunc(list, func(x any) bool {
			m, ok := x.(map[string]any)
			return ok && m[s.match] != nil && fmt.Sprint(m[s.match]) == s.val
		})
	}
	return -1
}

// Set sets the value at the path, nil removes it, and returns the whole. Maps on the way are made; a missing entry
// [key=value] is appended, a missing index is an error.
func (p Path) Set(whole, value any) (any, error) {
	if len(p) == 0 {
		return value, nil
	}
	s := p[0]
	if list, ok := whole.([]any); ok || s.isIndex || s.match != "" {
		return p.setInList(list, whole, value)
	}
	m, ok := whole.(map[string]any)
	if !ok && whole != nil {
		return nil, fmt.Errorf("%s: there is %T, not a map", s, whole)
	}
	if m == nil {
		m = map[string]any{}
	}
	if len(p) == 1 && value == nil {
		delete(m, s.key)
		return m, nil
	}
	x, err := p[1:].Set(m[s.key], value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	m[s.key] = x
	return m, nil
}

func (p Path) setInList(list []any, whole, value any) (any, error) {
	s := p[0]
	if list == nil && whole != nil {
		return nil, fmt.Errorf("%s: there is no list", s)
	}
	i := s.find(list)
	switch {
	case i < 0 && s.match == "":
		return nil, fmt.Errorf("%s: the list has %d entries; use an index or [key=value]", s, len(list))
	case i < 0 && value == nil:
		return list, nil
	case i < 0:
		list = append(list, map[string]any{s.match: s.val})
		i = len(list) - 1
	case len(p) == 1 && value == nil:
		return slices.Delete(list, i, i+1), nil
	}
	x, err := p[1:].Set(list[i], value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	list[i] = x
	return list, nil
}

func (s step) String() string {
	switch {
	case s.isIndex:
		return fmt.Sprintf("[%d]", s.index)
	case s.match != "":
		return fmt.Sprintf("[%s=%s]", s.match, s.val)
	}
	return s.key
}

// Equal compares a declared value with one from JSON: 3 and 3.0 and "3" are the same to a person who writes YAML.
func Equal(want, have any) bool {
	return reflect.DeepEqual(want, have) || scalar(want) && scalar(have) && fmt.Sprint(want) == fmt.Sprint(have)
}

func scalar(v any) bool {
	switch v.(type) {
	case string, bool, int, float64, nil:
		return true
	}
	return false
}
