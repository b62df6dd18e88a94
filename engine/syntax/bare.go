package syntax

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
)

// indicator is for the characters a plain value can't begin with.
func (s *trapScanner) indicator(c byte) bool {
	word := s.text[s.at:]
	if i := strings.IndexAny(word, " \t,]}"); i >= 0 {
		word = word[:i]
	}
	end := s.at + len(word)
	if len(s.flow) == 0 {
		end = s.rest(s.at)
	}
	whole := s.text[s.at:end]
	switch {
	case c == '!' && !strings.HasPrefix(word, "!!"):
		s.errorf(s.at, "`%s` is a YAML tag, it does not belong to the value", word).
			Hintf("for a negation write `not %s`; put quotes around a text that begins with `!`", strings.TrimPrefix(word, "!")).Len = len([]rune(word))
	case c == '*' && !strings.Contains(string(s.file.Text), "&"+word[1:]+"\n") && !strings.Contains(string(s.file.Text), "&"+word[1:]+" "):
		s.unknownAlias(word, whole)
		if whole != word || !isName(word[1:]) {
			s.blot(s.at, end)
		}
	case c == '&' && (len(word) == 1 || !isNameByte(word[1])):
		s.errorf(s.at, "a value that begins with `&` is an anchor").Hintf("write %s", quoteWhole(whole))
		s.blot(s.at, end)
	case c == '%' || c == '@' || c == '`':
		s.errorf(s.at, "a value can't begin with `%c`", c).Hintf("write %s", quoteWhole(whole))
		s.blot(s.at, end)
	default:
		s.at += len(word)
		return true
	}
	if len(s.flow) > 0 && len(word) > 0 { // what stands behind it in the brackets is looked at
		s.at = end
		return true
	}
	return false
}

// unknownAlias is for a `*` without its anchor: a misspelt alias, or a text that begins so.
func (s *trapScanner) unknownAlias(word, whole string) {
	d := s.errorf(s.at, "a value that begins with `*` repeats an anchor, and there is no `&%s`", word[1:])
	var anchors []string
	for _, m := range anchorRE.FindAllStringSubmatch(string(s.file.Text), -1) {
		anchors = append(anchors, m[1])
	}
	near := diag.Nearest(word[1:], anchors)
	switch {
	case near != "":
		d.Hintf("did you mean `*%s`? A text that begins with `*` is quoted: %s", near, quoteWhole(whole))
	case isName(word[1:]):
		d.Hintf("an anchor is made where the value stands first: `key: &%s ...`; a text that begins with `*` is quoted: %s", word[1:], quoteWhole(whole))
	default:
		d.Hintf("write %s", quoteWhole(whole))
	}
	d.Len = len([]rune(word))
}

var anchorRE = regexp.MustCompile(`(?m)(?:^|[ \[{,])&([A-Za-z0-9_-]+)(?:[ ,\]}]|$)`)

func isName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}

// flowExpression reports an unquoted ${{ }} inside brackets and steps to its end. begin is where its value begins.
func (s *trapScanner) flowExpression(begin int) {
	end := s.expressionEnd(s.at)
	code := s.text[s.at:end]
	d := s.errorf(s.at, "an expression inside { } or [ ] must be quoted")
	d.Hintf("inside { } or [ ] write %s", quoteFor(s.flowValue(begin)))
	d.Len = len([]rune(code))
	s.blot(s.at, end)
	s.at = end - 1
}

// flowBracket reports a bracket in the middle of an unquoted text inside brackets, and steps to where it is closed.
func (s *trapScanner) flowBracket(begin int) {
	end := s.at + 1
	if i := strings.IndexAny(s.text[s.at:], "]}"); i >= 0 {
		end = s.at + i + 1
	}
	for end < len(s.text) && strings.IndexByte(",]} ", s.text[end]) < 0 {
		end++
	}
	d := s.errorf(begin, "a text with `%c` must be quoted inside { } or [ ]", s.text[s.at])
	d.Hintf("write %s", quoteFor(s.text[begin:end]))
	d.Len = len([]rune(s.text[begin:end]))
	s.blot(begin, end)
	s.at = end - 1
}

func (s *trapScanner) expressionEnd(at int) int {
	if end := strings.Index(s.text[at:], "}}"); end >= 0 {
		return at + end + 2
	}
	return len(s.text)
}

// flowValue is the value that begins there, to the `,` or bracket behind it.
func (s *trapScanner) flowValue(begin int) string {
	i := begin
	for i < len(s.text) && strings.IndexByte(",]}", s.text[i]) < 0 {
		if i++; strings.HasPrefix(s.text[i-1:], "${{") {
			i = s.expressionEnd(i - 1)
		}
	}
	return strings.TrimSpace(s.text[begin:i])
}

// blot keeps a piece of the line from YAML, which would stumble over it: what it should be is known (see mend).
func (s *trapScanner) blot(from, to int) {
	begin := s.file.starts[s.line-1]
	s.bare = append(s.bare, stretch{begin + from, begin + to})
}

// rest is the end of the line's value: before a comment and the white space at its end.
func (s *trapScanner) rest(from int) int {
	end := len(s.text)
	if i := strings.Index(s.text[from:], " #"); i >= 0 {
		end = from + i
	}
	return from + len(strings.TrimRight(s.text[from:end], " \t"))
}

// invisible reports a character that looks like a blank and is none, where a blank is wanted.
func (s *trapScanner) invisible() bool {
	r, _ := utf8.DecodeRuneInString(s.text[s.at:])
	behind := s.at > 0 && s.text[s.at-1] == ':'
	if !behind || !unicode.IsSpace(r) && r != 0x200b {
		return false
	}
	s.errorf(s.at, "this looks like a space and is U+%04X", r).Hintf("replace it by a space; it often comes from a web page or a document")
	return true
}
