package expr

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

func formatFunctions() []*function {
	return []*function{
		row("to_json(x: any, indent?: int): text", "As JSON, on one line, or indented by so many spaces.", runToJSON),
		row("from_json(text: text): any", "The value of a JSON text.", text1(runFromJSON)),
		row("to_yaml(x: any): text", "As YAML in block style, keys sorted, without the last end of line.", runToYAML),
		row("b64(text: text): text", "In base64.", text1(func(s string) (any, error) {
			return base64.StdEncoding.EncodeToString([]byte(s)), nil
		})),
		row("b64decode(text: text): text", "What a text in base64 stands for.", text1(func(s string) (any, error) {
			b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
			if err != nil {
				return nil, errors.New("the text is not in base64")
			}
			return string(b), nil
		})),
		row("sha256(text: text): text", "SHA-256, in hexadecimal digits.", text1(func(s string) (any, error) {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:]), nil
		})),
	}
}

// plain is v, if it is not too large to be written.
func plain(v any) (any, error) {
	n := normalizer{left: maxValues / 8}
	return n.value(v)
}

func runToJSON(a args) (any, error) {
	v, err1 := plain(a[0])
	n, err2 := a.int(1, 0)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	w := &limited{left: maxString}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if n > 0 {
		e.SetIndent("", strings.Repeat(" ", min(n, 16)))
	}
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return strings.TrimSuffix(w.String(), "\n"), nil
}

// limited refuses to grow beyond a size.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooLarge
	}
	return l.Buffer.Write(p)
}

func runFromJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the text is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the text is no JSON: something follows its end")
	}
	return withNumbers(v)
}

// withNumbers makes whole numbers int, and others float64.
func withNumbers(v any) (any, error) {
	var errs error
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return int(n), nil
		}
		return x.Float64()
	case []any:
		for i := range x {
			y, err := withNumbers(x[i])
			x[i], errs = y, errors.Join(errs, err)
		}
	case map[string]any:
		for k := range x {
			y, err := withNumbers(x[k])
			x[k], errs = y, errors.Join(errs, err)
		}
	}
	return v, errs
}

func runToYAML(a args) (any, error) {
	v, err := plain(a[0])
	if err != nil {
		return nil, err
	}
	w := &limited{left: maxString}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(v), e.Close()); err != nil {
		return nil, errTooLarge // a plain value has no other way to fail
	}
	return strings.TrimSuffix(w.String(), "\n"), nil
}
