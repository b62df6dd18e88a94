package expr

import (
	"slices"
	"sync/atomic"

	"github.com/expr-lang/expr/ast"
)

// opAmong narrows a list for a function that looks for entries with a member of one value: without it, a question that is
// asked for each host about all hosts ("is there another one with my machine id?") takes the square of their number.
const opAmong = "$among"

// among is the member, and the entries of the list it was asked about last by that member. Lists are shared by all that
// evaluate in one session, and values are not changed, so that a list is the same while it lies at the same place.
type among struct {
	path *path
	last atomic.Pointer[indexed]
}

type indexed struct {
	list []any
	by   map[string][]any // nil: it was seen once, or can't be made
	used bool             // it was seen before
}

// among narrows the list of filter(list, .member == value and ..), where value has nothing to do with the entry. The
// function itself looks at what is left as before, and entries that are taken out are those for which it says no.
func (r *rewriter) among(n *ast.BuiltinNode, args []ast.Node) ast.Node {
	if !slices.Contains([]string{"filter", "count", "any", "none", "one", "find"}, n.Name) || len(n.Arguments) != 2 || !isName(n.Arguments[0]) {
		return args[0]
	}
	member, value := equality(n.Arguments[1])
	if member == nil || inner(value) {
		return args[0]
	}
	get, ok := r.rewrite(member).(*ast.CallNode)
	if !ok || len(get.Arguments) != 2 {
		return args[0]
	}
	if _, pointer := get.Arguments[0].(*ast.PointerNode); !pointer {
		return args[0]
	}
	p := get.Arguments[1].(*ast.ConstantNode).Value.(*path)
	// The value is not computed where there is no entry to compare it with.
	some := &ast.BinaryNode{Operator: ">", Left: &ast.BuiltinNode{Name: "len", Arguments: []ast.Node{args[0]}}, Right: &ast.IntegerNode{Value: 0}}
	narrowed := operation(opAmong, args[0], constant(&among{path: p}), r.rewrite(value))
	narrowed.SetLocation(args[0].Location())
	return &ast.ConditionalNode{Cond: some, Exp1: narrowed, Exp2: args[0]}
}

// isName tells whether a list is one that there is, and not one that is made for the question.
func isName(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		return true
	case *ast.MemberNode:
		_, text := x.Property.(*ast.StringNode)
		return text && !x.Optional && isName(x.Node)
	}
	return false
}

// equality is what a predicate compares first: a member of the entry, and something else; nil = it does not.
func equality(n ast.Node) (member, value ast.Node) {
	if p, ok := n.(*ast.PredicateNode); ok {
		n = p.Node
	}
	b, ok := n.(*ast.BinaryNode)
	switch {
	case !ok:
		return nil, nil
	case b.Operator == "and" || b.Operator == "&&":
		return equality(b.Left)
	case b.Operator != "==":
		return nil, nil
	}
	if base, steps := flatten(b.Left); isPointer(base) && len(steps) > 0 {
		return b.Left, b.Right
	}
	return nil, nil
}

func isPointer(n ast.Node) bool { _, ok := n.(*ast.PointerNode); return ok }

// inner tells whether an expression speaks of the entry, or has what may be one of another list in it.
func inner(n ast.Node) bool {
	base, steps := flatten(n)
	switch base.(type) {
	case *ast.StringNode:
		return len(steps) > 0
	case *ast.IdentifierNode:
		return slices.ContainsFunc(steps, func(s step) bool { return !s.named })
	}
	return true
}

func opAmongOf(a ...any) (any, error) {
	list, isList := a[0].([]any)
	value, isText := a[2].(string)
	if !isList || !isText {
		return a[0], nil
	}
	in := a[1].(*among).of(list)
	if in.by == nil {
		return list, nil
	}
	if found := in.by[value]; found != nil {
		return found, nil
	}
	return []any{}, nil
}

// of is the index of a list, which is made when the list is seen for the second time.
func (a *among) of(list []any) *indexed {
	have := a.last.Load()
	if have == nil || len(have.list) != len(list) || &have.list[0] != &list[0] {
		have = &indexed{list: list}
		a.last.Store(have)
		return have
	}
	if !have.used {
		have = &indexed{list: list, used: true, by: a.index(list)}
		a.last.Store(have)
	}
	return have
}

// index is nil where a member can't be had: the function has to say so itself.
func (a *among) index(list []any) map[string][]any {
	by := make(map[string][]any, len(list))
	for _, entry := range list {
		v, err := a.path.get(entry)
		if err != nil {
			return nil
		}
		if s, ok := v.(string); ok { // nothing else is equal to a text
			by[s] = append(by[s], entry)
		}
	}
	return by
}
