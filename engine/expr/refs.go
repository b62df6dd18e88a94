package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/kflow/kflow/engine/diag"
)

// Ref is a name that an expression mentions: inputs.vip, host.facts.os.family, tasks.init.outputs.endpoint,
// groups.workers, item. In `on` and `at` a group may be the root itself.
type Ref struct {
	Root     string
	Path     []string // names after the root, up to the first index that is no name
	Pos      diag.Pos
	Len      int
	Optional bool // left of `??`, or with `?.`: it may be missing
}

// step is one `.name`, `["name"]`, `[0]` or `[expression]` of a chain of accesses.
type step struct {
	key      ast.Node // name or index
	name     string
	named    bool
	optional bool // written with ?.
	span     span // of the key
}

// flatten takes a chain of accesses apart: a.b?.c[0] is the base a with three steps.
func flatten(n ast.Node) (ast.Node, []step) {
	var steps []step
	for {
		switch x := n.(type) {
		case *ast.ChainNode:
			n = x.Node
			continue
		case *ast.MemberNode:
			s := step{key: x.Property, optional: x.Optional, span: located(x.Property)}
			if name, ok := x.Property.(*ast.StringNode); ok {
				s.name, s.named = name.Value, true
			}
			steps = append(steps, s)
			n = x.Node
			continue
		}
		slices.Reverse(steps)
		return n, steps
	}
}

func located(n ast.Node) span { return span{n.Location().From, n.Location().To} }

// refWalker collects the names of an expression.
type refWalker struct {
	e     *Expr
	bound []string
	diags *diag.List
}

// walk visits n; optional tells that the value of n may be missing.
func (w *refWalker) walk(n ast.Node, optional bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		w.chain(n, optional)
	case *ast.BinaryNode:
		w.walk(n.Left, n.Operator == "??")
		w.walk(n.Right, optional && n.Operator == "??")
	case *ast.ConditionalNode:
		w.walk(n.Cond, false)
		w.walk(n.Exp1, optional)
		w.walk(n.Exp2, optional)
	case *ast.SliceNode:
		w.walk(n.Node, optional)
		w.walk(n.From, false)
		w.walk(n.To, false)
	case *ast.VariableDeclaratorNode:
		w.walk(n.Value, false)
		w.bound = append(w.bound, n.Name)
		w.walk(n.Expr, optional)
		w.bound = w.bound[:len(w.bound)-1]
	case *ast.CallNode:
		w.call(n)
	case nil:
	default:
		for _, c := range children(n) {
			w.walk(c, false)
		}
	}
}

func (w *refWalker) call(n *ast.CallNode) {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		w.walk(n.Callee, false)
	}
	for _, a := range n.Arguments {
		w.walk(a, false)
		if s, constant := a.(*ast.StringNode); constant && ok && name.Value == lookupFile {
			w.e.files = append(w.e.files, s.Value)
		}
	}
}

func (w *refWalker) chain(n ast.Node, optional bool) {
	base, steps := flatten(n)
	for _, s := range steps {
		if !s.named {
			w.walk(s.key, false)
		}
	}
	id, ok := base.(*ast.IdentifierNode)
	if !ok {
		w.walk(base, optional)
		return
	}
	if slices.Contains(w.bound, id.Value) {
		return
	}
	r := Ref{Root: id.Value, Optional: optional}
	where := located(id)
	for _, s := range steps {
		r.Optional = r.Optional || s.optional
	}
	for _, s := range steps {
		if !s.named {
			break
		}
		r.Path = append(r.Path, s.name)
		where = where.union(s.span)
	}
	r.Pos, r.Len = w.e.at.place(where)
	w.e.refs = append(w.e.refs, r)
	if r.Root == "tasks" && len(r.Path) == 0 {
		d := w.diags.Errorf(r.Pos, "`tasks` needs the id of a task, as it is written in the playbook: tasks.ID")
		d.Len, d.Hint = r.Len, "which tasks an expression reads must be known before anything runs, so the id cannot be computed"
	}
}

// children are the parts of a node that have no special treatment.
func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		return notNil(n.Node, n.From, n.To)
	case *ast.CallNode:
		return append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}

func notNil(nodes ...ast.Node) []ast.Node {
	return slices.DeleteFunc(nodes, func(n ast.Node) bool { return n == nil })
}

// spanOf is the range of the source that n and all below it cover, with the brackets that belong to it.
func (e *Expr) spanOf(n ast.Node) span {
	if s, ok := e.spans[n]; ok {
		return s
	}
	s := located(n)
	if c, ok := n.(*ast.ConditionalNode); ok { // expr locates it behind its end
		s = e.spanOf(c.Cond)
	}
	for _, c := range children(n) {
		s = s.union(e.spanOf(c))
	}
	s = e.balance(s)
	e.spans[n] = s
	return s
}

// balance extends s to the brackets that are opened in it.
func (e *Expr) balance(s span) span {
	depth := 0
	for _, t := range e.tokens {
		if t.From < s.from {
			continue
		}
		if t.From >= s.to && depth <= 0 {
			break
		}
		switch t.Value {
		case "(", "[", "{":
			if t.Kind == "Bracket" {
				depth++
			}
		case ")", "]", "}":
			if t.Kind == "Bracket" {
				depth--
				s.to = max(s.to, t.To)
			}
		}
	}
	return s
}
