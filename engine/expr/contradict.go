package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// Contradicts tells whether two conditions can't both be true where their names mean the same. It knows negation, and
// comparison with constants, in conditions joined by `and`; everything else may be true together.
func (e *Expr) Contradicts(other *Expr) bool {
	for _, a := range conjuncts(e.tree) {
		for _, b := range conjuncts(other.tree) {
			if opposite(a, b) || opposite(b, a) || disjoint(a, b) {
				return true
			}
		}
	}
	return false
}

// conjuncts are the parts of a condition that all must be true.
func conjuncts(n ast.Node) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "and" || b.Operator == "&&") {
		return append(conjuncts(b.Left), conjuncts(b.Right)...)
	}
	return []ast.Node{n}
}

// opposite tells whether a is the negation of b.
func opposite(a, b ast.Node) bool {
	switch a := a.(type) {
	case *ast.UnaryNode:
		return (a.Operator == "not" || a.Operator == "!") && a.Node.String() == b.String()
	case *ast.BinaryNode:
		b, ok := b.(*ast.BinaryNode)
		return ok && a.Operator == "!=" && b.Operator == "==" && a.Left.String() == b.Left.String() && a.Right.String() == b.Right.String()
	}
	return false
}

// disjoint tells whether a and b allow one thing only values that have none in common.
func disjoint(a, b ast.Node) bool {
	thing, some := allowed(a)
	other, more := allowed(b)
	return thing != "" && thing == other && !slices.ContainsFunc(some, func(v string) bool { return slices.Contains(more, v) })
}

// allowed are the constants that a condition lets a thing be: x == 1, x in [1, 2].
func allowed(n ast.Node) (thing string, values []string) {
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		return "", nil
	}
	switch b.Operator {
	case "==":
		if isConstant(b.Right) {
			return b.Left.String(), []string{b.Right.String()}
		}
	case "in":
		list, ok := b.Right.(*ast.ArrayNode)
		if !ok || slices.ContainsFunc(list.Nodes, func(x ast.Node) bool { return !isConstant(x) }) {
			return "", nil
		}
		for _, x := range list.Nodes {
			values = append(values, x.String())
		}
		return b.Left.String(), values
	}
	return "", nil
}

func isConstant(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}
