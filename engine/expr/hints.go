package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser/lexer"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// truth says how to ask about a value of type t; n is what gives it.
func (c *checker) truth(n ast.Node, t *shape.Type) string {
	x := cut(c.e.source, c.e.spanOf(n))
	if len(x) > 40 || strings.ContainsAny(x, "\n?:") {
		x = "x"
	}
	switch n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode, *ast.CallNode, *ast.BuiltinNode:
	default:
		return ""
	}
	switch {
	case isHosts(t) && c.s.BareGroups:
		return "hosts are put together with `+`, and taken away with `-`: all - workers"
	case t.Kind == shape.String:
		return fmt.Sprintf("compare it: %s == \"...\", or %s != \"\"", x, x)
	case isNumber(t):
		return fmt.Sprintf("compare it: %s > 0", x)
	case t.Kind == shape.List || t.Kind == shape.Map:
		return fmt.Sprintf("`len(%s) > 0` asks whether there is anything in it", x)
	}
	return ""
}

// fitting says how to make what is wanted of a value of type t.
func (c *checker) fitting(want, t *shape.Type, why string) string {
	switch {
	case want.Kind == shape.Bool:
		return c.truth(c.e.tree, t)
	case !strings.HasPrefix(why, "want text"):
		return ""
	case isHosts(t) && t.Kind == shape.List:
		return "names of hosts as one text: join(map(hosts, .name), \", \")"
	case isHosts(t):
		return "its name: host.name"
	case t.Kind == shape.List:
		return "join() makes text of a list"
	}
	return members(t)
}

// unknown is the way out for a name that nothing has; locals are the variables that are known there.
func (c *checker) unknown(id *ast.IdentifierNode, locals []string) string {
	name := id.Value
	hint := c.s.suggest(name, locals)
	switch {
	case strings.HasPrefix(hint, "did you mean"):
		return hint
	case functions()[name] != nil:
		return "a function is called with its arguments: " + functions()[name].Signature
	case hint == "" && functionHint(name) != "":
		return functionHint(name)
	case diag.TrueOrFalse(name) != "":
		return diag.TrueOrFalse(name)
	case c.words[id]:
		return fmt.Sprintf("a text is quoted: %q; %s", name, hint)
	case c.s.Place && (name == "localhost" || name == "local"):
		return "the machine kflow runs on is `controller`"
	case c.s.BareGroups:
		return hint + fmt.Sprintf("; a group is declared under `groups`, a host is chosen by where(all, .name == %q)", name)
	case !c.s.NoHost && hint != "" && name[0] != '$':
		return hint + fmt.Sprintf("; a variable of the inventory is `host.vars.%s`", name)
	}
	return hint
}

// unknownMember is the way out for a member that a value of type t does not have.
func (s *Scope) unknownMember(t *shape.Type, name string) string {
	hint := diag.DidYouMean(name, s.fields(t))
	switch {
	case hint == "":
		return members(t)
	case t.GoName == typeInputs && len(s.Inputs) == 0:
		return "this file declares no `inputs`"
	case t.GoName == typeTask && !strings.HasPrefix(hint, "did you mean"):
		return hint + "; of a part, what its `outputs` name can be read, not the tasks inside"
	}
	return hint
}

// compared notes operands that are a single word: it may be a text without its quotes.
func (c *checker) compared(sides ...ast.Node) {
	for _, n := range sides {
		if id, ok := n.(*ast.IdentifierNode); ok {
			c.words[id] = true
		}
	}
}

// members is the way out for a map that is used as a whole.
func members(t *shape.Type) string {
	if t.Kind != shape.Object || strings.HasPrefix(t.GoName, "$") || len(t.Fields) == 0 {
		return ""
	}
	return "it has " + strings.Join(t.Names(), ", ")
}

// never is the way out for two values that are never equal.
func (c *checker) never(n *ast.BinaryNode, l, r *shape.Type) string {
	if l.GoName == typeHost || r.GoName == typeHost {
		return "compare names: host.name"
	}
	if isNumber(l) && isText(r) {
		if s, ok := n.Right.(*ast.StringNode); ok && strings.Trim(s.Value, "0123456789") == "" {
			return "a number is written without quotes: " + s.Value
		}
	}
	if l.Kind == shape.Bool && isText(r) || isText(l) && r.Kind == shape.Bool {
		return "what is true or false needs no comparison: x, or not x"
	}
	return members(l) + members(r)
}

// calledOn is the way out for a call behind a value: host.name.upper().
func calledOn(callee ast.Node) string {
	m, ok := callee.(*ast.MemberNode)
	if !ok {
		return "functions stand in front: upper(x)"
	}
	p, ok := m.Property.(*ast.StringNode)
	switch {
	case !ok:
	case p.Value == "startswith" || p.Value == "startsWith" || p.Value == "hasPrefix":
		return "an operator does that: x startsWith \"a\""
	case p.Value == "endswith" || p.Value == "endsWith" || p.Value == "hasSuffix":
		return "an operator does that: x endsWith \"a\""
	case p.Value == "contains" || p.Value == "includes":
		return "an operator does that: x contains \"a\"; of a list: \"a\" in x"
	case p.Value == "matches":
		return "an operator does that: x matches \"^a\""
	case functions()[p.Value] != nil:
		return "functions stand in front: " + functions()[p.Value].Signature
	}
	return "functions stand in front: upper(x)"
}

// endHint says what is open where an expression ends too early.
func (e *Expr) endHint() string {
	var open []string
	for _, t := range e.tokens {
		switch {
		case t.Is(lexer.Bracket, "(", "[", "{"):
			open = append(open, t.Value)
		case t.Is(lexer.Bracket, ")", "]", "}") && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	n := len(e.tokens)
	switch {
	case len(open) > 0:
		return fmt.Sprintf("`%s` is never closed", open[len(open)-1])
	case n > 1 && e.tokens[n-1].Is(lexer.Identifier) && e.tokens[n-2].Is(lexer.Operator, "|"):
		return fmt.Sprintf("a function is called with parentheses: | %s()", e.tokens[n-1].Value)
	}
	return ""
}

// unexpectedHint is the way out for a word where none of its sort can stand.
func unexpectedHint(word string) string {
	switch word {
	case "=":
		return "`==` compares"
	case "is":
		return "`x == nil` asks whether there is a value, `x ?? default` gives one"
	case "if", "then", "else":
		return "a choice is written `condition ? a : b`"
	case ".", "#":
		return "`.name` and `#` are the entry of a list in where(), map(), any(), all() and the like"
	case "{", "}":
		return "`${{ }}` is not written inside an expression"
	case ",":
		return "lists are put together with `+`; a list itself is [a, b]"
	case ":":
		return "`a - b` leaves out what is in b; a choice is `condition ? a : b`"
	case "&":
		return "both at once is `and`"
	}
	if slices.Contains([]string{"contains", "startsWith", "endsWith", "matches", "in"}, word) {
		return fmt.Sprintf("it stands between two values: a %s b", word)
	}
	return ""
}
