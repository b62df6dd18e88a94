// Package textdiff shows how a text changes, short enough for a terminal.
package textdiff

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// maxLines is how many lines of a diff are shown.
const maxLines = 60

// maxBytes is the size of a text beyond which no diff is computed.
const maxBytes = 1 << 20

// Unified returns a unified diff of the texts before and after a change of what; "" when they are equal. Long diffs are
// cut, binary data and very long texts are only counted.
func Unified(what, before, after string) string {
	if before == after {
		return ""
	}
	if len(before) > maxBytes || len(after) > maxBytes || binary(before) || binary(after) {
		return fmt.Sprintf("%s: %d bytes -> %d bytes", what, len(before), len(after))
	}
	return Cut(udiff.Unified(what, what, before, after))
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
