package expr

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
	"github.com/expr-lang/expr/vm"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// Limits of one expression. There is no way to stop expr while it evaluates, so what goes in is bounded.
const (
	maxText  = 16 << 10 // bytes of source
	maxNodes = 2000     // nodes of the syntax tree
)

// Expr is one expression. Parse makes it, Check binds it to what the names mean, Eval computes it, from any number of
// goroutines. For a second Scope, Clone it first.
type Expr struct {
	text   string // as written, without white space around it
	source string // what expr parses: same characters at the same offsets, up to names of functions
	at     Locator
	whole  span // of text in source
	tokens []lexer.Token
	tree   ast.Node          // never modified after parsing
	spans  map[ast.Node]span // of all nodes of tree; complete after parsing
	refs   []Ref
	roots  []string // of refs, each once
	files  []string

	typ     *shape.Type
	secret  bool
	bool    bool // Check wanted true or false
	program *vm.Program
}

// Text is the expression as written.
func (e *Expr) Text() string { return e.text }

// Pos is where it begins.
func (e *Expr) Pos() diag.Pos { return e.at(e.whole.from) }

// Refs are the names the expression mentions, in the order of the text; variables of `let` and of loops are not among
// them.
func (e *Expr) Refs() []Ref { return e.refs }

// Files are the paths that lookup_file is called with, as far as they are written as constants.
func (e *Expr) Files() []string { return e.files }

// Clone returns the expression as it was before Check.
func (e *Expr) Clone() *Expr {
	c := *e
	c.typ, c.secret, c.bool, c.program = nil, false, false, nil
	return &c
}

// Parse reads a bare expression, as in `when`, `until`, `on`, `at`, `that`, `for_each`. The Expr is nil when there is an
// error.
func Parse(text string, at Locator) (*Expr, diag.List) {
	return parse(text, at.from(0), nil)
}

// parse reads an expression in which the names bound stand for variables of loops.
func parse(text string, at Locator, bound []string) (*Expr, diag.List) {
	e := &Expr{source: text, at: at, text: strings.TrimSpace(text)}
	var diags diag.List
	lead := utf8.RuneCountInString(text) - utf8.RuneCountInString(strings.TrimLeft(text, " \t\r\n"))
	e.whole = span{lead, lead + utf8.RuneCountInString(e.text)}
	switch {
	case e.text == "":
		diags.Errorf(at(0), "an expression is missing here")
		return nil, diags
	case len(text) > maxText:
		diags.Errorf(at(lead), "this expression is longer than %d KiB", maxText>>10)
		return nil, diags
	}
	if err := e.parseTree(); err != nil {
		diags.Add(e.syntaxError(err))
		return nil, diags
	}
	w := refWalker{e: e, bound: slices.Clone(bound), diags: &diags}
	w.walk(e.tree, false)
	if diags.HasErrors() {
		return nil, diags
	}
	for _, r := range e.refs {
		if r.Root != "controller" && !slices.Contains(e.roots, r.Root) {
			e.roots = append(e.roots, r.Root)
		}
	}
	return e, diags
}

// parseTree runs lexer and parser of expr. Errors: *file.Error, with the place.
func (e *Expr) parseTree() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &file.Error{Message: fmt.Sprintf("cannot be read: %v", r)}
		}
	}()
	if e.tokens, err = lex(e.source); err != nil {
		return err
	}
	renamed := e.rename()
	tree, err := parser.ParseWithConfig(e.source, newConfig())
	if err != nil {
		return err
	}
	ast.Walk(&tree.Node, visitor(func(n ast.Node) {
		if b, ok := n.(*ast.BuiltinNode); ok && renamed[b.Location().From] != "" {
			b.Name = renamed[b.Location().From]
		}
	}))
	e.tree, e.spans = tree.Node, map[ast.Node]span{}
	e.spanOf(e.tree)
	return nil
}

type visitor func(ast.Node)

func (v visitor) Visit(n *ast.Node) { v(*n) }

func lex(source string) ([]lexer.Token, error) {
	l := newLexer(source)
	var tokens []lexer.Token
	for {
		t, err := l.Next()
		if err != nil {
			return nil, err
		}
		if t.Is(lexer.EOF) {
			return tokens, nil
		}
		tokens = append(tokens, t)
	}
}

