package syntax

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
)

// broken says why yaml.v3 could not read the file: the traps found in the text, else the line it stops at.
func (c *converter) broken(err error) {
	found, bare := findTraps(c.file)
	if found.Len() > 0 {
		c.diags.Extend(found)
		c.mend(bare)
		return
	}
	if m := unknownAnchor.FindStringSubmatch(err.Error()); m != nil {
		c.unknownAnchor(m[1])
		return
	}
	line := c.firstBadLine()
	text := c.file.Line(line)
	col := len(text) - len(strings.TrimLeft(text, " ")) + 1
	d := c.diags.Errorf(diag.Pos{File: c.file.Name, Line: line, Col: col}, "%s", ourWords(err.Error()))
	d.Hintf("%s", c.lineHint(line, col))
}

// lineHint says what to do about a line that does not fit, seen from the line above it.
func (c *converter) lineHint(line, col int) string {
	above := line - 1
	for above > 0 && strings.Trim(c.file.Line(above), " \t") == "" {
		above--
	}
	text := c.file.Line(above)
	body := strings.TrimLeft(text, " -")
	key, value, isKey := strings.Cut(body, ":")
	begin := len(text) - len(body) + 1
	switch {
	case above == 0 || body == "" || body[0] == '#' || strings.ContainsAny(key, "\"'[]{}"):
	case isKey && strings.TrimSpace(value) != "" && col > begin:
		return fmt.Sprintf("`%s` of the line above has its value already: to stand beside it, this line begins in column %d", key, begin)
	case !isKey:
		return "is the `:` missing in the line above? A key is written `key: value`"
	}
	return "check the indentation and the quotes of this line and the one above it"
}

// mend reads the file as if what should be quoted were, so that what else is wrong is said in the same pass.
// It is blotted out for YAML alone, byte by byte: places stay what they are, and nodes get the text that is written.
func (c *converter) mend(bare []stretch) {
	if len(bare) == 0 {
		return
	}
	text := slices.Clone(c.file.Text)
	for _, s := range bare {
		for i := s.from; i < s.to; i++ {
			if b := text[i]; b < utf8.RuneSelf && b != ' ' && !isNameByte(b) {
				text[i] = '_'
			}
		}
	}
	if doc, err := decode(text, c.moreDocuments); err == nil && doc != nil && len(doc.Content) > 0 {
		c.bare = bare
		c.file.Root = c.node(doc.Content[0], 0)
	}
}

// written is the text of a scalar that was blotted out.
func (c *converter) written(n *Node, value string) string {
	end := n.start + len(value)
	for _, s := range c.bare {
		if n.Style == Plain && s.from >= n.start && s.to <= end && end <= len(c.file.Text) {
			return string(c.file.Text[n.start:end])
		}
	}
	return value
}

var unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)

func (c *converter) unknownAnchor(name string) {
	pos := diag.Pos{File: c.file.Name, Line: 1, Col: 1}
	for i := range c.file.starts {
		if at := strings.Index(c.file.Line(i+1), "*"+name); at >= 0 {
			pos = c.file.At(c.file.starts[i] + at)
			break
		}
	}
	c.diags.Errorf(pos, "`*%s` repeats nothing: there is no `&%s` before it", name, name).
		Hintf("put quotes around a value that begins with `*`")
}

// firstBadLine is the first line that no reading gets beyond: the text up to it is broken, and stays so with each line
// more. It costs a few dozen readings of parts of the text, and is less exact where that would be too much.
func (c *converter) firstBadLine() int {
	budget := 8 << 20 // bytes to read
	bad := func(lines int) bool {
		end := len(c.file.Text)
		if lines < len(c.file.starts) {
			end = c.file.starts[lines]
		}
		if budget -= end; budget < 0 {
			return true
		}
		_, err := decode(c.file.Text[:end], func(int) {})
		return err != nil
	}
	last := len(c.file.starts)
	good, step := last-1, 1
	for good > 0 && bad(good) {
		last = good
		good -= step
		step *= 2
	}
	low, high := max(good, 0), last
	for high-low > 1 {
		if mid := (low + high) / 2; bad(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	for probe := high + 1; probe <= min(high+40, last); probe++ {
		if !bad(probe) { // what looked broken was a value over several lines
			high = probe + 1
		}
	}
	return min(high, len(c.file.starts))
}

// ourWords translates a message of yaml.v3, without its line number.
func ourWords(message string) string {
	for _, t := range []struct{ theirs, ours string }{
		{"did not find expected key", "this line does not fit the map it is in"},
		{"did not find expected '-' indicator", "this line does not fit the list it is in: `- ` is missing or the indentation differs"},
		{"did not find expected ',' or", "`,` or a closing bracket is missing before this line"},
		{"could not find expected ':'", "this line is neither `key: value` nor `- entry`; a space must follow the colon"},
		{"mapping values are not allowed", "a `key: value` can't stand here: the line above is a value already, or the indentation differs"},
		{"block sequence entries are not allowed", "a list entry can't stand here: the line above is a value already, or the indentation differs"},
		{"found unexpected end of stream", "a quote or bracket that was opened is never closed"},
		{"cannot start any token", "a value can't begin with this character: put quotes around it"},
		{"found unknown escape character", "unknown escape after `\\` in double quotes: use single quotes, or `\\\\`"},
		{"exceeded max depth", "nested deeper than any reader goes"},
		{"did not find expected <document start>", "what stands above is a whole document, and the file goes on"},
		{"found undefined tag handle", "an unknown YAML tag: put quotes around a value that begins with `!`"},
	} {
		if strings.Contains(message, t.theirs) {
			return t.ours
		}
	}
	message = strings.TrimPrefix(message, "yaml: ")
	if _, rest, ok := strings.Cut(message, ": "); ok && strings.HasPrefix(message, "line ") {
		message = rest
	}
	return "this is not YAML: " + message
}
