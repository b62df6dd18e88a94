package expr

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// call types the call of a function of ours. expr parses all names it does not know that way.
func (c *checker) call(n *ast.CallNode) *shape.Type {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		c.errorf(n.Callee, "only functions can be called, and values have none").Hint = calledOn(n.Callee)
		return anyType()
	}
	f, ok := functions()[id.Value]
	switch {
	case !ok:
		c.unknownFunction(located(id), id.Value)
		return anyType()
	case f.place && !c.s.Place:
		c.errorf(id, "`%s` is for `at`", id.Value)
		return anyType()
	}
	t := c.arguments(f, n, n.Arguments)
	if id.Value == lookupFile && c.s.LookupFile != nil && len(n.Arguments) == 1 {
		if s, constant := n.Arguments[0].(*ast.StringNode); constant {
			if err := c.s.LookupFile(s.Value); err != nil {
				c.errorf(n.Arguments[0], "%v", err)
			}
		}
	}
	return t
}

// builtin types the call of a function of expr.
func (c *checker) builtin(n *ast.BuiltinNode) *shape.Type {
	f, ok := functions()[n.Name]
	if !ok {
		c.unknownFunction(located(n), n.Name)
		return anyType()
	}
	return c.arguments(f, n, n.Arguments)
}

func (c *checker) unknownFunction(s span, name string) {
	c.errorAt(s, "there is no function `%s`", name).Hint = functionHint(name)
}

// functionHint is the way out for the name of a function that does not exist.
func functionHint(name string) string {
	switch name {
	case "now", "date", "duration", "timezone":
		return "expressions know no clock, so that a plan and a run see the same"
	case "reduce", "repeat":
		return "left out, because it can use up the memory"
	case "get":
		return "`x[key] ?? default` reads what may be missing"
	case "concat":
		return "`a + b` puts lists together"
	case "hasPrefix":
		return "an operator does that: text startsWith \"a\""
	case "hasSuffix":
		return "an operator does that: text endsWith \"a\""
	case "semver", "semver_compare":
		return "did you mean `version_compare`?"
	}
	other := map[string]string{"uniq": "unique", "toJSON": "to_json", "fromJSON": "from_json", "toBase64": "b64",
		"fromBase64": "b64decode", "sortBy": "sort_by", "groupBy": "where", "indexOf": "index_of", "findIndex": "index_of",
		"trimPrefix": "trim_prefix", "trimSuffix": "trim_suffix", "toPairs": "entries", "default": "??", "select": "where"}
	if o := other[name]; o != "" {
		return "did you mean `" + o + "`?"
	}
	var names []string
	for n := range functions() {
		names = append(names, n)
	}
	slices.Sort(names)
	if n := diag.Nearest(name, names); n != "" {
		return "did you mean `" + n + "`?"
	}
	return ""
}

// arguments checks the arguments of a call against the signature, and returns the type of the result.
func (c *checker) arguments(f *function, n ast.Node, args []ast.Node) *shape.Type {
	if len(args) < f.least || len(args) > len(f.params) && !f.rest {
		c.errorf(n, "`%s` has other arguments", f.Name).Hint = f.Signature
	}
	types := make([]*shape.Type, len(args))
	for i, a := range args {
		p := f.params[min(i, len(f.params)-1)]
		if pred, ok := a.(*ast.PredicateNode); ok {
			types[i] = c.predicate(pred, types, p)
			continue
		}
		switch {
		case len(f.params) > 1 && f.params[1].predicate():
			types[i] = c.visit(a) // the predicate says what of it is used
		case f.keepsHosts():
			types[i] = c.operand(a)
		default:
			types[i] = c.value(a)
		}
		if why := p.accepts(types[i]); why != "" {
			d := c.errorf(a, "`%s` of %s: %s", p.name, f.Name, why)
			d.Hint = f.Signature
		}
	}
	return f.result(types)
}

func (c *checker) predicate(n *ast.PredicateNode, before []*shape.Type, p param) *shape.Type {
	c.items = append(c.items, elemOf(before[0]))
	defer func() { c.items = c.items[:len(c.items)-1] }()
	if p.typ == "condition" {
		c.condition(n.Node)
		return boolType()
	}
	t := c.visit(n.Node)
	c.types[n] = t
	return t
}

