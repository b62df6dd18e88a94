// Package conf sets single values in configuration files and leaves the rest of a file as it is: comments, order and,
// for TOML and INI, every other byte.
package conf

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// FormatOf guesses the format of a file by its name; "" when the name says nothing.
func FormatOf(name string) string {
	switch path.Ext(name) {
	case ".toml":
		return "toml"
	case ".json":
		return "json"
	case ".yaml", ".yml":
		return "yaml"
	case ".ini", ".repo", ".service", ".socket", ".timer", ".mount", ".target", ".network", ".netdev", ".link":
		return "ini"
	}
	return ""
}

// editor sets one value in the text of one format; value nil removes it.
type editor func(text string, at []string, value any) (string, error)

// Set sets the values at paths (see ParsePath), in the order of the paths, in a text of a format: toml, ini, json or yaml.
// A value that is a map sets each of its keys, whose names are taken as they are; nil removes.
func Set(format, text string, values map[string]any) (string, error) {
	edit := editorOf(format)
	if edit == nil {
		return "", fmt.Errorf("format %q is not toml, ini, json or yaml", format)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at, err := ParsePath(key)
		if err != nil {
			return "", err
		}
		if text, err = setAll(edit, text, at, whole(values[key])); err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
	}
	return text, nil
}

func editorOf(format string) editor {
	switch format {
	case "toml":
		return new(tomlEditor).set
	case "ini":
		return setINI
	case "json":
		return setJSON
	case "yaml":
		return setYAML
	}
	return nil
}

func setAll(edit editor, text string, at []string, value any) (string, error) {
	for _, part := range at {
		if strings.ContainsFunc(part, unicode.IsControl) {
			return "", fmt.Errorf("%q has a control character", part)
		}
	}
	m, ok := value.(map[string]any)
	if !ok || len(m) == 0 {
		return edit(text, at, value)
	}
	var err error
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if text, err = setAll(edit, text, append(slices.Clone(at), key), m[key]); err != nil {
			return "", err
		}
	}
	return text, nil
}

// whole makes whole numbers integers: JSON, by which parameters travel, knows only one kind of number.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v)
		}
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = whole(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, x := range v {
			out[key] = whole(x)
		}
		return out
	}
	return v
}

// ParsePath reads a path such as a.b, plugins."io.containerd.grpc.v1.cri".registry or spec.containers[0].image.
func ParsePath(s string) ([]string, error) {
	var at []string
	for rest := s; ; {
		var part string
		switch {
		case rest == "":
			return nil, fmt.Errorf("path %q ends in a dot, or is empty", s)
		case rest[0] == '"' || rest[0] == '\'':
			end := strings.IndexByte(rest[1:], rest[0])
			if end < 0 {
				return nil, fmt.Errorf("path %q: a quote is not closed", s)
			}
			part, rest = rest[1:end+1], rest[end+2:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, fmt.Errorf("path %q: ] is missing", s)
			}
			part, rest = rest[1:end], rest[end+1:]
		default:
			end := strings.IndexAny(rest, `.["'`)
			if end < 0 {
				end = len(rest)
			}
			if part, rest = rest[:end], rest[end:]; part == "" {
				return nil, fmt.Errorf("path %q has an empty part", s)
			}
		}
		at = append(at, part)
		switch {
		case rest == "":
			return at, nil
		case rest[0] == '.':
			rest = rest[1:]
		case rest[0] != '[':
			return nil, fmt.Errorf("path %q: want a dot before %s", s, rest)
		}
	}
}

// text writes a single value the way most formats do.
func text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("want a single value, not %T", v)
}

// same compares plain values; numbers are equal when they are written equally.
func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// errListRemoval: the next run would remove the element that has taken the place.
func errListRemoval(index string) error {
	return fmt.Errorf("element [%s] of a list cannot be removed by its place: set the whole list", index)
}

func lineEnd(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return text + "\n"
	}
	return text
}
