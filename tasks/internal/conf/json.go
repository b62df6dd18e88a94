package conf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object that keeps the order of its keys; arrays are []any, numbers json.Number.
type object struct{ members []member }

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o.members {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, x := range []any{m.key, m.value} {
			if j == 1 {
				b.WriteByte(':')
			}
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(x); err != nil {
				return nil, err
			}
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (o *object) find(key string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.key == key })
}

// setJSON sets a value and writes the text with an indent of two blanks, keys in their order. A text that has the value
// is not touched.
func setJSON(src string, at []string, value any) (string, error) {
	var root any = &object{}
	if strings.TrimSpace(src) != "" {
		dec := json.NewDecoder(strings.NewReader(src))
		dec.UseNumber()
		var err error
		if root, err = readJSON(dec); err != nil {
			return "", fmt.Errorf("the file is no valid JSON: %w", err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("the file holds more than one JSON value")
		}
	}
	changed := false
	root, err := putJSON(root, at, value, &changed)
	if err != nil || !changed {
		return src, err
	}
	var compact, out bytes.Buffer
	enc := json.NewEncoder(&compact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(root); err != nil {
		return "", err
	}
	err = json.Indent(&out, compact.Bytes(), "", "  ")
	return out.String(), err
}

func readJSON(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		o := &object{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := readJSON(dec)
			if err != nil {
				return nil, err
			}
			o.members = append(o.members, member{key.(string), v})
		}
		_, err = dec.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := readJSON(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return tok, nil
}

// putJSON returns node with the value at a path below it.
func putJSON(node any, at []string, value any, changed *bool) (any, error) {
	if len(at) == 0 {
		if !same(node, value) {
			*changed = true
			return value, nil
		}
		return node, nil
	}
	switch n := node.(type) {
	case nil:
		return putJSON(&object{}, at, value, changed)
	case *object:
		return n, n.put(at, value, changed)
	case []any:
		i, err := strconv.Atoi(at[0])
		if err != nil || i < 0 || i > len(n) {
			return nil, fmt.Errorf("%q is no index of a list of %d", at[0], len(n))
		}
		if value == nil && len(at) == 1 {
			return nil, errListRemoval(at[0])
		}
		if i == len(n) {
			n = append(n, nil)
		}
		n[i], err = putJSON(n[i], at[1:], value, changed)
		return n, err
	}
	return nil, fmt.Errorf("there is a single value above %q, not a map", at[0])
}

func (o *object) put(at []string, value any, changed *bool) error {
	i := o.find(at[0])
	if value == nil && len(at) == 1 {
		if i >= 0 {
			*changed = true
			o.members = slices.Delete(o.members, i, i+1)
		}
		return nil
	}
	if i < 0 {
		if value == nil {
			return nil
		}
		if len(at) == 1 {
			*changed = true
		}
		o.members = append(o.members, member{key: at[0]})
		i = len(o.members) - 1
	}
	v, err := putJSON(o.members[i].value, at[1:], value, changed)
	o.members[i].value = v
	return err
}
