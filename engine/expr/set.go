package expr

import (
	"slices"

	"github.com/expr-lang/expr/vm/runtime"
)

// set tells whether an equal value is in a list. Scalars are looked up; lists and maps are compared with those of the
// same sort, maps with those of the same `name`, so that sets of many hosts stay quick.
type set struct {
	scalars map[any]bool
	others  map[string][]any
}

func newSet(list []any) *set {
	s := &set{scalars: make(map[any]bool), others: make(map[string][]any, len(list))}
	for _, v := range list {
		s.add(v)
	}
	return s
}

// scalar is a key that equal scalars share.
func scalar(v any) (key any, ok bool) {
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

// bucket is a key that equal lists and maps share.
func bucket(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return "list"
	}
	name, _ := m["name"].(string)
	return "map " + name
}

func (s *set) add(v any) {
	if k, ok := scalar(v); ok {
		s.scalars[k] = true
		return
	}
	b := bucket(v)
	s.others[b] = append(s.others[b], v)
}

func (s *set) has(v any) bool {
	if k, ok := scalar(v); ok {
		return s.scalars[k]
	}
	return slices.ContainsFunc(s.others[bucket(v)], func(x any) bool { return runtime.Equal(x, v) })
}

// same is equality, quick for maps with different names, such as hosts.
func same(a, b any) bool {
	if _, ok := scalar(a); !ok && bucket(a) != bucket(b) {
		return false
	}
	return runtime.Equal(a, b)
}
