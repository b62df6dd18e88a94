package expr

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

func versionFunctions() []*function {
	return []*function{
		row("version_compare(a: text, b: text): int", "-1, 0 or 1: a is before, the same as, or after b. Numbers are compared as "+
			"numbers; a leading v and what follows + do not count; missing parts are 0; 1.30.0-rc.1 is before 1.30.0, and 1.29.6-1.1, "+
			"a revision of a package, after 1.29.6.", text2(compareVersions)),
		row("version_at_least(version: text, least: text): bool", "Whether the version is least or after it.",
			text2(func(a, b string) (any, error) {
				c, err := compareVersions(a, b)
				return c == 0 || c == 1, err
			})),
		row("version_major(version: text): int", "First number of a version.", text1(func(s string) (any, error) { return versionPart(s, 0) })),
		row("version_minor(version: text): int", "Second number of a version: 29 of v1.29.6.", text1(func(s string) (any, error) { return versionPart(s, 1) })),
		row("version_patch(version: text): int", "Third number of a version.", text1(func(s string) (any, error) { return versionPart(s, 2) })),
	}
}

// version is a version taken apart.
type version struct {
	numbers []string // digits without leading zeros
	side    int      // -1 before the release (alpha, beta, rc, ~), 1 a revision after it, 0 the release
	suffix  []string
}

var (
	versionRE = regexp.MustCompile(`^v?(\d+(?:\.\d+)*)(?:([-~])([0-9A-Za-z.~-]+))?(?:\+.*)?$`)
	beforeRE  = regexp.MustCompile(`^(?i:alpha|beta|rc|pre|dev|snapshot)`)
)

func parseVersion(s string) (version, error) {
	m := versionRE.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return version{}, fmt.Errorf("%q is no version such as 1.29.6", s)
	}
	v := version{numbers: strings.Split(m[1], ".")}
	for i, n := range v.numbers {
		v.numbers[i] = strings.TrimLeft(n, "0")
	}
	switch {
	case m[3] == "":
		return v, nil
	case m[2] == "~" || beforeRE.MatchString(m[3]):
		v.side = -1
	default:
		v.side = 1
	}
	v.suffix = strings.FieldsFunc(m[3], func(r rune) bool { return r == '.' || r == '-' })
	return v, nil
}

func compareVersions(a, b string) (any, error) {
	x, err1 := parseVersion(a)
	y, err2 := parseVersion(b)
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	for i := range max(len(x.numbers), len(y.numbers)) {
		if c := compareNumbers(at(x.numbers, i), at(y.numbers, i)); c != 0 {
			return c, nil
		}
	}
	if x.side != y.side {
		return cmp.Compare(x.side, y.side), nil
	}
	for i := range max(len(x.suffix), len(y.suffix)) {
		if c := compareWords(x.suffix, y.suffix, i); c != 0 {
			return c, nil
		}
	}
	return 0, nil
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// compareNumbers compares digits without leading zeros, of any length.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// compareWords compares one word of two suffixes: numbers by value and before other words, none before any.
func compareWords(x, y []string, i int) int {
	if i >= len(x) || i >= len(y) {
		return cmp.Compare(len(x), len(y))
	}
	n, err1 := strconv.Atoi(x[i])
	m, err2 := strconv.Atoi(y[i])
	switch {
	case err1 == nil && err2 == nil:
		return cmp.Compare(n, m)
	case err1 == nil:
		return -1
	case err2 == nil:
		return 1
	}
	return strings.Compare(x[i], y[i])
}

func versionPart(s string, i int) (any, error) {
	v, err := parseVersion(s)
	if err != nil {
		return nil, err
	}
	if at(v.numbers, i) == "" {
		return 0, nil
	}
	return strconv.Atoi(v.numbers[i])
}
