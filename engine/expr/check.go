package expr

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// local is a variable of `let` or of a loop.
type local struct {
	name   string
	typ    *shape.Type
	secret bool
}

// use is what becomes of the result of an expression.
type use uint8

const (
	asValue use = iota
	inText      // it becomes part of a text
)

// checker finds the type of each node of one expression.
type checker struct {
	e      *Expr
	s      *Scope
	types  map[ast.Node]*shape.Type
	maybe  map[ast.Node]bool // left of `??`: what is missing is nil
	words  map[ast.Node]bool // a single word that is compared: it may be meant as a text
	items  []*shape.Type     // entries that `.` and `#` stand for, innermost last
	locals []local
	secret bool
	diags  diag.List
}

// Check types the expression in a scope and compiles it. want is the type that is needed: nil or Any for anything, Bool
// for conditions, a list for for_each. In a scope of BareGroups, without want, the result must be hosts.
func (e *Expr) Check(s *Scope, want *shape.Type) diag.List { return e.check(s, want, nil, asValue) }

// Type is what Check found; nil before.
func (e *Expr) Type() *shape.Type { return e.typ }

// Secret tells, after Check, whether the expression reads a secret: an input, output or variable that is one, or
// something that holds one.
func (e *Expr) Secret() bool { return e.secret }

func (e *Expr) check(s *Scope, want *shape.Type, locals []local, u use) diag.List {
	c := &checker{e: e, s: s, types: map[ast.Node]*shape.Type{}, maybe: map[ast.Node]bool{}, words: map[ast.Node]bool{}, locals: slices.Clone(locals)}
	t := c.value(e.tree)
	if !c.diags.HasErrors() {
		c.result(t, want, u)
	}
	e.typ, e.secret = widen(t), c.secret
	e.bool = want != nil && want.Kind == shape.Bool
	if c.diags.HasErrors() {
		return c.diags
	}
	if err := e.compile(c); err != nil {
		c.diags.Errorf(e.Pos(), "cannot be compiled: %v", err)
	}
	return c.diags
}

// result compares the type of the whole with what is wanted.
func (c *checker) result(t, want *shape.Type, u use) {
	why, hint := "", ""
	switch {
	case want != nil:
		why = fits(want, t)
		hint = c.fitting(want, t, why)
	case u == inText && (t.Kind == shape.List || isMap(t)):
		c.errorf(c.e.tree, "%s cannot stand in text", withArticle(describe(t))).Hint = "join(), to_json() and to_yaml() make text"
	case u == inText && isNull(t):
		c.errorf(c.e.tree, "nil cannot stand in text")
	case want == nil && u == asValue && c.s.BareGroups:
		if !mayBeHosts(t) && !(c.s.Place && t.GoName == typePlace) {
			why = "want hosts, this is " + withArticle(describe(t))
		}
	case t.GoName == typePlace:
		why = "this is a place, for `at`"
	}
	if why != "" {
		c.errorf(c.e.tree, "%s", why).Hint = hint
	}
}

func isHosts(t *shape.Type) bool {
	return t.GoName == typeHost || t.Kind == shape.List && elemOf(t).GoName == typeHost
}

// mayBeHosts is isHosts, and whatever is not known.
func mayBeHosts(t *shape.Type) bool {
	return isHosts(t) || t.Kind == shape.Any || t.Kind == shape.List && isAny(elemOf(t))
}

// errorf reports an error at n and all below it.
func (c *checker) errorf(n ast.Node, format string, args ...any) *diag.Diagnostic {
	return c.errorAt(c.e.spanOf(n), format, args...)
}

func (c *checker) errorAt(s span, format string, args ...any) *diag.Diagnostic {
	pos, length := c.e.at.place(s)
	d := c.diags.Errorf(pos, format, args...)
	d.Len = length
	return d
}

// value is the type of a node whose value is used as a whole, so that a secret inside is a secret of the expression.
func (c *checker) value(n ast.Node) *shape.Type {
	t := c.visit(n)
	if c.s.holdsSecret(t) {
		c.secret = true
	}
	return t
}

