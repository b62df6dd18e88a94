package job

import (
	"strings"
	"testing"
)

func TestCutKeepsBothEnds(t *testing.T) {
	s := strings.Repeat("a", 100) + strings.Repeat("b", 100)
	got := Cut(s, 20)
	if !strings.HasPrefix(got, "aaaaaaaaaa\n") || !strings.HasSuffix(got, "\nbbbbbbbbbb") || !strings.Contains(got, "180 bytes cut") {
		t.Errorf("%q", got)
	}
	if Cut("abc", 3) != "abc" {
		t.Error("cut what fits")
	}
}

func TestCutShowsNoPartOfALine(t *testing.T) {
	for n := range 30 {
		got := Cut("one\npassword\ntwo\nthree\npassword\nfour\n", n)
		if rest := strings.ReplaceAll(got, "password", ""); strings.Contains(rest, "pass\n") || strings.Contains(rest, "\nword") {
			t.Errorf("%d: %q", n, got)
		}
	}
	if got := Cut("one\ntwo\nthree\nfour\nfive\n", 16); got != "one\ntwo\n... 12 bytes cut ...\nfive\n" {
		t.Errorf("%q", got)
	}
}
