package expr

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/kflow/kflow/engine/shape"
)

// compile makes the program from what check found. The tree is rewritten into a new one first: accesses and sums become
// calls of our own functions, which are strict where expr is lenient (see the package comment).
func (e *Expr) compile(c *checker) error {
	r := rewriter{e: e, c: c}
	tree := &parser.Tree{Node: r.rewrite(e.tree), Source: file.NewSource(e.source)}
	program, err := compiler.Compile(tree, newConfig())
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%s", text)
	}
	e.program = program
	return nil
}

type rewriter struct {
	e *Expr
	c *checker
}

// at gives a new node the place of the old one, so that errors at run time name the sub-expression.
func (r *rewriter) at(n, old ast.Node) ast.Node {
	s := r.e.spanOf(old)
	n.SetLocation(file.Location{From: s.from, To: s.to})
	return n
}

func (r *rewriter) all(nodes []ast.Node) []ast.Node {
	out := make([]ast.Node, len(nodes))
	for i, n := range nodes {
		out[i] = r.rewrite(n)
	}
	return out
}

func (r *rewriter) rewrite(n ast.Node) ast.Node {
	switch x := n.(type) {
	case nil:
		return nil
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		return r.chain(n)
	case *ast.UnaryNode:
		return r.at(&ast.UnaryNode{Operator: x.Operator, Node: r.rewrite(x.Node)}, n)
	case *ast.BinaryNode:
		return r.at(r.binary(x), n)
	case *ast.SliceNode:
		return r.at(r.slice(x), n)
	case *ast.ConditionalNode:
		return r.at(&ast.ConditionalNode{Ternary: true, Cond: r.rewrite(x.Cond), Exp1: r.rewrite(x.Exp1), Exp2: r.rewrite(x.Exp2)}, n)
	case *ast.CallNode:
		return r.at(r.call(x), n)
	case *ast.BuiltinNode:
		return r.at(r.builtin(x), n)
	case *ast.PredicateNode:
		return r.at(&ast.PredicateNode{Node: r.rewrite(x.Node)}, n)
	case *ast.VariableDeclaratorNode:
		return r.at(&ast.VariableDeclaratorNode{Name: x.Name, Value: r.rewrite(x.Value), Expr: r.rewrite(x.Expr)}, n)
	case *ast.ArrayNode:
		return r.at(r.array(x), n)
	case *ast.MapNode:
		return r.at(&ast.MapNode{Pairs: r.all(x.Pairs)}, n)
	case *ast.PairNode:
		return r.at(&ast.PairNode{Key: r.rewrite(x.Key), Value: r.rewrite(x.Value)}, n)
	}
	return n // constants
}

