package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// setYAML sets a value. A single value that replaces a single value is put into its place, and nothing else of the text
// changes; otherwise the text is written anew: comments and order stay, blank lines and indents may not.
func setYAML(src string, at []string, value any) (string, error) {
	root, err := readYAML(src)
	if err != nil {
		return "", err
	}
	target, err := findYAML(root.Content[0], at)
	if err != nil {
		return "", err
	}
	if target == nil && value == nil || target != nil && value != nil && sameYAML(target, value) {
		return src, nil
	}
	if target != nil && value != nil {
		if out, ok := inPlace(src, target, at, value); ok {
			return out, nil
		}
	}
	if err := putYAML(root.Content[0], at, value); err != nil {
		return "", err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return "", err
	}
	return out.String(), enc.Close()
}

func readYAML(src string) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(src))
	var root, more yaml.Node
	err := dec.Decode(&root)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the file is no valid YAML: %w", err)
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		root = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode, Tag: "!!map"}}}
	}
	if dec.Decode(&more) == nil {
		return nil, fmt.Errorf("the file holds several documents; only files with one can be edited")
	}
	return &root, nil
}

func sameYAML(n *yaml.Node, value any) bool {
	var have any
	return n.Decode(&have) == nil && same(have, value)
}

// findYAML returns the node at a path, nil when there is none.
func findYAML(n *yaml.Node, at []string) (*yaml.Node, error) {
	for _, part := range at {
		switch n.Kind {
		case yaml.MappingNode:
			i := keyYAML(n, part)
			if i < 0 {
				return nil, nil
			}
			n = n.Content[i+1]
		case yaml.SequenceNode:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i > len(n.Content) {
				return nil, fmt.Errorf("%q is no index of a list of %d", part, len(n.Content))
			}
			if i == len(n.Content) {
				return nil, nil
			}
			n = n.Content[i]
		case yaml.AliasNode:
			return nil, fmt.Errorf("%q is below an alias; what it stands for may be used elsewhere too", part)
		default:
			if n.Tag == "!!null" {
				return nil, nil
			}
			return nil, fmt.Errorf("there is a single value above %q, not a map", part)
		}
	}
	return n, nil
}

func keyYAML(n *yaml.Node, key string) int {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// inPlace replaces the text of a single value. It is right only where reading the result shows that value, which it sees
// to by itself.
func inPlace(src string, n *yaml.Node, at []string, value any) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Line == 0 {
		return "", false
	}
	b, err := yaml.Marshal(value)
	if err != nil || bytes.Count(b, []byte("\n")) != 1 {
		return "", false
	}
	lines := strings.SplitAfter(src, "\n")
	line := lines[n.Line-1]
	for _, old := range []string{`"` + n.Value + `"`, "'" + n.Value + "'", n.Value} {
		if old != "" && n.Column-1 <= len(line) && strings.HasPrefix(line[n.Column-1:], old) {
			lines[n.Line-1] = line[:n.Column-1] + strings.TrimSpace(string(b)) + line[n.Column-1+len(old):]
			break
		}
	}
	out := strings.Join(lines, "")
	root, err := readYAML(out)
	if err != nil {
		return "", false
	}
	got, err := findYAML(root.Content[0], at)
	return out, err == nil && got != nil && sameYAML(got, value)
}

// putYAML sets or, with nil, removes the value at a path.
func putYAML(n *yaml.Node, at []string, value any) error {
	for ; len(at) > 1; at = at[1:] {
		next, err := findYAML(n, at[:1])
		if err != nil {
			return err
		}
		if next == nil || next.Tag == "!!null" {
			fresh := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			if err := attach(n, at[0], fresh); err != nil {
				return err
			}
			next = fresh
		}
		n = next
	}
	if value == nil {
		return detach(n, at[0])
	}
	fresh := &yaml.Node{}
	if err := fresh.Encode(value); err != nil {
		return err
	}
	return attach(n, at[0], fresh)
}

func attach(n *yaml.Node, key string, value *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		n.Style &^= yaml.FlowStyle
		if i := keyYAML(n, key); i >= 0 {
			value.LineComment = n.Content[i+1].LineComment
			n.Content[i+1] = value
			return nil
		}
		name := &yaml.Node{}
		name.SetString(key)
		n.Content = append(n.Content, name, value)
		return nil
	case yaml.SequenceNode:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i > len(n.Content) {
			return fmt.Errorf("%q is no index of a list of %d", key, len(n.Content))
		}
		if i == len(n.Content) {
			n.Content = append(n.Content, value)
		} else {
			n.Content[i] = value
		}
		return nil
	}
	return fmt.Errorf("there is a single value above %q, not a map", key)
}

func detach(n *yaml.Node, key string) error {
	if n.Kind != yaml.MappingNode {
		return errListRemoval(key)
	}
	if i := keyYAML(n, key); i >= 0 {
		n.Content = slices.Delete(n.Content, i, i+2)
	}
	return nil
}