// Function describes a function for the documentation.
type Function struct {
	Name      string
	Group     string // what it is about: lists, text, ..
	Signature string // index_of(list: list, x: any): int
	Doc       string
}

// Functions are all functions of expressions, by group.
func Functions() []Function {
	var out []Function
	for _, f := range allFunctions() {
		out = append(out, f.Function)
	}
	return out
}

// function is one row of the table of functions. Its signature is both documentation and what calls are checked against.
type function struct {
	Function
	params []param
	least  int    // arguments that must be given
	rest   bool   // the last parameter may be repeated
	out    string // type of the result
	place  bool   // for `at` only
	run    func(a args) (any, error)
}

type param struct {
	name string
	typ  string
}

// signature reads "name(a: text, b?: list, c...: int): text".
func (f *function) signature() {
	_, rest, _ := strings.Cut(f.Signature, "(")
	list, out, _ := strings.Cut(rest, "):")
	f.out = strings.TrimSpace(out)
	for _, p := range strings.Split(list, ",") {
		name, typ, ok := strings.Cut(strings.TrimSpace(p), ":")
		if !ok {
			continue
		}
		f.rest = strings.HasSuffix(name, "...")
		if !strings.HasSuffix(name, "?") {
			f.least++
		}
		f.params = append(f.params, param{strings.TrimRight(name, "?."), strings.TrimSpace(typ)})
	}
}

func (p param) predicate() bool { return p.typ == "condition" || p.typ == "expression" }

// keepsHosts tells whether the result shows nothing of hosts but themselves.
func (f *function) keepsHosts() bool {
	return f.out == "the list" || f.out == "an entry" || f.out == "place" || f.Name == "len" || f.Name == "index_of"
}

// accepts says why an argument of type t is wrong; "" when it is not.
func (p param) accepts(t *shape.Type) string {
	if p.typ == "list or map or text" {
		return unless(isAny(t) || t.Kind == shape.List || isMap(t) || t.Kind == shape.String, "want a list, a map or text, this is "+withArticle(describe(t)))
	}
	if p.typ == "hosts" {
		return unless(mayBeHosts(t), "want hosts, this is "+withArticle(describe(t)))
	}
	if p.predicate() {
		return "want an expression about the entries, as in .name"
	}
	want := typeNamed(p.typ)
	if isNull(t) && want.Kind != shape.Any {
		return wrong(want, t)
	}
	if want.Kind == shape.String && !is(t, shape.String) || want.Kind == shape.Float && !isNumber(t) && !isAny(t) {
		return wrong(want, t)
	}
	return fits(want, t)
}

func typeNamed(name string) *shape.Type {
	switch name {
	case "text":
		return stringType()
	case "int":
		return intType()
	case "number":
		return floatType()
	case "bool":
		return boolType()
	case "list":
		return listOf(anyType())
	case "list of text":
		return listOf(stringType())
	case "list of int":
		return listOf(intType())
	case "map":
		return mapOf(anyType())
	case "place":
		return special(typePlace)
	case "list of key and value":
		return listOf(&shape.Type{Kind: shape.Object, GoName: typeAll, Fields: []shape.Field{
			{Name: "key", Type: stringType()}, {Name: "value", Type: anyType()},
		}})
	}
	return anyType()
}

// result is the type of a call with arguments of the types given.
func (f *function) result(args []*shape.Type) *shape.Type {
	first := anyType()
	if len(args) > 0 {
		first = args[0]
	}
	switch f.out {
	case "the list":
		if first.Kind != shape.List {
			return listOf(anyType())
		}
		return first
	case "an entry":
		return elemOf(first)
	case "a value":
		if first.Kind == shape.Map {
			return listOf(orAny(first.Elem))
		}
		return listOf(anyType())
	case "list of results":
		if len(args) > 1 {
			return listOf(args[1])
		}
	case "a sum":
		if t := args[len(args)-1]; isNumber(t) {
			return t
		}
		return elemOf(first)
	case "the number":
		if isNumber(first) {
			return first
		}
	}
	return typeNamed(f.out)
}
