package plain

import (
	"fmt"
	"strings"
	"time"
	"unicode"

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

// clean makes text from elsewhere safe to show on one line: escape sequences, control characters and marks that turn
// the direction of text are taken out; of a line that was overwritten with carriage returns the last state is left.
func clean(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	s = withoutEscapes(s)
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unsafe(r):
			return -1
		}
		return r
	}, s)
}

// unsafe tells whether r does something else than being seen (controls; Unicode's bidirectional formatting).
func unsafe(r rune) bool {
	return unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069
}

// withoutEscapes takes out the escape sequences of ECMA-48: CSI (ESC [ … letter), OSC (ESC ] … BEL or ESC \) and the
// short ones (ESC and one character).
func withoutEscapes(s string) string {
	var out strings.Builder
	for {
		text, rest, found := strings.Cut(s, "\x1b")
		out.WriteString(text)
		if !found || rest == "" {
			return out.String()
		}
		end := 1
		switch rest[0] {
		case '[':
			end = after(rest, strings.IndexFunc(rest[1:], func(r rune) bool { return r >= '@' && r <= '~' })+1)
		case ']':
			end = after(rest, strings.IndexAny(rest, "\x07\x1b"))
		}
		s = rest[end:]
	}
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
