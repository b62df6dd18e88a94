package diag

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Source returns the text of a file that diagnostics speak of; nil when it is not known.
type Source func(file string) []byte

// Write shows diagnostics for people: place, severity and summary on one line, the source line with a caret, then notes
// and the way out. It returns the first error of w.
func Write(w io.Writer, ds []Diagnostic, source Source) error {
	files := lines{source: source, of: map[string][]string{}}
	for i, d := range ds {
		var b strings.Builder
		if i > 0 {
			b.WriteByte('\n')
		}
		if d.Pos.File != "" {
			b.WriteString(d.Pos.String() + ": ")
		}
		b.WriteString(d.Severity.String() + ": " + d.Summary)
		if d.Rule != "" {
			b.WriteString(" [" + d.Rule + "]")
		}
		b.WriteByte('\n')
		snippet(&b, d, files)
		for _, n := range d.Notes {
			fmt.Fprintf(&b, "  note: %s: %s\n", n.Pos, n.Text)
		}
		if d.Hint != "" {
			b.WriteString("  help: " + d.Hint + "\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

func snippet(b *strings.Builder, d Diagnostic, files lines) {
	if !d.Pos.Known() || d.Hidden {
		return
	}
	line, ok := files.line(d.Pos)
	if !ok {
		return
	}
	number := fmt.Sprint(d.Pos.Line)
	col := d.Pos.Col
	if col > utf8.RuneCountInString(line)+1 {
		col = 0
	}
	line, col = window([]rune(line), col)
	fmt.Fprintf(b, "  %s | %s\n", number, line)
	if col == 0 {
		return
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(line)[:col-1]))
	caret := max(1, d.Len)
	if rest := utf8.RuneCountInString(line) - col + 1; len(line) >= maxLine {
		caret = max(1, min(caret, rest))
	}
	fmt.Fprintf(b, "  %s | %s%s\n", strings.Repeat(" ", len(number)), pad, strings.Repeat("^", caret))
}

// maxLine is how much of a line is shown, in characters: one of a file on a single line would fill the terminal.
const maxLine = 200

// window is the part of a long line around a column, and that column in it.
func window(line []rune, col int) (string, int) {
	if len(line) <= maxLine {
		return string(line), col
	}
	from := min(max(0, col-maxLine/2), len(line)-maxLine)
	text := string(line[from : from+maxLine])
	if from+maxLine < len(line) {
		text += "…"
	}
	if from > 0 {
		text, col = "…"+text, col-from+1
	}
	return text, col
}

// lines are the lines of files, cut once for all diagnostics.
type lines struct {
	source Source
	of     map[string][]string
}

func (l lines) line(p Pos) (string, bool) {
	all, cut := l.of[p.File]
	if !cut && l.source != nil {
		all = strings.Split(string(l.source(p.File)), "\n")
		l.of[p.File] = all
	}
	if p.Line > len(all) {
		return "", false
	}
	return strings.TrimSuffix(all[p.Line-1], "\r"), true
}
