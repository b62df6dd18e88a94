// Package textdiff shows how a text changes, short enough for a terminal.
package textdiff

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// maxLines is how many lines of a diff are shown.
const maxLines = 60

// maxBytes is the size of a text beyond which no diff is computed.
const maxBytes = 1 << 20

// around is how many lines are shown before and after a change.
const around = 3

// Unified returns a unified diff of the texts before and after a change of what; "" when they are equal. Long diffs are
// cut, binary data and very long texts are only counted.
func Unified(what, before, after string) string {
	if before == after {
		return ""
	}
	if len(before) > maxBytes || len(after) > maxBytes || binary(before) || binary(after) {
		return fmt.Sprintf("%s: %d bytes -> %d bytes", what, len(before), len(after))
	}
	if whole(before) && whole(after) {
		if d, ok := oneEdit(what, before, after); ok {
			return d
		}
	}
	return Cut(udiff.Unified(what, what, before, after))
}

// whole tells whether the last line of a text ends.
func whole(s string) bool { return s == "" || strings.HasSuffix(s, "\n") }

// oneEdit is the diff of texts where lines were put in, or taken out, in one place: what is done to most files, and what
// needs no search. It does not look at lines that would not be shown: a file of thousands of lines is cheap, too.
func oneEdit(what, before, after string) (string, bool) {
	head := commonLines(before, after)
	tail := commonTail(before[head:], after[head:])
	out, in := before[head:len(before)-tail], after[head:len(after)-tail]
	if out != "" && in != "" {
		return "", false
	}
	above := lastLines(before[:head], around)
	below := firstLines(before[len(before)-tail:], around)
	first := 1 + strings.Count(before[:head], "\n") - strings.Count(above, "\n")
	shown := strings.Count(above, "\n") + strings.Count(below, "\n")
	const usual = 4 << 10
	var b strings.Builder
	b.Grow(2*len(what) + min(usual, len(above)+len(out)+len(in)+len(below)+2*maxLines))
	for _, s := range [...]string{"--- ", what, "\n+++ ", what, "\n@@ -", place(first, shown+strings.Count(out, "\n")), " +", place(first, shown+strings.Count(in, "\n")), " @@\n"} {
		b.WriteString(s)
	}
	left := maxLines - 3
	for _, part := range []struct{ sign, text string }{{" ", above}, {"-", out}, {"+", in}, {" ", below}} {
		left = signed(&b, part.sign, part.text, left)
	}
	if left < 0 {
		fmt.Fprintf(&b, "... %d more lines\n", -left)
	}
	return b.String(), true
}

// place is where a piece begins and how many lines it has, as diff(1) writes it.
func place(first, lines int) string {
	switch lines {
	case 0:
		return strconv.Itoa(first-1) + ",0"
	case 1:
		return strconv.Itoa(first)
	}
	return strconv.Itoa(first) + "," + strconv.Itoa(lines)
}

// signed writes lines as long as there is room for them. What it returns is the room that is left, or, below zero, how many
// lines were left out.
func signed(b *strings.Builder, sign, text string, room int) int {
	for text != "" && room > 0 {
		line, rest, _ := strings.Cut(text, "\n")
		b.WriteString(sign)
		b.WriteString(line)
		b.WriteByte('\n')
		text, room = rest, room-1
	}
	return room - strings.Count(text, "\n")
}

// commonLines is the size of the lines that two texts have in common at their beginning.
func commonLines(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return strings.LastIndexByte(a[:n], '\n') + 1
}

// commonTail is the size of the lines that two texts have in common at their end.
func commonTail(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	if n == len(a) || n == len(b) { // all of one: the other one has to have a line end there
		if rest := len(a) + len(b) - 2*n; rest == 0 || n < len(a) && a[len(a)-1-n] == '\n' || n < len(b) && b[len(b)-1-n] == '\n' {
			return n
		}
	}
	i := strings.IndexByte(a[len(a)-n:], '\n')
	if i < 0 {
		return 0
	}
	return n - i - 1
}

func firstLines(s string, n int) string {
	end := 0
	for range n {
		i := strings.IndexByte(s[end:], '\n')
		if i < 0 {
			return s
		}
		end += i + 1
	}
	return s[:end]
}

func lastLines(s string, n int) string {
	start := len(s)
	for range n {
		if start == 0 {
			break
		}
		start = strings.LastIndexByte(s[:start-1], '\n') + 1
	}
	return s[start:]
}

// Cut shortens a diff to what a person reads.
func Cut(diff string) string {
	lines := strings.SplitAfter(diff, "\n")
	if len(lines) <= maxLines {
		return diff
	}
	return strings.Join(lines[:maxLines], "") + fmt.Sprintf("... %d more lines\n", len(lines)-maxLines)
}

func binary(s string) bool { return strings.IndexByte(s, 0) >= 0 }