// operand is value, but a host, or a list of hosts, may pass whole: comparing, counting and choosing hosts shows none of
// their variables.
func (c *checker) operand(n ast.Node) *shape.Type {
	t := c.visit(n)
	if !isHosts(t) && c.s.holdsSecret(t) {
		c.secret = true
	}
	return t
}

// either is the type of a value that is of type a or b. When that forgets about a secret inside, it is remembered here.
func (c *checker) either(a, b *shape.Type) *shape.Type {
	t := join(a, b)
	if !c.s.holdsSecret(t) && (c.s.holdsSecret(a) || c.s.holdsSecret(b)) {
		c.secret = true
	}
	return t
}

// visit is the type of a node. After an error it is Any, so that one mistake is reported once.
func (c *checker) visit(n ast.Node) *shape.Type {
	t := c.node(n)
	c.types[n] = t
	return t
}

func (c *checker) node(n ast.Node) *shape.Type {
	switch n := n.(type) {
	case *ast.NilNode:
		return nullType()
	case *ast.IntegerNode:
		return intType()
	case *ast.FloatNode:
		return floatType()
	case *ast.BoolNode:
		return boolType()
	case *ast.StringNode:
		return literal(n.Value)
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		return c.chain(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		c.condition(n.Cond)
		return c.either(c.visit(n.Exp1), c.visit(n.Exp2))
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.builtin(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.SequenceNode:
		c.errorf(n, "one expression is wanted, these are several").Hint = "`;` stands behind `let x = …` only"
		return anyType()
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.mapping(n)
	}
	c.errorf(n, "this is not supported in expressions")
	return anyType()
}

func (c *checker) array(n *ast.ArrayNode) *shape.Type {
	if len(n.Nodes) == 0 {
		return listOf(anyType())
	}
	t := nullType()
	for _, x := range n.Nodes {
		t = join(t, c.value(x))
	}
	return listOf(t)
}

func (c *checker) mapping(n *ast.MapNode) *shape.Type {
	t := nullType()
	for _, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		if k := c.visit(pair.Key); !is(k, shape.String) {
			c.errorf(pair.Key, "the key of a map is text, this is %s", withArticle(describe(k)))
		}
		t = join(t, c.value(pair.Value))
	}
	if isNull(t) {
		t = anyType()
	}
	return mapOf(widen(t))
}

func (c *checker) let(n *ast.VariableDeclaratorNode) *shape.Type {
	_, _, known := c.s.root(n.Name)
	if known || Reserved(n.Name) || slices.ContainsFunc(c.locals, func(l local) bool { return l.name == n.Name }) {
		c.errorAt(located(n), "`%s` has a meaning already, a variable needs another name", n.Name)
	}
	c.locals = append(c.locals, local{name: n.Name, typ: c.visit(n.Value)})
	defer func() { c.locals = c.locals[:len(c.locals)-1] }()
	return c.visit(n.Expr)
}

func (c *checker) pointer(n *ast.PointerNode) *shape.Type {
	switch {
	case n.Name == "index":
		return intType()
	case n.Name != "":
		c.errorf(n, "unknown name `#%s`", n.Name).Hint = "`#` is the entry, `#index` its number from 0"
	case len(c.items) == 0:
		c.errorf(n, "`#` is the entry of a list, in functions like where()")
	default:
		return c.items[len(c.items)-1]
	}
	return anyType()
}

// chain is the type of a.b?.c[0].
func (c *checker) chain(n ast.Node) *shape.Type {
	base, steps := c.flatten(n)
	var t *shape.Type
	sofar := c.e.spanOf(base)
	if id, ok := base.(*ast.IdentifierNode); ok {
		t = c.name(id)
	} else {
		t = c.visit(base)
	}
	c.types[base] = t
	for _, s := range steps {
		sofar = sofar.union(s.span)
		t = c.step(t, s, sofar)
	}
	return t
}

// flatten takes a chain apart; left of `??` each step is optional.
func (c *checker) flatten(n ast.Node) (ast.Node, []step) {
	base, steps := flatten(n)
	for i := range steps {
		steps[i].optional = steps[i].optional || c.maybe[n]
	}
	return base, steps
}

// name is the type of the first name of a chain.
func (c *checker) name(id *ast.IdentifierNode) *shape.Type {
	var names []string
	for i := len(c.locals) - 1; i >= 0; i-- {
		if l := c.locals[i]; l.name == id.Value {
			c.secret = c.secret || l.secret
			return l.typ
		}
		names = append(names, c.locals[i].name)
	}
	t, why, ok := c.s.root(id.Value)
	switch {
	case !ok:
		c.errorf(id, "unknown name `%s`", id.Value).Hint = c.unknown(id, names)
	case why != "":
		d := c.errorf(id, "`%s` is not known here: %s", id.Value, why)
		if id.Value == "host" && c.s.BareGroups {
			d.Hint = "`where(all, .vars.zone == \"a\")` chooses hosts; what depends on facts belongs into `when`"
		}
	case id.Value == "item" && c.s.ItemSecret:
		c.secret = true
		return t
	default:
		return t
	}
	return anyType()
}

// step is the type of a member or an entry of a value of type t. sofar is the range of the chain up to here.
func (c *checker) step(t *shape.Type, s step, sofar span) *shape.Type {
	if !s.named {
		return c.index(t, s, sofar)
	}
	switch {
	case isAny(t):
		return t
	case t.Kind == shape.Map:
		return orAny(t.Elem)
	case t.Kind == shape.Object:
		return c.field(t, s)
	case t.Kind == shape.List:
		d := c.errorAt(s.span, "this is a list, it has no `%s`", s.name)
		d.Hint = fmt.Sprintf("x[0] is its first entry, map(x, .%s) the `%s` of all", s.name, s.name)
		if isHosts(t) && !slices.Contains(hostFields(), s.name) {
			d.Hint = fmt.Sprintf("one of them by its name: find(hosts, .name == %q)", s.name)
		}
	default:
		c.errorAt(s.span, "this is %s, it has no `%s`", withArticle(describe(t)), s.name)
	}
	return anyType()
}

func (c *checker) field(t *shape.Type, s step) *shape.Type {
	f, why, ok := c.s.member(t, s.name)
	switch {
	case !ok && t.GoName == typeVars && s.optional:
		return anyType()
	case !ok:
		c.errorAt(s.span, "unknown name `%s`", s.name).Hint = c.s.unknownMember(t, s.name)
		return anyType()
	case why != "":
		c.errorAt(s.span, "`%s` is not known here: %s", s.name, why)
		return anyType()
	}
	c.secret = c.secret || f.Secret
	return f.Type
}

func (c *checker) index(t *shape.Type, s step, sofar span) *shape.Type {
	key := c.value(s.key)
	switch {
	case isAny(t):
		return t
	case t.Kind == shape.List:
		if !is(key, shape.Int) {
			c.errorAt(s.span, "the entries of a list have numbers, this is %s", withArticle(describe(key)))
		}
		return orAny(t.Elem)
	case isMap(t):
		if !is(key, shape.String) {
			c.errorAt(s.span, "the keys of a map are text, this is %s", withArticle(describe(key)))
		}
		if c.s.holdsSecret(t) {
			c.secret = true
		}
		if t.GoName == typeGroups {
			return listOf(special(typeHost))
		}
		return orAny(t.Elem)
	}
	c.errorAt(sofar, "only lists and maps have entries, this is %s", withArticle(describe(t)))
	return anyType()
}

func (c *checker) slice(n *ast.SliceNode) *shape.Type {
	t := c.visit(n.Node)
	for _, x := range notNil(n.From, n.To) {
		if k := c.value(x); !is(k, shape.Int) {
			c.errorf(x, "want a whole number, this is %s", withArticle(describe(k)))
		}
	}
	if isAny(t) || t.Kind == shape.List {
		return t
	}
	if t.Kind == shape.String {
		return stringType()
	}
	c.errorf(n.Node, "only lists and texts have parts, this is %s", withArticle(describe(t)))
	return anyType()
}
