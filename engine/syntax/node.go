package syntax

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
)

// File is a file that has been read.
type File struct {
	Name string
	Text []byte
	Root *Node // nil when the file holds nothing, or is broken

	starts []int // offset of each line
}

// Kind of a node.
type Kind uint8

// The kinds.
const (
	Scalar Kind = iota
	Mapping
	Sequence
)

func (k Kind) String() string { return [...]string{"a single value", "a map", "a list"}[k] }

// Style of a scalar.
type Style uint8

// The styles.
const (
	Plain Style = iota
	SingleQuoted
	DoubleQuoted
	Literal // |
	Folded  // >
)

// Node is a value of a file. Nodes are not changed after reading: Merge makes new ones.
type Node struct {
	Kind    Kind
	File    *File
	Line    int // of the text of a scalar, else of the first token
	Col     int
	Text    string // of a Scalar
	Style   Style
	Flow    bool // { } or [ ]
	Entries []Entry
	Items   []*Node

	text  bool // tagged !!str: text, whatever it looks like
	start int  // offset of the first token, after tag and anchor
	size  int  // nodes below and including this one, aliases counted at each use
	once  sync.Once
	spans []span // of Text; made when first asked for
}

// Entry is a member of a mapping.
type Entry struct {
	Key   *Node
	Value *Node
}

// Pos is where the node begins.
func (n *Node) Pos() diag.Pos { return diag.Pos{File: n.File.Name, Line: n.Line, Col: n.Col} }

// Size is the number of values below and including the node, aliases counted at each place they are used.
func (n *Node) Size() int { return n.size }

// Null tells whether the value is absent: nothing, ~ or null, unquoted.
func (n *Node) Null() bool {
	return n == nil || n.Kind == Scalar && n.Style == Plain && !n.text && (n.Text == "" || n.Text == "~" || n.Text == "null")
}

// Width is how many characters of the node stand on its first line, for a caret; 1 for a list or map.
func (n *Node) Width() int {
	if n.Kind != Scalar {
		return 1
	}
	text := n.Text
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	width := utf8.RuneCountInString(text)
	if rest := n.File.Line(n.Line); n.Style != Literal && n.Col <= len(rest) {
		width = min(width, utf8.RuneCountInString(rest)-n.Col+1)
	}
	return max(1, width)
}

// Get returns the value of a key of a mapping; nil when there is none.
func (n *Node) Get(key string) *Node {
	if e, ok := n.Entry(key); ok {
		return e.Value
	}
	return nil
}

// Entry returns the member of a mapping with that key.
func (n *Node) Entry(key string) (Entry, bool) {
	if n == nil || n.Kind != Mapping {
		return Entry{}, false
	}
	i := slices.IndexFunc(n.Entries, func(e Entry) bool { return e.Key.Text == key })
	if i < 0 {
		return Entry{}, false
	}
	return n.Entries[i], true
}

// Describe names what is written, for "want X, not Y".
func (n *Node) Describe() string {
	switch {
	case n.Null():
		return "nothing"
	case n.Kind == Scalar:
		return strconv.Quote(shorten(n.Text))
	}
	return n.Kind.String()
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:37]) + "..."
	}
	return s
}

// Any is the meaning of a node where any value is wanted: nil, bool, int, float64, string, []any or map[string]any.
// A number is one only if its usual text is what was written: 3.10 and 0644 are text.
func (n *Node) Any() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Mapping:
		m := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			m[e.Key.Text] = e.Value.Any()
		}
		return m
	case Sequence:
		l := make([]any, len(n.Items))
		for i, x := range n.Items {
			l[i] = x.Any()
		}
		return l
	}
	return n.scalar()
}

func (n *Node) scalar() any {
	if n.Style != Plain || n.text {
		return n.Text
	}
	switch n.Text {
	case "", "~", "null":
		return nil
	case "true":
		return true
	case "false":
		return false
	}
	if i, err := strconv.Atoi(n.Text); err == nil && strconv.Itoa(i) == n.Text {
		return i
	}
	if f, err := strconv.ParseFloat(n.Text, 64); err == nil && strconv.FormatFloat(f, 'f', -1, 64) == n.Text {
		return f
	}
	return n.Text
}

// CutByComment tells whether a comment follows an unquoted scalar on its last line: the `#` may have been meant as part
// of the text. The place is that of the `#`.
func (n *Node) CutByComment() (diag.Pos, bool) {
	if n.Kind != Scalar || n.Style != Plain || n.Text == "" {
		return diag.Pos{}, false
	}
	last := n.Locate(len(n.Text) - 1)
	line := []rune(n.File.Line(last.Line))
	for i := last.Col; i < len(line); i++ {
		switch {
		case line[i] == '#' && i > last.Col-1 && (line[i-1] == ' ' || line[i-1] == '\t'):
			return diag.Pos{File: n.File.Name, Line: last.Line, Col: i + 1}, true
		case line[i] != ' ' && line[i] != '\t':
			return diag.Pos{}, false
		}
	}
	return diag.Pos{}, false
}

// Line is a line of the file without its end; "" when there is none.
func (f *File) Line(n int) string {
	if n < 1 || n > len(f.starts) {
		return ""
	}
	end := len(f.Text)
	if n < len(f.starts) {
		end = f.starts[n] - 1
	}
	return strings.TrimSuffix(string(f.Text[f.starts[n-1]:end]), "\r")
}

// At is the place of an offset of the file.
func (f *File) At(offset int) diag.Pos {
	i, found := slices.BinarySearch(f.starts, offset)
	if !found {
		i--
	}
	col := utf8.RuneCount(f.Text[f.starts[i]:min(offset, len(f.Text))]) + 1
	return diag.Pos{File: f.Name, Line: i + 1, Col: col}
}

// offset is the reverse of At.
func (f *File) offset(line, col int) int {
	if line < 1 || line > len(f.starts) {
		return len(f.Text)
	}
	at := f.starts[line-1]
	for ; col > 1 && at < len(f.Text) && f.Text[at] != '\n'; col-- {
		_, size := utf8.DecodeRune(f.Text[at:])
		at += size
	}
	return at
}

func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}
