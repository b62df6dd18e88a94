package conf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// tomlScanner walks through a text once and notes where headers, keys and values are.
type tomlScanner struct {
	src     string
	pos     int
	entries []entry
	table   []string
	lists   [][]string // paths of [[..]] seen
}

func scanTOML(src string) (*tomlDoc, error) {
	s := &tomlScanner{src: src, entries: make([]entry, 0, strings.Count(src, "\n"))}
	for s.pos < len(src) {
		start := s.pos
		s.blanks()
		indent := src[start:s.pos]
		var err error
		switch s.peek() {
		case '\n', '\r', '#', 0:
			s.line()
		case '[':
			err = s.header(start, indent)
		default:
			err = s.keyValue(start, indent)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", 1+strings.Count(src[:min(s.pos, len(src))], "\n"), err)
		}
	}
	return &tomlDoc{src, s.entries}, nil
}

func (s *tomlScanner) peek() byte {
	if s.pos >= len(s.src) {
		return 0
	}
	return s.src[s.pos]
}

func (s *tomlScanner) blanks() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// line goes to the beginning of the next line.
func (s *tomlScanner) line() {
	if i := strings.IndexByte(s.src[s.pos:], '\n'); i >= 0 {
		s.pos += i + 1
	} else {
		s.pos = len(s.src)
	}
}

// rest allows for nothing but a comment until the end of the line.
func (s *tomlScanner) rest() error {
	s.blanks()
	if c := s.peek(); c != '\n' && c != '\r' && c != '#' && c != 0 {
		return fmt.Errorf("unexpected %q", c)
	}
	s.line()
	return nil
}

func (s *tomlScanner) header(start int, indent string) error {
	s.pos++
	e := entry{table: true, list: s.peek() == '[', start: start, indent: indent}
	if e.list {
		s.pos++
	}
	e.from = s.pos
	var err error
	if e.at, err = s.key(); err != nil {
		return err
	}
	e.to = s.pos
	closing := "]"
	if e.list {
		closing = "]]"
	}
	if !strings.HasPrefix(s.src[s.pos:], closing) {
		return fmt.Errorf("want %s", closing)
	}
	s.pos += len(closing)
	err = s.rest()
	e.end = s.pos
	e.inList = s.below(e.at)
	if e.list {
		s.lists = append(s.lists, e.at)
		e.inList = true
	}
	s.table = e.at
	s.entries = append(s.entries, e)
	return err
}

func (s *tomlScanner) below(at []string) bool {
	return slices.ContainsFunc(s.lists, func(list []string) bool { return common(list, at) == len(list) })
}

func (s *tomlScanner) keyValue(start int, indent string) error {
	key, err := s.key()
	if err != nil {
		return err
	}
	if s.peek() != '=' {
		return fmt.Errorf("want = after a key")
	}
	s.pos++
	s.blanks()
	e := entry{at: slices.Concat(s.table, key), depth: len(s.table), start: start, indent: indent, from: s.pos}
	if err := s.value(); err != nil {
		return err
	}
	e.to = s.pos
	err = s.rest()
	e.end = s.pos
	e.inList = s.below(e.at)
	s.entries = append(s.entries, e)
	return err
}

// key reads a dotted key.
func (s *tomlScanner) key() ([]string, error) {
	const usual = 4
	at := make([]string, 0, usual)
	for {
		s.blanks()
		part, err := s.keyPart()
		if err != nil {
			return nil, err
		}
		at = append(at, part)
		s.blanks()
		if s.peek() != '.' {
			return at, nil
		}
		s.pos++
	}
}

