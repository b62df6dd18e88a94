package syntax

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
)

// findTraps reads a file that is known to be broken line by line, as far as a person would, and reports what it knows to
// be wrong. It follows quotes, brackets, comments, block scalars and indentation, nothing more.
//
// bare are pieces whose meaning is known although YAML can't read them: expressions inside brackets that are not quoted, and
// texts that must be quoted for how they begin or for a colon in them.
func findTraps(f *File) (found diag.List, bare []stretch) {
	s := &trapScanner{file: f, block: -1}
	for line := 1; line <= len(f.starts); line++ {
		s.scanLine(line)
	}
	s.unclosed()
	return s.diags, s.bare
}

// stretch is a piece of a file, in bytes.
type stretch struct{ from, to int }

type trapScanner struct {
	file  *File
	diags diag.List
	line  int
	text  string // of the line
	at    int    // byte offset in text

	flow    []place   // open brackets
	quote   byte      // open quote over line ends, 0 = none
	opened  place     // where it was opened
	block   int       // indentation of the key of an open block scalar, -1 = none
	indents []int     // open block collections
	bare    []stretch // see findTraps
}

type place struct{ line, at int }

func (s *trapScanner) errorf(at int, format string, args ...any) *diag.Diagnostic {
	pos := s.file.At(s.file.starts[s.line-1] + at)
	return s.diags.Errorf(pos, format, args...)
}

func (s *trapScanner) scanLine(line int) {
	s.line, s.text, s.at = line, s.file.Line(line), 0
	body := strings.TrimLeft(s.text, " ")
	indent := len(s.text) - len(body)
	if s.block >= 0 {
		if body == "" || indent > s.block {
			return
		}
		s.block = -1
	}
	s.at = indent
	switch {
	case s.quote != 0:
		s.closeQuote(s.at)
	case len(s.flow) > 0:
	case body == "" || body[0] == '#' || indent == 0 && (strings.HasPrefix(body, "---") || strings.HasPrefix(body, "...") || body[0] == '%'):
		return
	default:
		if !s.indentation(indent, body) {
			return
		}
	}
	s.values()
}

// indentation checks that a line of block style fits the lines above; false when nothing more should be said of it.
func (s *trapScanner) indentation(indent int, body string) bool {
	if body[0] == '\t' {
		s.errorf(indent, "a tab can't indent: YAML wants spaces").Hintf("replace the tab by spaces")
		return false
	}
	n := len(s.indents)
	for n > 0 && s.indents[n-1] > indent {
		n--
	}
	fits := n > 0 && s.indents[n-1] == indent || len(s.indents) == 0 || n == len(s.indents)
	if !fits {
		s.errorf(indent, "the indentation of this line fits none of the lines above").
			Hintf("lines that belong together begin in the same column: here %s", columns(s.indents[:n], s.indents[n]))
		s.indents = append(s.indents[:n], indent)
		return true
	}
	s.indents = s.indents[:n]
	if n == 0 || s.indents[n-1] < indent {
		s.indents = append(s.indents, indent)
	}
	return true
}

func columns(open []int, next int) string {
	want := []string{}
	for _, i := range append(append([]int{}, open...), next) {
		want = append(want, strconv.Itoa(i+1))
	}
	if len(want) > 3 {
		want = want[len(want)-3:]
	}
	return strings.Join(want, " or ")
}

// values goes through the tokens of the rest of the line.
func (s *trapScanner) values() {
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == ' ' || c == '\t':
			s.at++
		case c == '#' && (s.at == 0 || isBlank(s.text[s.at-1])):
			return
		case len(s.flow) == 0 && (c == '-' || c == '?') && s.blankAfter(s.at+1):
			s.at++
			s.entry()
		default:
			if !s.token(c) {
				return
			}
		}
	}
}

// entry notes the column after a `- `: keys of the same entry stand there.
func (s *trapScanner) entry() {
	i := s.at
	for i < len(s.text) && s.text[i] == ' ' {
		i++
	}
	if i < len(s.text) && strings.IndexByte("#|>", s.text[i]) < 0 {
		s.indents = append(s.indents, i)
	}
}

func (s *trapScanner) blankAfter(i int) bool { return i >= len(s.text) || isBlank(s.text[i]) }

// token reads one key or value; false ends the line.
func (s *trapScanner) token(c byte) bool {
	switch c {
	case '{', '[':
		if len(s.flow) == 0 && strings.HasPrefix(s.text[s.at:], "{{") {
			s.bareBraces()
			return false
		}
		s.flow = append(s.flow, place{s.line, s.at})
		s.at++
	case '}', ']':
		s.at++
		if len(s.flow) == 0 {
			s.errorf(s.at-1, "`%c` closes nothing", c).Hintf("put quotes around a text with brackets")
			return false
		}
		s.flow = s.flow[:len(s.flow)-1]
		return len(s.flow) > 0 || s.afterValue("the closing bracket")
	case ',', ':':
		s.at++
	case '"', '\'':
		s.quote, s.opened = c, place{s.line, s.at}
		return s.closeQuote(s.at + 1)
	case '|', '>':
		if len(s.flow) == 0 {
			s.block = max(0, s.blockParent())
			return false
		}
		s.plain()
	case '*', '&', '%', '@', '`', '!':
		return s.indicator(c)
	default:
		return s.plain()
	}
	return true
}

