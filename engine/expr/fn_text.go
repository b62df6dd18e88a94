package expr

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

func textFunctions() []*function {
	return []*function{
		row("string(x: any): text", "A number, or true or false, as text.", func(a args) (any, error) { return toText(a[0]) }),
		row("upper(text: text): text", "In upper case.", text1(func(s string) (any, error) { return strings.ToUpper(s), nil })),
		row("lower(text: text): text", "In lower case.", text1(func(s string) (any, error) { return strings.ToLower(s), nil })),
		row("trim(text: text, characters?: text): text", "Without white space, or the characters given, at both ends.", runTrim),
		row("trim_prefix(text: text, prefix: text): text", "Without the prefix, if it has it.",
			text2(func(s, p string) (any, error) { return strings.TrimPrefix(s, p), nil })),
		row("trim_suffix(text: text, suffix: text): text", "Without the suffix, if it has it.",
			text2(func(s, p string) (any, error) { return strings.TrimSuffix(s, p), nil })),
		row("split(text: text, separator: text): list of text", "The parts between separators.", text2(runSplit)),
		row("lines(text: text): list of text", "The lines, without their ends.", text1(runLines)),
		row("join(list: list, separator?: text): text", "The entries as one text.", runJoin),
		row("replace(text: text, old: text, new: text): text", "Each old replaced by new.", runReplace),
		row("regex_replace(text: text, pattern: text, new: text): text",
			"Each match of the regular expression (RE2) replaced; $1 is its first group.", runRegexReplace),
		row("indent(text: text, spaces: int): text", "Each line but the first and empty ones moved to the right.", runIndent),
	}
}

func numberFunctions() []*function {
	return []*function{
		row("int(x: any): int", "A text, or a number without fraction, as a whole number.", runInt),
		row("float(x: any): number", "A text, or a whole number, as a number.", runFloat),
		row("abs(x: number): the number", "Without its sign.", nil),
		row("ceil(x: number): number", "The next whole number above.", nil),
		row("floor(x: number): number", "The next whole number below.", nil),
		row("round(x: number): number", "The nearest whole number.", nil),
		row("min(list: list): an entry", "The smallest entry of texts or numbers.", func(a args) (any, error) { return extreme(a, -1) }),
		row("max(list: list): an entry", "The largest entry of texts or numbers.", func(a args) (any, error) { return extreme(a, 1) }),
	}
}

func runTrim(a args) (any, error) {
	s, err := a.text(0)
	if err != nil || len(a) == 1 {
		return strings.TrimSpace(s), err
	}
	chars, err := a.text(1)
	return strings.Trim(s, chars), err
}

func anyList(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}

func runSplit(s, separator string) (any, error) { return anyList(strings.Split(s, separator)), nil }

func runLines(s string) (any, error) {
	out := []any{}
	for l := range strings.Lines(s) {
		out = append(out, strings.TrimRight(l, "\r\n"))
	}
	return out, nil
}

func runJoin(a args) (any, error) {
	texts, err := a.texts(0)
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(a) > 1 {
		if separator, err = a.text(1); err != nil {
			return nil, err
		}
	}
	size := len(separator) * len(texts)
	for _, t := range texts {
		size += len(t)
	}
	if size > maxString {
		return nil, errTooLarge
	}
	return strings.Join(texts, separator), nil
}

func runReplace(a args) (any, error) {
	s, err1 := a.text(0)
	from, err2 := a.text(1)
	to, err3 := a.text(2)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if len(s)+strings.Count(s, from)*(len(to)-len(from)) > maxString {
		return nil, errTooLarge
	}
	return strings.ReplaceAll(s, from, to), nil
}

func runRegexReplace(a args) (any, error) {
	s, err1 := a.text(0)
	pattern, err2 := a.text(1)
	to, err3 := a.text(2)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	last := 0
	for _, m := range re.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(s[last:m[0]])
		b.Write(re.ExpandString(nil, to, s, m))
		if last = m[1]; b.Len() > maxString {
			return nil, errTooLarge
		}
	}
	b.WriteString(s[last:])
	return b.String(), nil
}

func runIndent(a args) (any, error) {
	s, err1 := a.text(0)
	n, err2 := a.int(1, 0)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if n < 0 || n > 1000 || len(s)+n*strings.Count(s, "\n") > maxString {
		return nil, fmt.Errorf("cannot indent by %d", n)
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if i > 0 && l != "" {
			lines[i] = strings.Repeat(" ", n) + l
		}
	}
	return strings.Join(lines, "\n"), nil
}

func runInt(a args) (any, error) {
	switch v := a[0].(type) {
	case int:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v), nil
		}
		return nil, fmt.Errorf("%v is no whole number: round(), floor() and ceil() make one", v)
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number", v)
		}
		return n, nil
	}
	return nil, a.wrong(0, "a number or text")
}

func runFloat(a args) (any, error) {
	if f, ok := toFloat(a[0]); ok {
		return f, nil
	}
	s, err := a.text(0)
	if err != nil {
		return nil, a.wrong(0, "a number or text")
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%q is no number", s)
	}
	return f, nil
}

// extreme is the entry that comes first (sign -1) or last (sign 1) in order.
func extreme(a args, sign int) (any, error) {
	list, err := a.list(0)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the list is empty")
	}
	best := list[0]
	for _, v := range list[1:] {
		c, err := compare(v, best)
		if err != nil {
			return nil, err
		}
		if c*sign > 0 {
			best = v
		}
	}
	return best, nil
}
