package expr

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
)

func listFunctions() []*function {
	return []*function{
		row("len(x: list or map or text): int", "Number of entries, or of characters.", nil),
		row("first(list: list): an entry", "The first entry; nil when there is none.", func(a args) (any, error) { return entryAt(a, 0) }),
		row("last(list: list): an entry", "The last entry; nil when there is none.", func(a args) (any, error) { return entryAt(a, -1) }),
		row("index_of(list: list, x: any): int", "Number of the first entry equal to x, counted from 0; -1 when there is none.", runIndexOf),
		row("where(list: list, is: condition): the list", "The entries for which the condition holds: where(hosts, .vars.zone == \"a\").", nil),
		row("filter(list: list, is: condition): the list", "Same as where.", nil),
		row("map(list: list, of: expression): list of results", "The expression for each entry: map(hosts, .address).", nil),
		row("find(list: list, is: condition): an entry", "The first entry for which the condition holds; nil when there is none.", nil),
		row("any(list: list, is: condition): bool", "Whether the condition holds for at least one entry.", nil),
		row("all(list: list, is: condition): bool", "Whether the condition holds for each entry.", nil),
		row("one(list: list, is: condition): bool", "Whether the condition holds for exactly one entry.", nil),
		row("none(list: list, is: condition): bool", "Whether the condition holds for no entry.", nil),
		row("count(list: list, is?: condition): int", "Number of the entries for which the condition holds.", nil),
		row("sum(list: list, of?: expression): a sum", "Sum of the entries, or of the expression for each.", nil),
		row("sort(list: list): the list", "The entries, which must be all texts or all numbers, in ascending order.", runSort),
		row("sort_by(list: list, by: expression): the list", "The entries in ascending order of the expression; equal ones keep theirs.", nil),
		row("reverse(list: list): the list", "The entries from last to first.", runReverse),
		row("unique(list: list): the list", "The entries without repetitions, each at its first place.", runUnique),
		row("flatten(list: list): list", "Lists inside of the list replaced by their entries, at any depth.", runFlatten),
	}
}

func mapFunctions() []*function {
	return []*function{
		row("keys(map: map): list of text", "The keys, sorted.", func(a args) (any, error) {
			return eachKey(a, func(_ map[string]any, k string) any { return k })
		}),
		row("values(map: map): a value", "The values, in the order of the keys.", func(a args) (any, error) {
			return eachKey(a, func(m map[string]any, k string) any { return m[k] })
		}),
		row("entries(map: map): list of key and value", "The map as a list of maps with key and value, in the order of the keys.", func(a args) (any, error) {
			return eachKey(a, func(m map[string]any, k string) any { return map[string]any{"key": k, "value": m[k]} })
		}),
		row("merge(map...: map): map", "One map of several; where keys are the same, the last one wins.", runMerge),
	}
}

func entryAt(a args, i int) (any, error) {
	list, err := a.list(0)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if i < 0 {
		i += len(list)
	}
	return list[i], nil
}

func runIndexOf(a args) (any, error) {
	list, err := a.list(0)
	if err != nil {
		return nil, err
	}
	return slices.IndexFunc(list, func(v any) bool { return same(v, a[1]) }), nil
}

func runReverse(a args) (any, error) {
	list, err := a.list(0)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(list)
	slices.Reverse(out)
	return out, nil
}

func runUnique(a args) (any, error) {
	list, err := a.list(0)
	if err != nil {
		return nil, err
	}
	seen := newSet(nil)
	out := make([]any, 0, len(list))
	for _, v := range list {
		if !seen.has(v) {
			seen.add(v)
			out = append(out, v)
		}
	}
	return out, nil
}

func runFlatten(a args) (any, error) {
	list, err := a.list(0)
	if err != nil {
		return nil, err
	}
	out, left := make([]any, 0, len(list)), maxValues
	var walk func([]any) error
	walk = func(l []any) error {
		for _, v := range l {
			if left--; left < 0 {
				return errTooLarge
			}
			inner, ok := v.([]any)
			if !ok {
				out = append(out, v)
			} else if err := walk(inner); err != nil {
				return err
			}
		}
		return nil
	}
	err = walk(list)
	return out, err
}

func runSort(a args) (any, error) {
	list, err := a.list(0)
	if err != nil {
		return nil, err
	}
	return sorted(list, list)
}

// opSortByOf sorts a list by keys that were computed for its entries.
func opSortByOf(a ...any) (any, error) {
	list, err := args(a).list(0)
	if err != nil {
		return nil, err
	}
	keys, err := args(a).list(1)
	if err != nil {
		return nil, err
	}
	return sorted(list, keys)
}

// sorted returns the entries of list in the order of keys, which must be all texts or all numbers.
func sorted(list, keys []any) (any, error) {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	var bad error
	slices.SortStableFunc(order, func(i, j int) int {
		c, err := compare(keys[i], keys[j])
		bad = cmp.Or(bad, err)
		return c
	})
	out := make([]any, len(list))
	for to, from := range order {
		out[to] = list[from]
	}
	return out, bad
}

func compare(a, b any) (int, error) {
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	}
	x, ok1 := toFloat(a)
	y, ok2 := toFloat(b)
	if ok1 && ok2 {
		return cmp.Compare(x, y), nil
	}
	return 0, harmlessf("only texts and numbers have an order, not %s and %s", withArticle(sortOf(a)), withArticle(sortOf(b)))
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return math.NaN(), false
}

func eachKey(a args, f func(m map[string]any, key string) any) (any, error) {
	m, err := a.mapping(0)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, f(m, k))
	}
	return out, nil
}

func runMerge(a args) (any, error) {
	out := map[string]any{}
	var errs error
	for i := range a {
		m, err := a.mapping(i)
		errs = errors.Join(errs, err)
		maps.Copy(out, m)
	}
	return out, errs
}
