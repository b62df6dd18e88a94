package expr

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
)

// Locator maps an offset in a text, counted in characters from 0, to its place in a file. The text of a YAML scalar is
// not the text of the file (quotes, escapes, folded lines), so whoever decoded the scalar knows the mapping.
type Locator func(offset int) diag.Pos

// At is the Locator of a text that stands in the file as it is, from p on: a template file, a plain scalar.
func At(p diag.Pos, text string) Locator {
	var starts []int // offsets at which the second and later lines begin
	offset := 0
	for line := range strings.Lines(text) {
		if offset += utf8.RuneCountInString(line); strings.HasSuffix(line, "\n") {
			starts = append(starts, offset)
		}
	}
	return func(offset int) diag.Pos {
		if !p.Known() {
			return p
		}
		n := sort.SearchInts(starts, offset+1)
		if n == 0 {
			return diag.Pos{File: p.File, Line: p.Line, Col: max(p.Col, 1) + offset}
		}
		return diag.Pos{File: p.File, Line: p.Line + n, Col: offset - starts[n-1] + 1}
	}
}

// from is the Locator of the part of a text that begins at offset.
func (l Locator) from(offset int) Locator {
	if l == nil {
		return func(int) diag.Pos { return diag.Pos{} }
	}
	return func(o int) diag.Pos { return l(offset + o) }
}

// span is a range of characters of the source of an expression.
type span struct{ from, to int }

func (s span) empty() bool { return s.to <= s.from }

func (s span) union(o span) span {
	switch {
	case s.empty():
		return o
	case o.empty():
		return s
	}
	return span{min(s.from, o.from), max(s.to, o.to)}
}

// place is where a span begins in the file, and how many characters of it stand on that line.
func (l Locator) place(s span) (diag.Pos, int) {
	p := l(s.from)
	if end := l(max(s.to-1, s.from)); end.Line == p.Line && end.Col >= p.Col {
		return p, end.Col - p.Col + 1
	}
	return p, 1
}

// cut returns the characters of text from s.from to s.to.
func cut(text string, s span) string {
	r := []rune(text)
	from := min(max(s.from, 0), len(r))
	return string(r[from:min(max(s.to, from), len(r))])
}
