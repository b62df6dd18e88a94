package expr

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"

	"github.com/kflow/kflow/engine/diag"
)

const (
	opening = "${{"
	closing = "}}"
)

// templateParser goes over a text once; pos and runes are the place reached, in bytes and in characters.
type templateParser struct {
	text     string
	at       Locator
	document bool
	pos      int
	runes    int
	frames   []frame
	diags    diag.List
}

// frame is an open directive; the first frame is the text itself.
type frame struct {
	parts []part
	loop  *loop
	cond  *choice
	other bool // after ${{ else }}
	open  span
	said  bool // something is wrong with it, and was reported
}

func parseTemplate(text string, at Locator, document bool) (*Template, diag.List) {
	p := &templateParser{text: text, at: at.from(0), document: document, frames: make([]frame, 1)}
	for p.next() {
	}
	for len(p.frames) > 1 {
		f := p.frames[len(p.frames)-1]
		if !f.said {
			p.errorf(f.open, "this is never closed").Hint = "a line `${{ end }}` closes it"
		}
		p.close()
	}
	return &Template{at: p.at, parts: p.frames[0].parts}, p.diags
}

func (p *templateParser) errorf(s span, format string, args ...any) *diag.Diagnostic {
	pos, n := p.at.place(s)
	d := p.diags.Errorf(pos, format, args...)
	d.Len = n
	return d
}

// take advances over n bytes and returns them.
func (p *templateParser) take(n int) string {
	s := p.text[p.pos : p.pos+n]
	p.pos += n
	p.runes += utf8.RuneCountInString(s)
	return s
}

func (p *templateParser) top() *frame { return &p.frames[len(p.frames)-1] }

func (p *templateParser) addText(s string) {
	f := p.top()
	if s == "" {
		return
	}
	if n := len(f.parts); n > 0 && f.parts[n-1].isText() {
		f.parts[n-1].text += s
		return
	}
	f.parts = append(f.parts, part{text: s})
}

func (p part) isText() bool { return p.expr == nil && p.loop == nil && p.cond == nil }

// next reads the text up to the next ${{ and the expression after it.
func (p *templateParser) next() bool {
	i := strings.Index(p.text[p.pos:], opening)
	if i < 0 {
		p.addText(p.take(len(p.text) - p.pos))
		return false
	}
	if i > 0 && p.text[p.pos+i-1] == '$' {
		p.addText(p.take(i - 1))
		p.take(1)
		p.addText(p.take(len(opening)))
		return true
	}
	p.addText(p.take(i))
	begin := p.runes
	p.take(len(opening))
	inside, tokens, err := p.inside()
	if err != nil {
		p.unclosed(begin, err)
		return true
	}
	base := p.runes
	p.take(len(inside) + len(closing))
	p.code(inside, base, tokens, span{begin, p.runes})
	return true
}

// inside finds the end of the expression that begins at p.pos: `}}` outside of texts, comments and brackets of its own.
func (p *templateParser) inside() (string, []lexer.Token, error) {
	rest := p.text[p.pos:]
	l := newLexer(rest)
	var tokens []lexer.Token
	depth, ended := 0, -1
	for {
		t, err := l.Next()
		if err != nil {
			return "", nil, err
		}
		switch {
		case t.Is(lexer.EOF):
			return "", nil, errors.New("no end")
		case t.Is(lexer.Bracket, "}") && depth == 0:
			if ended == t.From {
				n := byteOffset(rest, ended-1)
				return rest[:n], tokens[:len(tokens)-1], nil
			}
			ended = t.To
		case t.Is(lexer.Bracket, "(", "[", "{"):
			depth++
		case t.Is(lexer.Bracket):
			depth = max(depth-1, 0)
		}
		tokens = append(tokens, t)
	}
}

