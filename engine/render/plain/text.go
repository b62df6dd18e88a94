package plain

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/event"
)

// wordWidth is the width of the column of status words; "unreachable" sticks out.
const wordWidth = 9

// color is the code of a colour (ECMA-48, SGR); "" = none.
type color string

const (
	colorNone  color = ""
	colorGood  color = "32"
	colorWarn  color = "33"
	colorBad   color = "1;31"
	colorQuiet color = "2"
)

func colorOf(s event.Status) color {
	switch s {
	case event.OK:
		return colorGood
	case event.Changed:
		return colorWarn
	case event.Skipped, event.Blocked, event.Reused:
		return colorQuiet
	}
	return colorBad
}

func (r *Renderer) paint(c color, text string) string {
	if !r.o.Color || c == colorNone {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Text makes text from elsewhere safe to show: escape sequences and control characters are taken out, but for line ends and
// tabs (a diff may be about one).
func Text(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		for i, part := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(clean(part))
		}
		if strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// clean makes text from elsewhere safe to show on one line: escape sequences, control characters, marks that turn the
// direction of text, and what is no UTF-8 are taken out; of a line that was overwritten with carriage returns the last
// state is left.
func clean(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if !strings.ContainsFunc(s, unsafe) && utf8.ValidString(s) {
		return s
	}
	s = withoutEscapes(s)
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	return strings.Map(func(r rune) rune { // what is no UTF-8 becomes U+FFFD
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unsafe(r):
			return -1
		}
		return r
	}, s)
}

// unsafe tells whether r does something else than being seen (controls; Unicode's bidirectional formatting, its line ends).
func unsafe(r rune) bool {
	return unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029
}

// withoutEscapes takes out the escape sequences of ECMA-48.
func withoutEscapes(s string) string {
	var out strings.Builder
	for {
		text, rest, found := strings.Cut(s, "\x1b")
		out.WriteString(text)
		if !found {
			return out.String()
		}
		s = rest[escapeEnd(rest):]
	}
}

// escapeEnd is the length of an escape sequence without its ESC: CSI ([ … letter), the strings (OSC ], DCS P, SOS X, PM ^,
// APC _, up to BEL or ESC \), or intermediate characters and a final one. Where its end is missing it is all there is.
func escapeEnd(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case '[':
		return after(s, 1+strings.IndexFunc(s[1:], func(r rune) bool { return r >= '@' && r <= '~' }))
	case ']', 'P', 'X', '^', '_':
		end := strings.IndexAny(s, "\x07\x1b")
		if end >= 0 && strings.HasPrefix(s[end:], "\x1b\\") {
			return end + 2
		}
		return after(s, end)
	}
	_, size := utf8.DecodeRuneInString(s)
	if s[0] > '/' {
		return size
	}
	return after(s, strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '/' }))
}

// after is the index behind the end of a sequence at i, or the end of the text where the sequence has none.
func after(s string, i int) int {
	if i <= 0 {
		return len(s)
	}
	return i + 1
}

// duration is short and rounded: 0.8s, 34s, 4m12s, 1h02m.
func duration(d time.Duration) string {
	switch {
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 59500*time.Millisecond:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