func operation(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

func constant(v any) ast.Node { return &ast.ConstantNode{Value: v} }

// array makes a list of constants a constant.
func (r *rewriter) array(n *ast.ArrayNode) ast.Node {
	values := make([]any, 0, len(n.Nodes))
	for _, x := range n.Nodes {
		switch x := x.(type) {
		case *ast.StringNode:
			values = append(values, x.Value)
		case *ast.IntegerNode:
			values = append(values, x.Value)
		case *ast.BoolNode:
			values = append(values, x.Value)
		default:
			return &ast.ArrayNode{Nodes: r.all(n.Nodes)}
		}
	}
	return constant(values)
}

func (r *rewriter) binary(n *ast.BinaryNode) ast.Node {
	left, right := r.rewrite(n.Left), r.rewrite(n.Right)
	numbers := isNumber(r.c.types[n.Left]) && isNumber(r.c.types[n.Right])
	switch {
	case n.Operator == "+" && !numbers:
		return operation(opAdd, left, right, constant(r.c.s.BareGroups))
	case n.Operator == "-" && !numbers:
		return operation(opSubtract, left, right, constant(r.c.s.BareGroups))
	case n.Operator == "..":
		return operation(opRange, left, right)
	}
	return &ast.BinaryNode{Operator: n.Operator, Left: left, Right: right}
}

func (r *rewriter) slice(n *ast.SliceNode) ast.Node {
	args := []ast.Node{r.rewrite(n.Node), &ast.NilNode{}, &ast.NilNode{}, constant(r.c.maybe[n])}
	if n.From != nil {
		args[1] = r.rewrite(n.From)
	}
	if n.To != nil {
		args[2] = r.rewrite(n.To)
	}
	return operation(opSlice, args...)
}

func (r *rewriter) call(n *ast.CallNode) ast.Node {
	name := n.Callee.(*ast.IdentifierNode).Value
	args := r.all(n.Arguments)
	if name == lookupFile { // the hook that reads files comes with the environment
		args = append(args, &ast.IdentifierNode{Value: lookupFile})
	}
	return operation(name, args...)
}

func (r *rewriter) builtin(n *ast.BuiltinNode) ast.Node {
	args := r.all(n.Arguments)
	if len(args) > 1 || n.Name == "sum" || n.Name == "count" {
		list := operation(opList, args[0], constant(n.Name))
		list.SetLocation(args[0].Location())
		args[0] = list
		args[0] = r.among(n, args)
	}
	if n.Name == "sort_by" {
		keys := r.at(&ast.BuiltinNode{Name: "map", Arguments: args}, n)
		return operation(opSortBy, args[0], keys)
	}
	return &ast.BuiltinNode{Name: n.Name, Arguments: args}
}

// chain makes one call of a run of constant accesses, and one of each computed index.
func (r *rewriter) chain(n ast.Node) ast.Node {
	base, steps := r.c.flatten(n)
	var out ast.Node
	known := r.c.types[base]
	p := &path{start: strings.Replace(cut(r.e.source, r.e.spanOf(base)), ".", "#", 1), maybe: r.c.maybe[n]}
	if id, ok := base.(*ast.IdentifierNode); ok {
		out = r.at(&ast.IdentifierNode{Value: id.Value}, base)
	} else {
		out = r.rewrite(base)
	}
	sofar, loose := r.e.spanOf(base), false
	for _, s := range steps {
		loose = loose || s.optional
		st := pathStep{name: s.name, index: -1, absent: s.optional, null: loose}
		key := r.step(&known, s, &st)
		before := cut(r.e.source, sofar)
		sofar = r.e.balance(sofar.union(s.span))
		if key == nil {
			p.steps = append(p.steps, st)
			continue
		}
		out = r.placed(operation(opGet, out, constant(p)), sofar)
		out = r.placed(operation(opIndex, out, key, constant(&path{start: before, steps: []pathStep{st}})), sofar)
		p = &path{start: cut(r.e.source, sofar), maybe: r.c.maybe[n]}
	}
	if _, pointer := base.(*ast.PointerNode); pointer && len(steps) == 0 {
		return out
	}
	return r.placed(operation(opGet, out, constant(p)), sofar)
}

func (r *rewriter) placed(n ast.Node, s span) ast.Node {
	n.SetLocation(file.Location{From: s.from, To: s.to})
	return n
}

// step fills in what is known of an access to a value of type t, which becomes the type of its result. It returns the
// key when that is computed.
func (r *rewriter) step(t **shape.Type, s step, st *pathStep) (key ast.Node) {
	in := orAny(*t)
	st.lenient = r.c.s.BareGroups && in.Kind == shape.List
	*t = orAny(in.Elem)
	if s.named {
		if in.Kind == shape.Object {
			f, _, ok := r.c.s.member(in, s.name)
			st.declare(in, f.Type, ok)
			*t = orAny(f.Type)
		}
		return nil
	}
	if i, ok := constantIndex(s.key); ok {
		st.index, st.number = i, true
		return nil
	}
	return r.rewrite(s.key)
}

func constantIndex(n ast.Node) (int, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.UnaryNode:
		if i, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -i.Value, true
		}
	}
	return 0, false
}