func byteOffset(s string, runes int) int {
	for i := range s {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(s)
}

// unclosed reports an expression without end and goes on behind the next `}}`.
func (p *templateParser) unclosed(begin int, err error) {
	var fe *file.Error
	if errors.As(err, &fe) {
		e := Expr{source: p.text[p.pos:], at: p.at.from(p.runes)}
		p.diags.Add(e.syntaxError(err))
	} else {
		p.errorf(span{begin, begin + len(opening)}, "`${{` without its `}}`").Hint = "`$${{` is the text `${{`"
	}
	n := strings.Index(p.text[p.pos:], closing)
	if n < 0 {
		n = len(p.text) - p.pos - len(closing)
	}
	p.take(max(n+len(closing), 0))
}

// code handles what stands between ${{ and }}: a directive or an expression.
func (p *templateParser) code(inside string, base int, tokens []lexer.Token, whole span) {
	word := ""
	if len(tokens) > 0 {
		word = tokens[0].Value
	}
	if p.otherDirective(word, tokens, whole) {
		return
	}
	if !isDirective(word) || tokens[0].Kind == lexer.String {
		if e, diags := parse(inside, p.at.from(base), p.loopNames()); e != nil {
			p.top().parts = append(p.top().parts, part{expr: e})
		} else {
			p.diags.Extend(diags)
		}
		return
	}
	said := true
	switch {
	case !p.document:
		p.errorf(whole, "`%s` is for templates and the content of files", word).Hint =
			"here, `condition ? a : b` chooses, and where(), map(), join() go through lists"
	case !p.ownLine(whole):
		p.errorf(whole, "`%s` must stand on a line of its own", word)
	default:
		said = false
	}
	p.directive(inside, base, tokens, whole, said)
}

func isDirective(word string) bool {
	return word == "for" || word == "if" || word == "else" || word == "end"
}

// ownLine tells whether nothing but white space stands on the lines of a directive, and takes that white space and the
// end of line out of the text.
func (p *templateParser) ownLine(whole span) bool {
	rest := p.text[p.pos:]
	tail := len(rest) - len(strings.TrimLeft(rest, " \t\r"))
	if tail < len(rest) && rest[tail] != '\n' {
		return false
	}
	start := byteOffset(p.text, whole.from)
	line := p.text[strings.LastIndexByte(p.text[:start], '\n')+1 : start]
	if strings.Trim(line, " \t") != "" {
		return false
	}
	p.take(min(tail+1, len(rest)))
	f := p.top()
	if n := len(f.parts); n > 0 && f.parts[n-1].isText() {
		f.parts[n-1].text = strings.TrimSuffix(f.parts[n-1].text, line)
		if f.parts[n-1].text == "" {
			f.parts = f.parts[:n-1]
		}
	}
	return true
}

func (p *templateParser) loopNames() []string {
	var names []string
	for _, f := range p.frames {
		if f.loop != nil {
			names = append(names, f.loop.name)
		}
	}
	return names
}

// directive reads a directive; said tells that something of it is wrong, and reported.
func (p *templateParser) directive(inside string, base int, tokens []lexer.Token, whole span, said bool) {
	after := func(i int) (string, int) { // source behind token i, and where it begins
		n := tokens[i].To
		return inside[byteOffset(inside, n):], base + n
	}
	switch tokens[0].Value {
	case "for":
		p.frames = append(p.frames, frame{open: whole, loop: p.forLoop(tokens, after, whole), said: said})
	case "if":
		src, at := after(0)
		test, diags := parse(src, p.at.from(at), p.loopNames())
		p.diags.Extend(diags)
		p.frames = append(p.frames, frame{open: whole, cond: &choice{test: test}, said: said})
	case "else":
		f := p.top()
		if f.cond == nil || f.other || len(tokens) > 1 {
			d := p.errorf(whole, "`else` stands alone, between `if` and `end`")
			if len(tokens) > 1 && tokens[1].Value == "if" {
				d.Hint = elseIf
			}
			return
		}
		f.turn()
	case "end":
		if len(p.frames) == 1 || len(tokens) > 1 {
			if !said {
				p.errorf(whole, "`end` stands alone, and closes a `for` or an `if`")
			}
			return
		}
		p.close()
	}
}

// turn goes from what holds where a condition is true to what holds where it is not.
func (f *frame) turn() { f.cond.yes, f.parts, f.other = f.parts, nil, true }

const elseIf = "after `else`, another `if` stands on the next line, with an `end` of its own"

// otherDirective reports a directive as other tools write it, and takes it for what it is meant to be.
func (p *templateParser) otherDirective(word string, tokens []lexer.Token, whole span) bool {
	if !p.document || len(tokens) == 0 || slices.Contains(p.loopNames(), word) || !tokens[0].Is(lexer.Identifier) {
		return false
	}
	operand := len(tokens) > 1 && tokens[1].Is(lexer.Identifier)
	switch word {
	case "endfor", "endif", "endrange":
		p.errorf(whole, "there is no `%s`", word).Hint = "`${{ end }}` closes a `for` and an `if`"
		p.ownLine(whole)
		if len(p.frames) > 1 {
			p.close()
		}
	case "elif", "elseif", "elsif":
		p.errorf(whole, "there is no `%s`", word).Hint = elseIf
		p.ownLine(whole)
		if f := p.top(); f.cond != nil && !f.other {
			f.turn()
		}
	case "range", "foreach":
		if !operand {
			return false
		}
		p.errorf(whole, "there is no `%s`", word).Hint = "a loop is written `for NAME in LIST`"
		p.ownLine(whole)
		p.frames = append(p.frames, frame{open: whole, loop: &loop{}, said: true})
	default:
		return false
	}
	return true
}

var nameRE = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (p *templateParser) forLoop(tokens []lexer.Token, after func(int) (string, int), whole span) *loop {
	if len(tokens) < 3 || tokens[1].Kind != lexer.Identifier || !tokens[2].Is(lexer.Operator, "in") {
		p.errorf(whole, "a loop is written `for NAME in LIST`")
		return &loop{}
	}
	name := tokens[1].Value
	if why := p.badName(name); why != "" {
		p.errorf(whole, "`%s` cannot be the name of a loop variable: %s", name, why)
	}
	src, at := after(2)
	list, diags := parse(src, p.at.from(at), p.loopNames())
	p.diags.Extend(diags)
	return &loop{name: name, list: list}
}

func (p *templateParser) badName(name string) string {
	switch {
	case Reserved(name):
		return "it has a meaning in expressions"
	case !nameRE.MatchString(name):
		return "names are lower-case letters, digits and _"
	}
	for _, n := range p.loopNames() {
		if n == name {
			return fmt.Sprintf("a loop around it uses `%s`", n)
		}
	}
	return ""
}

// close ends the innermost directive. One whose expression is wrong is left out: the error is reported already.
func (p *templateParser) close() {
	f := *p.top()
	p.frames = p.frames[:len(p.frames)-1]
	up := p.top()
	switch {
	case f.loop != nil && f.loop.list != nil:
		f.loop.body = f.parts
		up.parts = append(up.parts, part{loop: f.loop})
	case f.cond != nil && f.cond.test != nil:
		if f.other {
			f.cond.no = f.parts
		} else {
			f.cond.yes = f.parts
		}
		up.parts = append(up.parts, part{cond: f.cond})
	}
}
