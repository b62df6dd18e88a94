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
		snippet(&b, d, source)
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

func snippet(b *strings.Builder, d Diagnostic, source Source) {
	if source == nil || !d.Pos.Known() || d.Hidden {
		return
	}
	line, ok := lineOf(source(d.Pos.File), d.Pos.Line)
	if !ok {
		return
	}
	number := fmt.Sprint(d.Pos.Line)
	fmt.Fprintf(b, "  %s | %s\n", number, line)
	if d.Pos.Col == 0 || d.Pos.Col > utf8.RuneCountInString(line)+1 {
		return
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(line)[:d.Pos.Col-1]))
	fmt.Fprintf(b, "  %s | %s%s\n", strings.Repeat(" ", len(number)), pad, strings.Repeat("^", max(1, d.Len)))
}

func lineOf(text []byte, n int) (string, bool) {
	lines := strings.Split(string(text), "\n")
	if n < 1 || n > len(lines) {
		return "", false
	}
	return strings.TrimSuffix(lines[n-1], "\r"), true
}
