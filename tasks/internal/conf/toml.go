package conf

import (
	"fmt"
	"slices"
	"strings"
)

// tomlEditor sets values one after the other, and scans a text once as long as it does not change.
type tomlEditor struct{ last *tomlDoc }

func (t *tomlEditor) scan(src string) (*tomlDoc, error) {
	if t.last != nil && t.last.src == src {
		return t.last, nil
	}
	d, err := scanTOML(src)
	if err != nil {
		return nil, fmt.Errorf("the file is no valid TOML: %w", err)
	}
	t.last = d
	return d, nil
}

// set sets a value. What is not set stays byte by byte; a new key goes to the end of its table, a new table behind
// the tables it belongs to, with quotes and indents as the file has them.
func (t *tomlEditor) set(src string, at []string, value any) (string, error) {
	src = lineEnd(src)
	d, err := t.scan(src)
	if err != nil {
		return "", err
	}
	if value == nil {
		return d.remove(at), nil
	}
	if m, ok := value.(map[string]any); ok && len(m) == 0 {
		return d.addTable(at, "")
	}
	v, err := encodeTOML(value, '"')
	if err != nil {
		return "", err
	}
	for _, e := range d.entries {
		switch {
		case common(e.at, at) == len(at) && (e.table || len(e.at) > len(at)):
			return "", fmt.Errorf("%s is a table: set its keys, or remove it with null", joinTOML(at, '"'))
		case e.table || e.inList:
		case slices.Equal(e.at, at):
			return d.replace(e, value, v)
		case len(e.at) < len(at) && slices.Equal(e.at, at[:len(e.at)]):
			return "", fmt.Errorf("%s is a value of its own (an inline table?): set it as a whole", joinTOML(e.at, '"'))
		}
	}
	table, key := at[:len(at)-1], quoteTOML(at[len(at)-1], d.quote())
	if e, ok := d.dotted(table); ok {
		line := e.indent + joinTOML(at[e.depth:], d.quote()) + " = " + v + "\n"
		return src[:e.end] + line + src[e.end:], nil
	}
	if i := d.table(table); i >= -1 {
		where, indent := d.endOfTable(i)
		return src[:where] + indent + key + " = " + v + "\n" + src[where:], nil
	}
	return d.addTable(table, key+" = "+v)
}

// entry is a table header or a key with its value.
type entry struct {
	at         []string // whole path
	table      bool     // a header [..] or [[..]]
	list       bool     // [[..]]
	inList     bool     // below a [[..]], and so one of several
	depth      int      // of a key: parts of at that the header gives
	start, end int      // its lines
	from, to   int      // of the value, or of the text between the brackets of a header
	indent     string
}

// tomlDoc is a scanned text.
type tomlDoc struct {
	src     string
	entries []entry
}

// quote is the quote that headers use where one is needed.
func (d *tomlDoc) quote() byte {
	for _, e := range d.entries {
		if e.table && strings.IndexByte(d.src[e.from:e.to], '\'') >= 0 {
			return '\''
		}
	}
	return '"'
}

// table returns the index of the header of a table, -1 for the root, and -2 when there is none.
func (d *tomlDoc) table(at []string) int {
	if len(at) == 0 {
		return -1
	}
	i := slices.IndexFunc(d.entries, func(e entry) bool { return e.table && !e.list && !e.inList && slices.Equal(e.at, at) })
	if i < 0 {
		return -2
	}
	return i
}

// dotted returns the last dotted key (a.b = 1) that makes a table without a header; TOML does not allow one then.
func (d *tomlDoc) dotted(table []string) (entry, bool) {
	for _, e := range slices.Backward(d.entries) {
		if !e.table && !e.inList && e.depth < len(table) && len(e.at) > len(table) && common(e.at, table) == len(table) {
			return e, true
		}
	}
	return entry{}, false
}

// endOfTable is where a new key of a table goes, and how it is indented: behind its last key, else behind its header.
func (d *tomlDoc) endOfTable(header int) (where int, indent string) {
	if header >= 0 {
		h := d.entries[header]
		where, indent = h.end, h.indent
		if indent != "" {
			indent += "  "
		}
	}
	for _, e := range d.entries[header+1:] {
		if e.table {
			break
		}
		where, indent = e.end, e.indent
	}
	return where, indent
}

func (d *tomlDoc) replace(e entry, value any, v string) (string, error) {
	have := d.src[e.from:e.to]
	if canonTOML(have) == canonTOML(v) {
		return d.src, nil
	}
	if _, isText := value.(string); isText && have[0] == '\'' && !strings.HasPrefix(have, "'''") {
		v, _ = encodeTOML(value, '\'')
	}
	return d.src[:e.from] + v + d.src[e.to:], nil
}

// addTable adds a header, if it is not there, with at most one line below it.
func (d *tomlDoc) addTable(at []string, line string) (string, error) {
	if d.table(at) >= -1 {
		return d.src, nil
	}
	where, indent, near := len(d.src), "", 0
	for i, e := range d.entries {
		if !e.table {
			continue
		}
		n := common(e.at, at)
		if e.list && n == len(e.at) {
			return "", fmt.Errorf("[[%s]] is a list of tables, which has no single place for it", joinTOML(e.at, '"'))
		}
		if n < near || n == 0 {
			continue
		}
		near = n
		where, _ = d.endOfTable(i)
		indent = e.indent
		if extra := len(at) - len(e.at); e.indent != "" || d.nested(e) {
			indent = strings.Repeat("  ", max(0, len(e.indent)/2+extra))
		}
	}
	header := indent + "[" + joinTOML(at, d.quote()) + "]\n"
	if where > 0 && !strings.HasSuffix(d.src[:where], "\n\n") {
		header = "\n" + header
	}
	if line != "" {
		header += indent
		if indent != "" {
			header += "  "
		}
		header += line + "\n"
	}
	return d.src[:where] + header + d.src[where:], nil
}

// nested tells whether tables below e are indented, as containerd writes them.
func (d *tomlDoc) nested(e entry) bool {
	return slices.ContainsFunc(d.entries, func(o entry) bool {
		return o.table && len(o.at) > len(e.at) && common(o.at, e.at) == len(e.at) && o.indent > e.indent
	})
}

func common(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// remove takes out a key, or a table with all below it.
func (d *tomlDoc) remove(at []string) string {
	out := d.src
	for _, e := range slices.Backward(d.entries) {
		if len(e.at) < len(at) || common(e.at, at) < len(at) {
			continue
		}
		before, after := out[:e.start], out[e.end:]
		if before == "" || strings.HasSuffix(before, "\n\n") {
			after = strings.TrimLeft(after, "\n")
		}
		out = before + after
	}
	return out
}
