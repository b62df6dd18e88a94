package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
	"gopkg.in/yaml.v3"
)

// Limits of a file.
const (
	MaxBytes = 4 << 20
	MaxNodes = 200_000
	MaxDepth = 100
)

// Parse reads a file. The File is never nil; its Root is nil when the text is empty or can't be read at all. All
// mistakes are in the list.
func Parse(name string, text []byte) (*File, diag.List) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	f := &File{Name: name, Text: text, starts: lineStarts(text)}
	c := converter{file: f, done: map[*yaml.Node]*Node{}, open: map[*yaml.Node]bool{}}
	if !c.readable() {
		return f, c.diags
	}
	doc, err := decode(text, c.moreDocuments)
	switch {
	case err != nil:
		c.broken(err)
	case doc != nil && len(doc.Content) > 0:
		f.Root = c.node(doc.Content[0], 0)
	}
	if f.Root != nil && (c.full || f.Root.Null()) {
		f.Root = nil // what lies beyond a limit was not read: nothing can be said about the rest
	}
	return f, c.diags
}

// decode runs yaml.v3 over the text. A panic of the library is an error like another.
func decode(text []byte, more func(line int)) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text))
	doc = &yaml.Node{}
	if err := d.Decode(doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		more(second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return doc, nil
}

type converter struct {
	file  *File
	diags diag.List
	done  map[*yaml.Node]*Node // anchors
	open  map[*yaml.Node]bool  // anchors being read
	count int
	full  bool      // a limit was met and said
	bare  []stretch // expressions that YAML was not shown
}

// readable refuses what can't be YAML of ours before yaml.v3 sees it.
func (c *converter) readable() bool {
	text := c.file.Text
	if len(text) > MaxBytes {
		c.diags.Errorf(diag.Pos{File: c.file.Name}, "the file is larger than %d MiB", MaxBytes>>20).Hintf("%s", hintSplit)
		return false
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if what := unreadable(r, size, text[i:]); what != "" {
			c.diags.Errorf(c.file.At(i), "%s", what).Hintf("%s", encodingHint(text, i))
			return false
		}
		i += size
	}
	return true
}

// encodingHint says what to do about the byte at i that is no text.
func encodingHint(text []byte, i int) string {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) || bytes.IndexByte(text, 0) == 1:
		return "the file is UTF-16: save it as UTF-8"
	case text[i] >= 0x80 && !utf8.FullRune(text[i:]) || text[i] >= 0xa0:
		return "the file must be UTF-8 text: in Latin-1 or Windows-1252 this byte is " + fmt.Sprintf("`%c`", rune(text[i])) + "; save the file as UTF-8"
	}
	return "the file must be UTF-8 text; write such a character as an escape in double quotes"
}

func unreadable(r rune, size int, at []byte) string {
	switch {
	case r == utf8.RuneError && size == 1:
		return "this byte is not UTF-8"
	case r == '\t' || r == '\n' || r >= ' ' && r < 0x7f:
		return ""
	case r == '\r':
		if len(at) > 1 && at[1] == '\n' {
			return ""
		}
		return "a carriage return that ends no line"
	case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r >= 0xfffe && r <= 0xffff:
		return fmt.Sprintf("control character U+%04X", r)
	}
	return ""
}

func (c *converter) moreDocuments(line int) {
	for line > 1 && !strings.HasPrefix(c.file.Line(line), "---") {
		line--
	}
	c.diags.Errorf(diag.Pos{File: c.file.Name, Line: line, Col: 1}, "a second document begins here: one file holds one").
		Hintf("put it into a file of its own")
}

// node converts a node and all below it.
func (c *converter) node(y *yaml.Node, depth int) *Node {
	if y.Kind == yaml.AliasNode {
		return c.alias(y)
	}
	n := &Node{File: c.file, size: 1}
	c.place(n, y)
	c.count++
	if depth > MaxDepth || c.count > MaxNodes {
		c.limit(n, depth)
		return n
	}
	c.tag(n, y)
	if y.Anchor != "" {
		c.open[y] = true
		defer func() { delete(c.open, y); c.done[y] = n }()
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.Kind = Mapping
		c.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.Kind = Sequence
		for _, x := range y.Content {
			item := c.node(x, depth+1)
			n.Items = append(n.Items, item)
			n.size += item.size
		}
	default:
		n.Text = c.written(n, y.Value)
	}
	return n
}

func (c *converter) limit(n *Node, depth int) {
	if c.full {
		return
	}
	c.full = true
	if depth > MaxDepth {
		c.diags.Errorf(n.Pos(), "nested deeper than %d levels", MaxDepth).Hintf("blocks belong beside each other, or into a part of their own (`use`)")
	} else {
		c.diags.Errorf(n.Pos(), "the file has more than %d values", MaxNodes).Hintf("%s", hintSplit)
	}
}

const hintSplit = "a file that is written by a program should say with `for_each`, groups or ranges of hosts what repeats; tasks can stand in several files (`use`)"