func (s *tomlScanner) keyPart() (string, error) {
	start := s.pos
	if c := s.peek(); c == '"' || c == '\'' {
		if err := s.str(); err != nil {
			return "", err
		}
		return unquoteTOML(s.src[start:s.pos]), nil
	}
	for s.pos < len(s.src) && bareKey(s.src[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		return "", fmt.Errorf("want a key, not %q", s.peek())
	}
	return s.src[start:s.pos], nil
}

func bareKey(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// str skips a string, of one or several lines.
func (s *tomlScanner) str() error {
	q := s.src[s.pos]
	end := string(q)
	if strings.HasPrefix(s.src[s.pos:], strings.Repeat(end, 3)) {
		end = strings.Repeat(end, 3)
	}
	for s.pos += len(end); s.pos < len(s.src); s.pos++ {
		switch {
		case s.src[s.pos] == '\\' && q == '"':
			s.pos++
		case strings.HasPrefix(s.src[s.pos:], end):
			s.pos += len(end)
			for len(end) == 3 && s.peek() == q { // """" : quotes before the end belong to the text
				s.pos++
			}
			return nil
		case s.src[s.pos] == '\n' && len(end) == 1:
			return fmt.Errorf("a string is not closed")
		}
	}
	return fmt.Errorf("a string is not closed")
}

// value skips a value.
func (s *tomlScanner) value() error {
	switch c := s.peek(); c {
	case '"', '\'':
		return s.str()
	case '[', '{':
		return s.group(c + 2) // ] and } are two behind [ and { in ASCII
	}
	start := s.pos
	for s.pos < len(s.src) && !strings.ContainsRune(",]}#\n\r", rune(s.src[s.pos])) {
		s.pos++
	}
	s.pos = start + len(strings.TrimRight(s.src[start:s.pos], " \t"))
	if s.pos == start {
		return fmt.Errorf("want a value")
	}
	return nil
}

// group skips a list or an inline table; nested ones and their comments too.
func (s *tomlScanner) group(end byte) error {
	for s.pos++; s.pos < len(s.src); {
		switch c := s.src[s.pos]; c {
		case end:
			s.pos++
			return nil
		case '#':
			s.line()
		case '"', '\'', '[', '{':
			if err := s.value(); err != nil {
				return err
			}
		default:
			s.pos++
		}
	}
	return fmt.Errorf("want %q", end)
}

// unquoteTOML returns the text of a string of one line.
func unquoteTOML(s string) string {
	if s[0] == '\'' {
		return s[1 : len(s)-1]
	}
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s[1 : len(s)-1]
}

// quoteTOML writes a part of a key.
func quoteTOML(part string, quote byte) string {
	if part != "" && strings.IndexFunc(part, func(c rune) bool { return c > 127 || !bareKey(byte(c)) }) < 0 {
		return part
	}
	if quote == '\'' && fitsLiteral(part) {
		return "'" + part + "'"
	}
	return basicString(part)
}

// fitsLiteral tells whether a text can stand between single quotes, where nothing can be escaped.
func fitsLiteral(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r == '\'' || r < 0x20 || r == 0x7f })
}

func joinTOML(at []string, quote byte) string {
	parts := make([]string, len(at))
	for i, part := range at {
		parts[i] = quoteTOML(part, quote)
	}
	return strings.Join(parts, ".")
}

// basicString writes a string in double quotes with TOML's escapes.
func basicString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// encodeTOML writes a value on one line.
func encodeTOML(v any, quote byte) (string, error) {
	switch v := v.(type) {
	case string:
		if quote == '\'' && fitsLiteral(v) {
			return "'" + v + "'", nil
		}
		return basicString(v), nil
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			var err error
			if parts[i], err = encodeTOML(x, quote); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			x, err := encodeTOML(v[key], quote)
			if err != nil {
				return "", err
			}
			parts = append(parts, quoteTOML(key, '"')+" = "+x)
		}
		return "{" + strings.Join(parts, ", ") + "}", nil
	}
	return text(v)
}

// canonTOML brings a value into one form, so that two can be compared: strings in double quotes, no blanks, comments,
// line breaks or last commas.
func canonTOML(v string) string {
	s := &tomlScanner{src: v}
	var b strings.Builder
	for s.pos < len(v) {
		start := s.pos
		switch c := v[s.pos]; {
		case c == '#':
			s.line()
		case c == '"' || c == '\'':
			if s.str() != nil {
				return v
			}
			if word := v[start:s.pos]; strings.HasPrefix(word, `"""`) || strings.HasPrefix(word, "'''") {
				b.WriteString(word)
			} else {
				b.WriteString(basicString(unquoteTOML(word)))
			}
		case strings.IndexByte(" \t\r\n", c) >= 0:
			s.pos++
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
	return strings.ReplaceAll(b.String(), ",]", "]")
}