func newLexer(source string) *lexer.Lexer {
	l := lexer.New()
	l.DisableIfOperator = true
	l.Reset(file.NewSource(source))
	return l
}

// rename lets functions of ours take a predicate. expr's parser reads `.name` and `#` only inside of functions it knows,
// so `where(` is read as a function of the same length that takes a predicate too, and gets its meaning back in the tree.
// The length must be the same, or all places after it would be wrong. It returns the meanings by their place.
func (e *Expr) rename() map[int]string {
	same := map[string][2]string{"where": {"count", "filter"}, "sort_by": {"groupBy", "sort_by"}}
	found := map[int]string{}
	source := []rune(e.source)
	for i, t := range e.tokens {
		as, ok := same[t.Value]
		if !ok || !t.Is(lexer.Identifier) || i+1 == len(e.tokens) || !e.tokens[i+1].Is(lexer.Bracket, "(") {
			continue
		}
		if i > 0 && e.tokens[i-1].Is(lexer.Operator, ".", "?.") {
			continue
		}
		copy(source[t.From:t.To], []rune(as[0]))
		found[t.From] = as[1]
	}
	if len(found) > 0 {
		e.source = string(source)
	}
	return found
}

// newConfig tells expr which of its functions exist, and which are ours; all others parse as calls, and Check says what is
// wrong with them. Its maps are shared, and read only.
func newConfig() *conf.Config {
	c := baseConfig()
	return &c
}

var baseConfig = sync.OnceValue(func() conf.Config {
	c := conf.CreateNew()
	c.Env = nature.FromType(reflect.TypeFor[map[string]any]())
	c.Optimize = false
	c.MaxNodes = maxNodes
	c.DisableIfOperator = true
	for name := range builtin.Index {
		if f, ok := functions()[name]; !ok || f.run != nil {
			c.Disabled[name] = true
			delete(c.Builtins, name)
		}
	}
	for name, f := range operations() {
		c.Functions[name] = &builtin.Function{Name: name, Func: f}
	}
	for name, f := range functions() {
		if f.run != nil {
			c.Functions[name] = &builtin.Function{Name: name, Func: f.call}
		}
	}
	return *c
})

var unexpectedRE = regexp.MustCompile(`^unexpected token (\w+)(?:\((".*")\))?$`)

// syntaxError says in our words what expr's lexer or parser found.
func (e *Expr) syntaxError(err error) diag.Diagnostic {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return diag.Diagnostic{Pos: e.Pos(), Summary: fmt.Sprintf("%v", err)}
	}
	d := diag.Diagnostic{Pos: e.at(fe.From), Len: max(fe.To-fe.From, 1), Summary: fe.Message}
	m := fe.Message
	switch {
	case unexpectedRE.MatchString(m):
		e.unexpected(&d, unexpectedRE.FindStringSubmatch(m))
	case m == "literal not terminated":
		d.Summary = "a text without its closing quote"
	case m == "unclosed comment":
		d.Summary = "a comment without its end `*/`"
	case strings.HasPrefix(m, "unrecognized character"):
		d.Summary = fmt.Sprintf("%q has no meaning in an expression", cut(e.source, span{fe.From, fe.To}))
	case strings.Contains(m, "coalesce expressions"):
		d.Summary, d.Hint = "`??` cannot stand beside another operator", "put it in parentheses: (a ?? b) == c"
	case strings.Contains(m, "exceeds maximum allowed nodes"):
		d.Pos, d.Len, d.Summary = e.Pos(), 1, "this expression is too large"
	case strings.HasPrefix(m, "a map key must be"):
		d.Summary, d.Hint = "`{` begins a map here, and this is no key of one", "a map is written {name: value}; `{{ }}` of other tools is left out"
	case strings.HasPrefix(m, "expected at least"):
		d.Summary = "an argument is missing"
	}
	return d
}

func (e *Expr) unexpected(d *diag.Diagnostic, m []string) {
	if m[1] == "EOF" {
		d.Pos, d.Len = e.at(e.whole.to), 1
		d.Summary, d.Hint = "the expression ends too early", e.endHint()
		return
	}
	word := strings.Trim(m[2], `"`)
	d.Summary = fmt.Sprintf("`%s` is not expected here", word)
	d.Hint = unexpectedHint(word)
}