func (s *trapScanner) blockParent() int {
	if n := len(s.indents); n > 0 {
		return s.indents[n-1]
	}
	return 0
}

func (s *trapScanner) bareBraces() {
	s.errorf(s.at, "`{{` begins a YAML map here, not an expression").Hintf("write ${{ ... }}")
}

// closeQuote looks for the end of an open quote from i on; false ends the line.
func (s *trapScanner) closeQuote(i int) bool {
	for ; i < len(s.text); i++ {
		switch {
		case s.text[i] == '\\' && s.quote == '"':
			if i++; i < len(s.text) && !escapes(s.text[i:]) {
				s.errorf(i-1, "`\\%c` is no escape in double quotes", s.text[i]).Hintf("use single quotes, or `\\\\` for a backslash")
			}
		case s.text[i] == s.quote && s.quote == '\'' && i+1 < len(s.text) && s.text[i+1] == '\'':
			i++
		case s.text[i] == s.quote:
			s.quote = 0
			s.at = i + 1
			return s.afterValue("the closing quote")
		}
	}
	s.at = len(s.text)
	return false
}

// escapes tells whether YAML knows what stands behind a backslash; \x, \u and \U want their digits.
func escapes(text string) bool {
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[0]]
	if digits == 0 {
		return strings.IndexByte("0abt\tnvfre \"/\\N_LP", text[0]) >= 0
	}
	if len(text) <= digits {
		return false
	}
	_, err := strconv.ParseUint(text[1:1+digits], 16, 32)
	return err == nil
}

// afterValue checks what may follow a closed quote or bracket.
func (s *trapScanner) afterValue(what string) bool {
	rest := strings.TrimLeft(s.text[s.at:], " \t")
	switch {
	case rest == "" || rest[0] == ':' || rest[0] == '#' && len(rest) < len(s.text)-s.at:
		return true
	case len(s.flow) > 0 && strings.IndexByte(",]}", rest[0]) >= 0:
		return true
	}
	at := len(s.text) - len(rest)
	d := s.errorf(at, "the value ended at %s, but the line goes on", what)
	whole := s.wholeValue()
	d.Hintf("quote the whole value: %s", quoteWhole(whole))
	d.Len = len([]rune(rest))
	if begin := strings.LastIndex(s.text, whole); begin >= 0 && len(s.flow) == 0 {
		s.blot(begin, s.rest(begin))
	}
	return false
}

// wholeValue is the text of the line after its key.
func (s *trapScanner) wholeValue() string {
	v := strings.TrimSpace(s.text[:s.rest(0)])
	v = strings.TrimSpace(strings.TrimPrefix(v, "- "))
	if i := strings.Index(v, ": "); i >= 0 && !strings.ContainsAny(v[:i], `"'[{`) {
		v = v[i+2:]
	}
	return strings.TrimSpace(v)
}

// quoteWhole writes a text in single quotes as YAML wants it.
func quoteWhole(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

// plain reads unquoted text: to its `: ` or the end, in brackets also to `,` and the closing bracket.
func (s *trapScanner) plain() bool {
	begin := s.at
	for ; s.at < len(s.text); s.at++ {
		c := s.text[s.at]
		switch {
		case c == '#' && isBlank(s.text[s.at-1]):
			return false
		case c == ':' && s.blankAfter(s.at+1):
			return s.colon(begin)
		case len(s.flow) > 0 && c == '$' && strings.HasPrefix(s.text[s.at:], "${{"):
			s.flowExpression(begin)
			continue
		case c >= utf8.RuneSelf && s.invisible():
			return false
		case len(s.flow) > 0 && s.at > begin && (c == '[' || c == '{'):
			s.flowBracket(begin)
		case len(s.flow) > 0 && strings.IndexByte(",]}[{", c) >= 0:
			return true
		}
	}
	return false
}

func quoteFor(code string) string {
	if strings.Contains(code, `"`) {
		return quoteWhole(code)
	}
	return `"` + code + `"`
}

// colon is at the `:` of a key; a value with a second one on the same line is refused by YAML.
func (s *trapScanner) colon(begin int) bool {
	s.at++
	if len(s.flow) > 0 {
		return true
	}
	head := strings.TrimLeft(s.text[:begin], " -?")
	if head == "" {
		return true
	}
	d := s.errorf(s.at-1, "a second `: ` on this line")
	d.Hintf("quote the value: %s", quoteWhole(s.wholeValue()))
	s.blot(begin, s.rest(begin))
	return false
}

// unclosed reports quotes and brackets that are open at the end.
func (s *trapScanner) unclosed() {
	if s.diags.Len() > 0 {
		return
	}
	switch {
	case s.quote != 0:
		s.line = s.opened.line
		s.errorf(s.opened.at, "this quote is never closed").Hintf("the closing quote is missing, or a quote inside the text must be doubled")
	case len(s.flow) > 0:
		open := s.flow[len(s.flow)-1]
		s.line = open.line
		s.errorf(open.at, "this bracket is never closed").Hintf("the closing bracket is missing")
	}
}
