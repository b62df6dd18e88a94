package expr

import (
	"regexp"

	"github.com/expr-lang/expr/ast"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// condition wants true or false.
func (c *checker) condition(n ast.Node) {
	if t := c.visit(n); !is(t, shape.Bool) {
		c.errorf(n, "want true or false, this is %s", withArticle(describe(t))).Hint = c.truth(n, t)
	}
}

func (c *checker) unary(n *ast.UnaryNode) *shape.Type {
	if n.Operator == "!" || n.Operator == "not" {
		c.condition(n.Node)
		return boolType()
	}
	t := c.visit(n.Node)
	if !isNumber(t) && !isAny(t) {
		c.errorf(n.Node, "`%s` wants a number, this is %s", n.Operator, withArticle(describe(t)))
		return anyType()
	}
	return t
}

func (c *checker) binary(n *ast.BinaryNode) *shape.Type {
	switch n.Operator {
	case "and", "&&", "or", "||":
		c.condition(n.Left)
		c.condition(n.Right)
		return boolType()
	case "??":
		c.markMaybe(n.Left)
		return c.either(c.visit(n.Left), c.visit(n.Right))
	}
	c.compared(n.Left, n.Right)
	l, r := c.operand(n.Left), c.operand(n.Right)
	switch n.Operator {
	case "==", "!=":
		c.equality(n, l, r)
		return boolType()
	case "<", ">", "<=", ">=":
		c.order(n, l, r)
		return boolType()
	case "in":
		c.in(n, l, r)
		return boolType()
	case "matches", "contains", "startsWith", "endsWith":
		c.text(n, l, r)
		return boolType()
	case "..":
		c.both(n, l, r, "whole numbers", isInt)
		return listOf(intType())
	case "+":
		return c.plus(n, l, r)
	case "-":
		return c.minus(n, l, r)
	case "*":
		return c.arithmetic(n, l, r)
	case "/", "**", "^":
		c.arithmetic(n, l, r)
		return floatType()
	case "%":
		c.both(n, l, r, "whole numbers", isInt)
		return intType()
	}
	c.errorAt(located(n), "unknown operator `%s`", n.Operator)
	return anyType()
}

// markMaybe lets what is missing in n be nil: its own chain of accesses, not those inside of arguments and operands.
func (c *checker) markMaybe(n ast.Node) {
	c.maybe[n] = true
	switch n := n.(type) {
	case *ast.ConditionalNode:
		c.markMaybe(n.Exp1)
		c.markMaybe(n.Exp2)
	case *ast.SliceNode:
		c.markMaybe(n.Node)
	case *ast.BinaryNode:
		if n.Operator == "??" {
			c.markMaybe(n.Right)
		}
	case *ast.ChainNode, *ast.MemberNode:
		if base, _ := flatten(n); base != n {
			c.markMaybe(base)
		}
	}
}

// both wants operands of one sort. It returns the error it reports.
func (c *checker) both(n *ast.BinaryNode, l, r *shape.Type, sort string, ok func(*shape.Type) bool) *diag.Diagnostic {
	switch {
	case !isAny(l) && !ok(l):
		return c.errorf(n.Left, "`%s` wants %s, this is %s", n.Operator, sort, withArticle(describe(l)))
	case !isAny(r) && !ok(r):
		return c.errorf(n.Right, "`%s` wants %s, this is %s", n.Operator, sort, withArticle(describe(r)))
	}
	return nil
}

func isInt(t *shape.Type) bool  { return t.Kind == shape.Int }
func isText(t *shape.Type) bool { return t.Kind == shape.String }

func (c *checker) equality(n *ast.BinaryNode, l, r *shape.Type) {
	ok, why := comparableTypes(l, r)
	switch {
	case why != "":
		c.errorf(n, "%s", why)
	case !ok:
		c.errorf(n, "%s and %s are never equal", withArticle(describe(l)), withArticle(describe(r))).Hint = c.never(n, l, r)
	}
}

func (c *checker) order(n *ast.BinaryNode, l, r *shape.Type) {
	if l.Format == "version" || r.Format == "version" {
		c.errorf(n, "`%s` compares texts letter by letter, and these are versions", n.Operator).Hint =
			`version_at_least(v, "1.24") and version_compare(a, b) know that 1.9 is before 1.24`
		return
	}
	if is(l, shape.String) && is(r, shape.String) || (isAny(l) || isNumber(l)) && (isAny(r) || isNumber(r)) {
		return
	}
	d := c.errorf(n, "`%s` compares two numbers or two texts, not %s and %s", n.Operator, withArticle(describe(l)), withArticle(describe(r)))
	if isText(l) != isText(r) && (isNumber(l) || isNumber(r)) {
		d.Hint = "int(x) makes a number of a text"
	}
}

func (c *checker) in(n *ast.BinaryNode, l, r *shape.Type) {
	switch {
	case isAny(r):
	case r.Kind == shape.List:
		if ok, why := comparableTypes(l, elemOf(r)); why != "" {
			c.errorf(n.Left, "%s", why)
		} else if !ok {
			d := c.errorf(n.Left, "%s is never in a %s", withArticle(describe(l)), describe(r))
			if elemOf(r).GoName == typeHost {
				d.Hint = "x in map(groups.workers, .name) compares names"
			}
		}
	case isMap(r):
		if !is(l, shape.String) {
			c.errorf(n.Left, "the keys of a map are text, this is %s", withArticle(describe(l)))
		}
	default:
		d := c.errorf(n.Right, "`in` wants a list or a map, this is %s", withArticle(describe(r)))
		if r.Kind == shape.String {
			d.Hint = "a text is searched with `contains`: text contains \"part\""
		}
	}
}

func (c *checker) text(n *ast.BinaryNode, l, r *shape.Type) {
	if d := c.both(n, l, r, "texts", isText); d != nil && n.Operator == "contains" && l.Kind == shape.List {
		d.Hint = "`x in list` asks whether a list holds x"
	}
	if s, constant := n.Right.(*ast.StringNode); constant && n.Operator == "matches" {
		if _, err := regexp.Compile(s.Value); err != nil {
			c.errorf(n.Right, "%v", err)
		}
	}
}

func (c *checker) arithmetic(n *ast.BinaryNode, l, r *shape.Type) *shape.Type {
	if c.both(n, l, r, "numbers", isNumber) != nil || isAny(l) || isAny(r) {
		return anyType()
	}
	return join(l, r)
}

// isSome tells whether t counts as a list for + and -: where groups stand bare, a host is a list of one.
func (c *checker) isSome(t *shape.Type) bool {
	return t.Kind == shape.List || c.s.BareGroups && t.GoName == typeHost
}

func (c *checker) plus(n *ast.BinaryNode, l, r *shape.Type) *shape.Type {
	switch {
	case isAny(l) || isAny(r):
		return c.withAny(l, r)
	case c.isSome(l) && c.isSome(r):
		return c.either(asList(l), asList(r))
	case l.Kind == shape.String && r.Kind == shape.String:
		return stringType()
	case isNumber(l) && isNumber(r):
		return join(l, r)
	}
	d := c.errorf(n, "`+` adds two numbers, two texts or two lists, not %s and %s", withArticle(describe(l)), withArticle(describe(r)))
	if l.Kind == shape.String || r.Kind == shape.String {
		d.Hint = "string(x) makes a text of a number"
	}
	return anyType()
}

func (c *checker) minus(n *ast.BinaryNode, l, r *shape.Type) *shape.Type {
	switch {
	case isAny(l) || isAny(r):
		return c.withAny(l, r)
	case c.isSome(l) && c.isSome(r):
		return asList(l)
	case isNumber(l) && isNumber(r):
		return join(l, r)
	}
	c.errorf(n, "`-` wants two numbers or two lists, not %s and %s", withArticle(describe(l)), withArticle(describe(r)))
	return anyType()
}

// withAny is the type of a sum of which one side is not known.
func (c *checker) withAny(l, r *shape.Type) *shape.Type {
	for _, t := range []*shape.Type{l, r} {
		switch {
		case c.isSome(t):
			return listOf(anyType())
		case t.Kind == shape.String:
			return stringType()
		}
	}
	return anyType()
}

func asList(t *shape.Type) *shape.Type {
	if t.Kind == shape.List {
		return t
	}
	return listOf(t)
}
