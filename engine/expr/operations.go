package expr

import (
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/vm/runtime"
)

// Names of the operations that replace expr's own; no expression can spell them.
const (
	opGet      = "$get"
	opIndex    = "$index"
	opSlice    = "$slice"
	opAdd      = "$add"
	opSubtract = "$subtract"
	opRange    = "$range"
	opList     = "$list"
	opSortBy   = "$sort_by"
)

func operations() map[string]func(...any) (any, error) {
	return map[string]func(...any) (any, error){
		opGet:      func(a ...any) (any, error) { return a[1].(*path).get(a[0]) },
		opIndex:    func(a ...any) (any, error) { return a[2].(*path).at(a[0], a[1]) },
		opSlice:    opSliceOf,
		opAdd:      opAddOf,
		opSubtract: opSubtractOf,
		opRange:    opRangeOf,
		opList:     opListOf,
		opSortBy:   opSortByOf,
		opAmong:    opAmongOf,
	}
}

var errTooLarge = errors.New("the result is too large")

const (
	maxString = 1 << 20 // bytes of a text
	maxList   = 1 << 20 // entries of a list
)

func opSliceOf(a ...any) (any, error) {
	n := 0
	text, isText := a[0].(string)
	runes := []rune(text)
	list, isList := a[0].([]any)
	switch {
	case a[0] == nil && a[3].(bool):
		return nil, nil
	case isText:
		n = len(runes)
	case isList:
		n = len(list)
	default:
		return nil, harmlessf("only lists and texts have parts, this is %s", withArticle(sortOf(a[0])))
	}
	from, err1 := bound(a[1], 0, n)
	to, err2 := bound(a[2], n, n)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	from = min(from, to)
	if isText {
		return string(runes[from:to]), nil
	}
	return list[from:to:to], nil
}

// bound is a limit of a part: negative ones count from the end, those out of range are moved into it.
func bound(v any, otherwise, n int) (int, error) {
	if v == nil {
		return otherwise, nil
	}
	i, ok := v.(int)
	if !ok {
		return 0, harmlessf("want a whole number, this is %s", withArticle(sortOf(v)))
	}
	if i < 0 {
		i += n
	}
	return min(max(i, 0), n), nil
}

// asHosts lets a host, or none, count as a list where groups stand bare.
func asHosts(v any, bare any) any {
	if bare != true {
		return v
	}
	switch v.(type) {
	case nil:
		return []any{}
	case map[string]any:
		return []any{v}
	}
	return v
}

func opAddOf(a ...any) (any, error) {
	l, r := asHosts(a[0], a[2]), asHosts(a[1], a[2])
	switch x := l.(type) {
	case string:
		if y, ok := r.(string); ok {
			if len(x)+len(y) > maxString {
				return nil, errTooLarge
			}
			return x + y, nil
		}
	case []any:
		if y, ok := r.([]any); ok {
			if len(x)+len(y) > maxList {
				return nil, errTooLarge
			}
			return slices.Concat(x, y), nil
		}
	case int, float64:
		if isNumberValue(r) {
			return runtime.Add(l, r), nil
		}
	}
	return nil, harmlessf("`+` adds two numbers, two texts or two lists, not %s and %s", withArticle(sortOf(l)), withArticle(sortOf(r)))
}

func opSubtractOf(a ...any) (any, error) {
	l, r := asHosts(a[0], a[2]), asHosts(a[1], a[2])
	if x, ok := l.([]any); ok {
		if y, ok := r.([]any); ok {
			return without(x, y), nil
		}
	}
	if isNumberValue(l) && isNumberValue(r) {
		return runtime.Subtract(l, r), nil
	}
	return nil, harmlessf("`-` wants two numbers or two lists, not %s and %s", withArticle(sortOf(l)), withArticle(sortOf(r)))
}

func isNumberValue(v any) bool {
	switch v.(type) {
	case int, float64:
		return true
	}
	return false
}

// without is the entries of list that are not in other.
func without(list, other []any) []any {
	gone := newSet(other)
	out := make([]any, 0, len(list))
	for _, v := range list {
		if !gone.has(v) {
			out = append(out, v)
		}
	}
	return out
}

func opRangeOf(a ...any) (any, error) {
	from, ok1 := a[0].(int)
	to, ok2 := a[1].(int)
	switch {
	case !ok1 || !ok2:
		return nil, harmlessf("`..` wants two whole numbers, not %s and %s", withArticle(sortOf(a[0])), withArticle(sortOf(a[1])))
	case to < from:
		return []any{}, nil
	case to-from < 0 || to-from >= maxList:
		return nil, errTooLarge
	}
	out := make([]any, 0, to-from+1)
	for i := range to - from + 1 {
		out = append(out, from+i)
	}
	return out, nil
}

// opListOf makes sure that a function gets a list to go through.
func opListOf(a ...any) (any, error) {
	if list, ok := a[0].([]any); ok {
		return list, nil
	}
	err := harmlessf("%v wants a list, this is %s", a[1], withArticle(sortOf(a[0])))
	if _, ok := a[0].(map[string]any); ok {
		err = fmt.Errorf("%w: entries(map) makes a list of it", err)
	}
	return nil, err
}
