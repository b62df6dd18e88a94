package pkgmgr

import "strings"

// Matches tells whether a version that a package manager names is the one a playbook means. 1.29.6 means 1.29.6-1.1,
// 1.29.6-150500.1.1 and 1.29.6 itself, not 1.29.60 and not 1.29.6.1; 18.06.1 means 18.06.1.ce-3.el7; 1.29.* means any
// 1.29 version. An epoch (5:24.0.7-1) counts only if it is asked for. "" means any.
func Matches(have, want string) bool {
	want = strings.TrimPrefix(want, "v")
	if want == "" || have == want {
		return true
	}
	if !strings.Contains(want, ":") {
		have = have[strings.IndexByte(have, ':')+1:]
	}
	if prefix, open := strings.CutSuffix(want, "*"); open {
		return strings.HasPrefix(have, prefix)
	}
	rest, ok := strings.CutPrefix(have, want)
	if !ok || rest == "" {
		return ok
	}
	return strings.IndexByte("-+~", rest[0]) >= 0 || (rest[0] == '.' && len(rest) > 1 && !digit(rest[1]))
}

// Compare orders two versions as dpkg and rpm do: -1, 0 or 1. Epochs come first, a ~ is older than nothing.
func Compare(a, b string) int {
	ea, va := epoch(a)
	eb, vb := epoch(b)
	if c := compareDigits(ea, eb); c != 0 {
		return c
	}
	for va != "" || vb != "" {
		if c := compareText(&va, &vb); c != 0 {
			return c
		}
		if c := compareDigits(leading(&va), leading(&vb)); c != 0 {
			return c
		}
	}
	return 0
}

// Older tells whether the version that is wanted is older than the one that is there. Only as much of have is compared as
// want says something about.
func Older(want, have string) bool {
	want = strings.TrimSuffix(strings.TrimPrefix(want, "v"), "*")
	if want == "" || Matches(have, want) {
		return false
	}
	if !strings.Contains(want, ":") {
		_, have = epoch(have)
	}
	return Compare(strings.TrimSuffix(want, "."), have) < 0
}

func epoch(v string) (epoch, rest string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		return e, rest
	}
	return "0", v
}

// compareText compares the parts before the next digits, and cuts them off.
func compareText(a, b *string) int {
	for i := 0; ; i++ {
		x, y := order(*a, i), order(*b, i)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		case x == 0:
			*a, *b = (*a)[i:], (*b)[i:]
			return 0
		}
	}
}

// order is the weight of byte i: ~ before the end (or a digit), that before letters, these before all else.
func order(s string, i int) int {
	if i >= len(s) || digit(s[i]) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		return int(c)
	default:
		return int(c) + 256
	}
}

// leading cuts the digits at the start off and returns them.
func leading(s *string) string {
	i := 0
	for i < len(*s) && digit((*s)[i]) {
		i++
	}
	d := (*s)[:i]
	*s = (*s)[i:]
	return d
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