// alias shares the node of the anchor. What is below is counted again, so that no one walks a bomb.
func (c *converter) alias(y *yaml.Node) *Node {
	pos := diag.Pos{File: c.file.Name, Line: y.Line, Col: y.Column}
	target, ok := c.done[y.Alias]
	switch {
	case c.open[y.Alias]:
		c.diags.Errorf(pos, "`*%s` stands inside the value it repeats", y.Value)
	case !ok:
		c.diags.Errorf(pos, "`*%s` repeats nothing: there is no `&%s` before it", y.Value, y.Value)
	case c.count+target.size > MaxNodes:
		if !c.full {
			c.full = true
			c.diags.Errorf(pos, "aliases make more than %d values of this file", MaxNodes).Hintf("write out what is needed: aliases of aliases double at every level")
		}
	default:
		c.count += target.size
		return target
	}
	n := &Node{File: c.file, Line: y.Line, Col: y.Column, size: 1}
	n.start = c.file.offset(n.Line, n.Col)
	return n
}

func (c *converter) mapping(n *Node, y *yaml.Node, depth int) {
	n.Flow = y.Style&yaml.FlowStyle != 0
	first := make(map[string]*Node, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, ok := c.key(y.Content[i])
		value := c.node(y.Content[i+1], depth+1)
		n.size += value.size + 1
		if !ok {
			continue
		}
		if before, twice := first[key.Text]; twice {
			d := c.diags.Errorf(key.Pos(), "`%s` is given twice", shorten(key.Text)).Note(before.Pos(), "first here")
			d.Len = key.Width()
			continue
		}
		first[key.Text] = key
		n.Entries = append(n.Entries, Entry{Key: key, Value: value})
	}
}

// key converts a key of a mapping; false when it can't be one.
func (c *converter) key(y *yaml.Node) (*Node, bool) {
	k := &Node{File: c.file, size: 1, Text: y.Value}
	c.place(k, y)
	c.count++
	switch {
	case y.Kind == yaml.MappingNode && y.Style&yaml.FlowStyle != 0:
		c.diags.Errorf(k.Pos(), "a map can't be a key").Hintf("for an expression write \"${{ ... }}\", with $ and quotes")
		return k, false
	case y.Kind != yaml.ScalarNode:
		c.diags.Errorf(k.Pos(), "a key must be plain text")
		return k, false
	case y.Style == 0 && y.Value == "<<":
		c.diags.Errorf(k.Pos(), "the merge key `<<` is not supported").
			Hintf("repeat a whole value with an alias (`key: *anchor`), or write the keys out")
		return k, false
	}
	c.tag(k, y)
	return k, true
}

// place sets position and style. yaml.v3 gives the place of an anchor or tag where there is one: step over it.
func (c *converter) place(n *Node, y *yaml.Node) {
	n.start = c.afterProperties(c.file.offset(y.Line, y.Column))
	text := n.start
	if y.Kind == yaml.ScalarNode {
		n.Style = styleOf(y.Style)
		switch n.Style {
		case SingleQuoted, DoubleQuoted:
			text++
		case Literal, Folded:
			n.Text = y.Value
			if spans := n.scanBlock(); len(spans) > 0 {
				text = spans[0].offset
			}
		}
	}
	p := c.file.At(text)
	n.Line, n.Col = p.Line, p.Col
}

func styleOf(s yaml.Style) Style {
	switch {
	case s&yaml.SingleQuotedStyle != 0:
		return SingleQuoted
	case s&yaml.DoubleQuotedStyle != 0:
		return DoubleQuoted
	case s&yaml.LiteralStyle != 0:
		return Literal
	case s&yaml.FoldedStyle != 0:
		return Folded
	}
	return Plain
}

// afterProperties steps over `&anchor` and `!tag`.
func (c *converter) afterProperties(at int) int {
	in := c.file.Text
	for at < len(in) && (in[at] == '&' || in[at] == '!') {
		anchor := in[at] == '&' // its name ends with the last letter, a tag at a blank
		at++
		for at < len(in) && !isBlank(in[at]) && (!anchor || isNameByte(in[at])) {
			at++
		}
		for at < len(in) && isBlank(in[at]) {
			at++
		}
	}
	return at
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

// tag refuses explicit tags other than !!str.
func (c *converter) tag(n *Node, y *yaml.Node) {
	tag := y.ShortTag()
	if y.Style&yaml.TaggedStyle == 0 {
		if at := c.file.offset(y.Line, y.Column); at == n.start || c.file.Text[at] != '!' {
			return
		}
		tag = "!"
	}
	if tag == "!!str" && y.Kind == yaml.ScalarNode {
		n.text = true
		return
	}
	d := c.diags.Errorf(diag.Pos{File: c.file.Name, Line: y.Line, Col: y.Column}, "`%s` is a YAML tag, it does not belong to the value", tag)
	if strings.HasPrefix(tag, "!!") || tag == "!" {
		d.Hintf("leave it out; put quotes around what must be text")
	} else {
		d.Hintf("for a negation write `not %s`; put quotes around a text that begins with `!`", strings.TrimPrefix(tag, "!"))
	}
	d.Len = len(tag)
}
