package conf

import (
	"fmt"
	"slices"
	"strings"
)

// setINI sets key or section.key. The last line of that key counts, as programs read it; the blanks around = are those
// the file uses.
func setINI(src string, at []string, value any) (string, error) {
	if len(at) > 2 {
		return "", fmt.Errorf(`an ini file has sections and keys; quote a section with dots: "a.b".key`)
	}
	section, key := "", at[len(at)-1]
	if len(at) == 2 {
		section = at[0]
	}
	if strings.TrimSpace(key) != key || key == "" || strings.ContainsAny(key, "=\n") || strings.ContainsAny(key[:1], "#;[") || strings.ContainsAny(section, "]\n") {
		return "", fmt.Errorf("%q in section %q cannot be written in an ini file", key, section)
	}
	f := readINI(src, section, key)
	if value == nil {
		for _, i := range slices.Backward(f.hits) {
			f.lines = slices.Delete(f.lines, i, i+1)
		}
		return strings.Join(f.lines, ""), nil
	}
	v, err := text(value)
	if err != nil {
		return "", err
	}
	switch {
	case len(f.hits) > 0:
		i := f.hits[len(f.hits)-1]
		if _, have, _ := strings.Cut(f.lines[i], "="); strings.TrimSpace(have) == v {
			return src, nil
		}
		head, have, _ := strings.Cut(f.lines[i], "=")
		blanks := have[:len(have)-len(strings.TrimLeft(have, " \t"))]
		f.lines[i] = head + "=" + blanks + v + "\n"
	case f.end >= 0:
		f.lines = slices.Insert(f.lines, f.end, key+f.equals+v+"\n")
	default:
		if len(f.lines) > 0 {
			f.lines = append(f.lines, "\n")
		}
		f.lines = append(f.lines, "["+section+"]\n", key+f.equals+v+"\n")
	}
	return strings.Join(f.lines, ""), nil
}

// iniFile is a file seen with one key in mind.
type iniFile struct {
	lines  []string
	hits   []int  // lines that set the key
	end    int    // where a new key of the section goes; -1 = there is no such section
	equals string // "=" or " = "
}

func readINI(src, section, key string) iniFile {
	f := iniFile{lines: strings.SplitAfter(lineEnd(src), "\n"), end: -1, equals: "="}
	f.lines = f.lines[:len(f.lines)-1]
	current := ""
	if section == "" {
		f.end = 0
	}
	for i, line := range f.lines {
		t := strings.TrimSpace(line)
		if t == "" || t[0] == '#' || t[0] == ';' {
			continue
		}
		if t[0] == '[' && strings.HasSuffix(t, "]") {
			current = t[1 : len(t)-1]
		}
		name, _, isKey := strings.Cut(t, "=")
		if isKey && (current == section || f.end < 0) { // the style of the section, else that of what is before it
			f.equals = "="
			if strings.HasSuffix(name, " ") {
				f.equals = " = "
			}
		}
		if current != section {
			continue
		}
		f.end = i + 1
		if isKey && strings.TrimSpace(name) == key {
			f.hits = append(f.hits, i)
		}
	}
	return f
}
