package textdiff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aymanbagabas/go-udiff"
)

// text is lines, each ended.
func text(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func numbered(n int, word string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(word, i)
	}
	return out
}

// Lines that are put in or taken out in one place are shown as the library shows them.
func TestOneEditIsShownAsTheLibraryDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		have := numbered(random.IntN(12), "line ")
		at := random.IntN(len(have) + 1)
		more := slices.Insert(slices.Clone(have), at, numbered(1+random.IntN(5), "new ")...)
		for _, c := range [][2]string{{text(have), text(more)}, {text(more), text(have)}} {
			got, ok := oneEdit("/etc/x", c[0], c[1])
			if want := udiff.Unified("/etc/x", "/etc/x", c[0], c[1]); !ok || got != want {
				t.Fatalf("from\n%sto\n%s%t, says\n%swant\n%s", c[0], c[1], ok, got, want)
			}
		}
	}
}

// With lines that are equal, where a line was put in can be said in several ways. What is said must be right.
func TestOneEditIsRightAlsoWhereLinesAreEqual(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	some := func(n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = []string{"", "a", "aa", "b"}[random.IntN(4)]
		}
		return out
	}
	edits := 0
	for range 5000 {
		before, after := text(some(random.IntN(7))), text(some(random.IntN(7)))
		d, ok := oneEdit("x", before, after)
		if !ok || before == after {
			continue
		}
		edits++
		if got := patched(t, before, d); got != after {
			t.Fatalf("from %q with\n%scomes %q, want %q", before, d, got, after)
		}
	}
	if edits < 500 {
		t.Errorf("%d edits in one place", edits)
	}
}

// patched applies a diff of one piece.
func patched(t *testing.T, before, diff string) string {
	t.Helper()
	lines := strings.SplitAfter(diff, "\n")[2:]
	var first int
	if _, err := fmt.Sscanf(lines[0], "@@ -%d", &first); err != nil {
		t.Fatal(err, diff)
	}
	if strings.HasPrefix(lines[0], fmt.Sprintf("@@ -%d,0", first)) {
		first++
	}
	have := strings.SplitAfter(before, "\n")
	out := slices.Clone(have[:first-1])
	at := first - 1
	for _, line := range lines[1:] {
		if line == "" {
			continue
		}
		if line[0] != '+' {
			if have[at] != line[1:] {
				t.Fatalf("line %d of %q is not %q:\n%s", at+1, before, line[1:], diff)
			}
			at++
		}
		if line[0] != '-' {
			out = append(out, line[1:])
		}
	}
	return strings.Join(append(out, have[at:]...), "")
}

func TestALongEditIsCut(t *testing.T) {
	got := Unified("x", "first\nlast\n", text(slices.Concat([]string{"first"}, numbered(5000, "new "), []string{"last"})))
	want := Cut(udiff.Unified("x", "x", "first\nlast\n", text(slices.Concat([]string{"first"}, numbered(5000, "new "), []string{"last"}))))
	if lines := strings.Count(got, "\n"); lines != maxLines+1 {
		t.Errorf("%d lines:\n%s", lines, got)
	}
	if i := strings.LastIndex(want, "... "); !strings.HasPrefix(got, want[:i]) || !strings.HasSuffix(got, "... 4945 more lines\n") {
		t.Errorf("says\n%s\nwant\n%s", got, want)
	}
}

func TestTextsThatAreNotShown(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"a\n", "a\n", ""},
		{"a\x00", "b", "x: 2 bytes -> 1 bytes"},
		{"a", "a\n", "--- x\n+++ x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		{"a\nb\nc\n", "a\nx\nc\n", "--- x\n+++ x\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"},
	} {
		if got := Unified("x", c.before, c.after); got != c.want {
			t.Errorf("%q to %q: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}
