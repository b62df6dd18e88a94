package syntax

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/kflow/kflow/engine/diag"
)

// TestLocate finds the word X, which stands once in each text, through every style of scalar.
func TestLocate(t *testing.T) {
	for _, text := range []string{
		"a: one X two",
		"ä: ö ü X",
		"a: &anchor  one X",
		"a: !!str one X",
		"a: 'it''s it''s X'",
		`a: "\t\x41\u00e4\U0001F600 \"X"`,
		"a: plain\n  over lines,\n\n  and X too",
		"a: 'single\n\n\n  over   \n  lines X'",
		"a: \"double\n  over \\\n  lines \\\n   \\  X\"",
		"a: |\n  one\n  two X\n",
		"a: |\n\n\n    one\n\n      two\n    X\n",
		"a: |2\n    one\n  X\n",
		"a: |-\n  ${{ if x }}\n  ä X\n  ${{ end }}\n",
		"a: >\n  folded\n  over X\n  lines\n",
		"a: >\n  folded\n\n  over\n    kept\n    kept X\n  lines\n",
		"a: &x |\n  b X",
		"a: [1, \"é X\"]",
		"a: {b: é X}",
		"a:\r\n  'b\r\n   X'\r\n",
		"- - - X",
		"a: |\r\n  b\r\n  X\r\n",
	} {
		f, l := Parse("f", []byte(text))
		if l.Len() > 0 {
			t.Errorf("%q: %v", text, l.Sorted())
			continue
		}
		n := f.Root
		for n.Kind != Scalar {
			if n.Kind == Mapping {
				n = n.Entries[len(n.Entries)-1].Value
			} else {
				n = n.Items[len(n.Items)-1]
			}
		}
		want := f.At(strings.Index(text, "X"))
		if got := n.Locate(strings.Index(n.Text, "X")); got != want {
			t.Errorf("%q: X is at %v, got %v", text, want, got)
		}
		if got, want := n.Pos(), n.Locate(0); got != want && !strings.HasPrefix(n.Text, "\n") {
			t.Errorf("%q: begins at %v, its first letter is at %v", text, got, want)
		}
	}
}

func TestCutByComment(t *testing.T) {
	for text, want := range map[string]bool{
		"when: a # b": true, "when: a": false, "when: a#b": false, "when: 'a' # b": false, "when: a\n  b # c\n": true, "when: a\n# c\n": false,
	} {
		f, _ := Parse("f", []byte(text))
		pos, got := f.Root.Get("when").CutByComment()
		if got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		if line := f.Line(pos.Line); got && []rune(line)[pos.Col-1] != '#' {
			t.Errorf("%q: at %v", text, pos)
		}
	}
}

// TestBombs: aliases that double at each level are refused by counting.
func TestBombs(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < 40; i++ {
		prev := "a" + string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		if i == 1 {
			prev = "a0"
		}
		name := "a" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		b.WriteString(name + ": &" + name + " [*" + prev + ", *" + prev + "]\n")
	}
	_, l := Parse("bomb", []byte(b.String()))
	if l.Len() != 1 || !strings.Contains(l.Sorted()[0].Summary, "aliases make more than") {
		t.Errorf("%v", l.Sorted())
	}
	_, l = Parse("deep", []byte(strings.Repeat("[", 5000)+strings.Repeat("]", 5000)))
	if l.Len() != 1 || !strings.Contains(l.Sorted()[0].Summary, "nested deeper") {
		t.Errorf("%v", l.Sorted())
	}
	_, l = Parse("big", make([]byte, MaxBytes+1))
	if l.Len() != 1 {
		t.Errorf("%v", l.Sorted())
	}
}

// FuzzParse: no panic, every diagnostic has a place, and every letter of a scalar is found where it is written.
func FuzzParse(f *testing.F) {
	f.Add("a: 1\nb: [x, {c: \"d\"}]\n- |\n  x")
	f.Add("a: !x\nb: &a {c: *a}")
	f.Add("a: {b: ${{ x['é'] }}, c: [x${{ y }}, ${{ 1 ? \"a\" : 'b' }}]}")
	f.Fuzz(func(t *testing.T, text string) {
		file, l := Parse("f", []byte(text))
		for _, d := range l.Sorted() {
			if !d.Pos.Known() && len(text) < MaxBytes {
				t.Errorf("no place: %v", d)
			}
		}
		mended := !slices.ContainsFunc(l.Sorted(), func(d diag.Diagnostic) bool {
			return d.Summary != "an expression inside { } or [ ] must be quoted"
		})
		if file.Root != nil && mended {
			walk(t, file.Root, 0)
		}
	})
}

func walk(t *testing.T, n *Node, depth int) {
	if depth > 50 {
		return
	}
	for _, e := range n.Entries {
		walk(t, e.Key, depth+1)
		walk(t, e.Value, depth+1)
	}
	for _, i := range n.Items {
		walk(t, i, depth+1)
	}
	n.CutByComment()
	n.Width()
	for at, r := range n.Text {
		p := n.Locate(at)
		if !p.Known() {
			t.Fatalf("%q has no place", n.Text)
		}
		if n.Style == DoubleQuoted || unicode.IsSpace(r) || !strings.ContainsRune(string(n.File.Text), r) {
			continue
		}
		if got, _ := utf8.DecodeRune(n.File.Text[n.File.offset(p.Line, p.Col):]); got != r {
			t.Fatalf("%q at %d is %q, at %v stands %q", n.Text, at, r, p, got)
		}
	}
}
