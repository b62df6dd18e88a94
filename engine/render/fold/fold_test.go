package fold

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"k8s-mn01":                         "k8s-mn01",
		"k8s-mn03 k8s-mn01":                "k8s-mn[01,03]",
		"a2 a1 a1 a3":                      "a[1-3]",
		"n8 n9 n10 n11":                    "n[8-11]",
		"n08 n09 n10 n11 n100":             "n100 n[08-11]",
		"n9 n009 n10":                      "n[9-10] n009",
		"k8s-mn01 k8s-wn02 k8s-wn1":        "k8s-mn01 k8s-wn1 k8s-wn02",
		"10.0.0.11 10.0.0.12":              "10.0.0.[11-12]",
		"fd00::1 fd00::2":                  "fd00::[1-2]",
		"wn01.dc1.x wn02.dc1.x wn02.dc2.x": "wn[01-02].dc1.x wn02.dc2.x",
		"proxy bastion proxy":              "bastion proxy",
		"db db1":                           "db db1",
		"a1b1 a1b2 a2b1":                   "a1b[1-2] a2b1",
	} {
		if got := Hosts(strings.Fields(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	var many []string
	for i := range 32 {
		many = append(many, fmt.Sprintf("k8s-wn%02d", i+1))
	}
	if got := Hosts(many); got != "k8s-wn[01-32]" {
		t.Errorf("got %q", got)
	}
}

// expand reads a folded list back.
func expand(t *testing.T, text string) []string {
	var out []string
	for _, part := range strings.Fields(text) {
		before, rest, bracket := strings.Cut(part, "[")
		if !bracket {
			out = append(out, part)
			continue
		}
		set, after, _ := strings.Cut(rest, "]")
		for _, r := range strings.Split(set, ",") {
			first, last, isRange := strings.Cut(r, "-")
			if !isRange {
				last = first
			}
			a, err1 := strconv.Atoi(first)
			b, err2 := strconv.Atoi(last)
			if err1 != nil || err2 != nil || b < a {
				t.Fatalf("range %q in %q", r, text)
			}
			for n := a; n <= b; n++ {
				out = append(out, fmt.Sprintf("%s%0*d%s", before, len(first), n, after))
			}
		}
	}
	return out
}

func FuzzHostsCanBeReadBack(f *testing.F) {
	f.Add("n08 n09 n10 n100 n9 n007")
	f.Add("a1b2.x3 10.0.0.1 db 1 01 001 0")
	f.Add("n1234567890123 n1234567890124 n999999999 n1000000000")
	f.Fuzz(func(t *testing.T, in string) {
		names := strings.Fields(in)
		if strings.ContainsAny(in, "[],") || strings.ContainsFunc(in, func(r rune) bool { return r > 126 || r < 32 }) {
			t.Skip("no host name")
		}
		want := slices.Compact(slices.Sorted(slices.Values(names)))
		got := expand(t, Hosts(names))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%q became %q, read back as %q", want, Hosts(names), got)
		}
	})
}
