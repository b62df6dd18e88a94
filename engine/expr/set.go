package expr

import (
	"reflect"
	"slices"

	"github.com/expr-lang/expr/vm/runtime"
)

// set tells whether an equal value is in a list, without comparing each with each where values are scalars or hosts.
type set struct {
	keys map[any]bool
	rest []any
}

func newSet(list []any) *set {
	s := &set{keys: make(map[any]bool, len(list))}
	for _, v := range list {
		s.add(v)
	}
	return s
}

// identity is a key that equal values share; ok is false for values that have none.
func identity(v any) (any, bool) {
	switch v := v.(type) {
	case nil, string, bool:
		return v, true
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return nil, false
}

func (s *set) add(v any) {
	if k, ok := identity(v); ok {
		s.keys[k] = true
	} else {
		if m, ok := v.(map[string]any); ok {
			s.keys[reflect.ValueOf(m).Pointer()] = true
		}
		s.rest = append(s.rest, v)
	}
}

func (s *set) has(v any) bool {
	if k, ok := identity(v); ok {
		return s.keys[k]
	}
	if m, ok := v.(map[string]any); ok && s.keys[reflect.ValueOf(m).Pointer()] {
		return true
	}
	return slices.ContainsFunc(s.rest, func(x any) bool { return same(x, v) })
}

// same is equality of values, quick for maps with different names, such as hosts.
func same(a, b any) bool {
	x, ok1 := a.(map[string]any)
	y, ok2 := b.(map[string]any)
	if ok1 && ok2 && x["name"] != nil && y["name"] != nil {
		if n, ok := x["name"].(string); ok && y["name"] != any(n) {
			return false
		}
	}
	return runtime.Equal(a, b)
}
