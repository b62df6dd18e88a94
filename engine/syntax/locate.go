package syntax

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
)

// span says that the decoded text from at on stands in the file from offset on, byte for byte, up to the next span.
type span struct{ at, offset int }

// Locate is the place in the file of an offset (in bytes) of the decoded text of a scalar.
func (n *Node) Locate(offset int) diag.Pos {
	if n.Kind != Scalar {
		return n.Pos()
	}
	n.once.Do(func() { n.spans = n.scan() })
	t := n.spans
	i := sort.Search(len(t), func(i int) bool { return t[i].at > offset }) - 1
	if i < 0 {
		return n.Pos()
	}
	return n.File.At(min(t[i].offset+offset-t[i].at, len(n.File.Text)))
}

// LocateRune is Locate for an offset in characters.
func (n *Node) LocateRune(offset int) diag.Pos {
	if len(n.Text) == utf8.RuneCountInString(n.Text) {
		return n.Locate(offset)
	}
	for i := range n.Text {
		if offset--; offset < 0 {
			return n.Locate(i)
		}
	}
	return n.Locate(len(n.Text) + offset)
}

// scan walks the source of a scalar and its decoded text side by side.
func (n *Node) scan() []span {
	switch n.Style {
	case Literal, Folded:
		return n.scanBlock()
	case SingleQuoted, DoubleQuoted:
		return n.scanFlow(n.start + 1)
	}
	return n.scanFlow(n.start)
}

// scanFlow is for plain and quoted scalars: line ends fold, quotes have escapes.
func (n *Node) scanFlow(src int) []span {
	text, in := n.Text, n.File.Text
	spans := []span{{0, src}}
	for at := 0; at < len(text) && src < len(in); {
		from := src
		width := 1
		switch c := in[src]; {
		case c == '\n' || c == '\r' || (c == ' ' || c == '\t') && endsLine(in, src):
			width, src = foldedBreak(in, src)
		case c == '\'' && n.Style == SingleQuoted:
			src += 2
		case c == '\\' && n.Style == DoubleQuoted:
			width, src = escape(in, src)
		default:
			src++
		}
		at += width
		if src-from != width {
			spans = append(spans, span{at, src})
		}
	}
	return spans
}

// endsLine tells whether only white space is left on the line.
func endsLine(in []byte, at int) bool {
	for ; at < len(in); at++ {
		switch in[at] {
		case ' ', '\t', '\r':
		case '\n':
			return true
		default:
			return false
		}
	}
	return false
}

// foldedBreak reads white space with line ends: one end is a space, n ends are n-1 line ends.
func foldedBreak(in []byte, at int) (width, next int) {
	ends := 0
	for ; at < len(in) && bytes.IndexByte([]byte(" \t\r\n"), in[at]) >= 0; at++ {
		if in[at] == '\n' {
			ends++
		}
	}
	return max(1, ends-1), at
}

// escape reads one escape of a double-quoted scalar; width is how many bytes it means.
func escape(in []byte, at int) (width, next int) {
	if at+1 >= len(in) {
		return 1, at + 1
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[in[at+1]]
	switch c := in[at+1]; {
	case digits > 0:
		r := rune(0)
		for _, d := range in[min(at+2, len(in)):min(at+2+digits, len(in))] {
			r = r<<4 | rune(hexDigit(d))
		}
		return max(1, utf8.RuneLen(r)), at + 2 + digits
	case c == '\n' || c == '\r' || c == ' ' || c == '\t':
		if c == ' ' || c == '\t' {
			if !endsLine(in, at+1) {
				return 1, at + 2
			}
		}
		_, next = foldedBreak(in, at+1)
		return 0, next
	case c == 'N' || c == '_':
		return 2, at + 2
	case c == 'L' || c == 'P':
		return 3, at + 2
	}
	return 1, at + 2
}

func hexDigit(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// scanBlock is for literal and folded scalars: each line of the source, without its indentation, is somewhere in the
// text, in order; between them are line ends and spaces.
func (n *Node) scanBlock() []span {
	f := n.File
	first := f.At(n.start).Line + 1
	indent := n.blockIndent(first)
	var spans []span
	at := 0
	for line := first; line <= len(f.starts) && at < len(n.Text); line++ {
		raw := f.Line(line)
		if strings.TrimSpace(raw) == "" && len(raw) <= indent {
			continue
		}
		if len(raw) < indent {
			break
		}
		content := raw[indent:]
		i := strings.Index(n.Text[at:], content)
		if i < 0 {
			break
		}
		at += i
		spans = append(spans, span{at, f.starts[line-1] + indent})
		at += len(content)
	}
	return spans
}

// blockIndent is the indentation of a block scalar: given by its header, else that of its first line with text.
func (n *Node) blockIndent(first int) int {
	for line := first; line <= len(n.File.starts); line++ {
		raw := n.File.Line(line)
		if body := strings.TrimLeft(raw, " "); body != "" {
			lead := len(n.Text) - len(strings.TrimLeft(n.Text, " \n"))
			own := len(n.Text[:lead]) - strings.LastIndexByte(n.Text[:lead], '\n') - 1
			return max(0, len(raw)-len(body)-own)
		}
	}
	return 0
}
