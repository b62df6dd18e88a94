package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Object is an object of a manifest.
type Object map[string]any

// Kind is the object's kind; "" where it does not say, here and below.
func (o Object) Kind() string { return o.text("kind") }

// APIVersion is group and version: apps/v1.
func (o Object) APIVersion() string { return o.text("apiVersion") }

// Name is its name.
func (o Object) Name() string { return o.meta("name") }

// Namespace is its namespace.
func (o Object) Namespace() string { return o.meta("namespace") }

func (o Object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

func (o Object) meta(key string) string {
	m, _ := o["metadata"].(map[string]any)
	s, _ := m[key].(string)
	return s
}

// Group is the API group: apps of apps/v1, "" of v1.
func (o Object) Group() string {
	group, _, ok := strings.Cut(o.APIVersion(), "/")
	if !ok {
		return ""
	}
	return group
}

// String names the object for people: DaemonSet kube-system/calico-node.
func (o Object) String() string {
	if o.Namespace() != "" {
		return o.Kind() + " " + o.Namespace() + "/" + o.Name()
	}
	return o.Kind() + " " + o.Name()
}

// ParseManifest reads a manifest of several documents; a List is taken apart, empty documents are left out.
func ParseManifest(text string) ([]Object, error) {
	var all []Object
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		v, err := value(&doc, 0)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		objects, err := asObjects(v)
		if err != nil {
			return nil, fmt.Errorf("document at line %d: %w", doc.Line, err)
		}
		all = append(all, objects...)
	}
}

func asObjects(v any) ([]Object, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("is not a map")
	}
	o := Object(m)
	items, isList := m["items"].([]any)
	if !isList || !strings.HasSuffix(o.Kind(), "List") {
		if o.Kind() == "" || o.APIVersion() == "" || o.Name() == "" && o.meta("generateName") == "" {
			return nil, errors.New("has no apiVersion, kind or metadata.name")
		}
		return []Object{o}, nil
	}
	var all []Object
	for _, item := range items {
		objects, err := asObjects(item)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// maxDepth ends the recursion of a manifest that refers to itself.
const maxDepth = 200

// value turns YAML into plain values as kubectl does: dates stay text, yes, no, on and off are booleans.
func value(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("is nested too deeply")
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return value(n.Content[0], depth+1)
	case yaml.AliasNode:
		return value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := value(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return mapping(n, depth)
	}
	return scalarValue(n)
}

func mapping(n *yaml.Node, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		v, err := value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			if below, ok := v.(map[string]any); ok {
				for k, x := range below {
					if _, given := m[k]; !given {
						m[k] = x
					}
				}
			}
			continue
		}
		m[key.Value] = v
	}
	return m, nil
}

func scalarValue(n *yaml.Node) (any, error) {
	if n.Style == 0 && n.Tag == "!!str" {
		switch n.Value {
		case "yes", "Yes", "YES", "on", "On", "ON":
			return true, nil
		case "no", "No", "NO", "off", "Off", "OFF":
			return false, nil
		}
	}
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strconv.ParseBool(strings.ToLower(n.Value))
	case "!!int":
		var i int64
		if err := n.Decode(&i); err == nil {
			return json.Number(strconv.FormatInt(i, 10)), nil
		}
		return json.Number(n.Value), nil
	case "!!float":
		var f float64
		err := n.Decode(&f)
		return f, err
	}
	return n.Value, nil
}

// ListJSON writes objects as one List for kubectl.
func ListJSON(objects []Object) (string, error) {
	if objects == nil {
		objects = []Object{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	return b.String(), err
}
