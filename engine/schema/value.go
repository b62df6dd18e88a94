package schema

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/shape"
)

// expression matches a text with ${{ in it.
const expression = `\$\{\{`

// or adds ${{ }} to a pattern.
func or(pattern string) string { return "(" + pattern + ")|" + expression }

// value is the schema of a value as it may be written in a playbook.
func value(t *shape.Type) node {
	switch t.Kind {
	case shape.Object:
		return object(t)
	case shape.Map:
		return node{"type": types("object", "string"), "additionalProperties": nullable(value(elem(t))), "pattern": expression}
	case shape.List:
		return list(t)
	case shape.Int:
		return node{"type": types("integer", "string"), "pattern": or(`^[-+]?\d+$`)}
	case shape.Float:
		return node{"type": types("number", "string"), "pattern": or(`^[-+]?[\d.]+([eE][-+]?\d+)?$`)}
	case shape.Bool:
		return node{"type": types("boolean", "string"), "pattern": or("^(true|false)$")}
	case shape.String:
		return text(t)
	}
	return node{}
}

func elem(t *shape.Type) *shape.Type {
	if t.Elem == nil {
		return &shape.Type{}
	}
	return t.Elem
}

func types(names ...string) []string { return names }

// text is a scalar that kflow reads as text, whatever YAML makes of it.
func text(t *shape.Type) node {
	if len(t.Enum) > 0 {
		return node{"anyOf": []node{{"enum": enum(t.Enum)}, {"type": "string", "pattern": expression}}}
	}
	switch t.Format {
	case "":
		return node{"type": types("string", "number", "boolean")}
	case "condition", "expr":
		return node{"type": types("string", "boolean", "number")}
	case "path":
		return node{"type": "string", "pattern": or("^/")}
	case "mode":
		return node{"type": types("string", "integer"), "pattern": or("^0?[0-7]{3,4}$")}
	case "duration":
		return node{"type": "string", "pattern": or(`^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)`)}
	case "version":
		return node{"type": types("string", "number"), "pattern": or(`^v?\d+(\.\d+)*([-+~.:][0-9A-Za-z.~+:-]+)?$`)}
	case "ip":
		return node{"type": "string", "pattern": or(`^[0-9A-Fa-f.:]+(%.+)?$`)}
	case "cidr":
		return node{"type": "string", "pattern": or(`^[0-9A-Fa-f.:]+/\d{1,3}$`)}
	case "url":
		return node{"type": "string", "pattern": or(`^[A-Za-z][A-Za-z0-9+.-]*://.`)}
	case "size":
		return node{"type": types("string", "integer"), "pattern": or(`^\d+([KMGT]i?)?B?$`)}
	case "source", "template", "local", "name":
		return node{"type": types("string", "number")}
	}
	return node{"type": types("string", "number", "boolean")}
}

// enum are the values of an enumeration, as text and as what YAML makes of the text.
func enum(words []string) []any {
	var all []any
	for _, w := range words {
		all = append(all, w)
		if b, err := strconv.ParseBool(w); err == nil && (w == "true" || w == "false") {
			all = append(all, b)
		} else if f, err := strconv.ParseFloat(w, 64); err == nil {
			all = append(all, f)
		}
	}
	return all
}

// list is the schema of a list, or of a single ${{ }}; where one value stands for a list, also of that.
func list(t *shape.Type) node {
	item := value(elem(t))
	n := node{"type": types("array", "string"), "items": item, "pattern": or(`^[^\s,]+$`)} // one word stands for a list of one
	switch e := wordOf(elem(t)); {
	case e.Kind != shape.String:
		n["pattern"] = expression
	case e.Format == "condition" || e.Format == "expr":
		delete(n, "pattern")
	}
	if t.OneOK {
		return either(node{"type": "array", "items": item}, maps.Clone(item))
	}
	return n
}

// wordOf is what a word in the place of a list element is read as.
func wordOf(t *shape.Type) *shape.Type {
	if f, ok := t.ShortField(); ok && t.Kind == shape.Object {
		t = f.Type
	}
	if t.Kind == shape.List && t.OneOK {
		t = t.Elem
	}
	return t
}

// object is the schema of a map with known keys, or of a single ${{ }}; with a short form, also of that.
func object(t *shape.Type) node {
	properties, required := node{}, []string{}
	for _, f := range t.Fields {
		properties[f.Name] = field(f)
		if f.Required && f.Default == nil {
			required = append(required, f.Name)
		}
	}
	n := node{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		n["required"] = required
	}
	if rules := arms(t); len(rules) > 0 {
		n["if"], n["then"] = node{"type": "object"}, node{"allOf": rules}
	}
	if f, short := t.ShortField(); short {
		return either(n, value(f.Type))
	}
	n["type"], n["pattern"] = types("object", "string"), expression
	return n
}

// field is the schema of a member, with what documents it. Null stands for a member that is not given.
func field(f shape.Field) node {
	n := value(f.Type)
	if f.Min != nil {
		n[map[bool]string{true: "minItems", false: "minimum"}[f.Type.Kind == shape.List]] = *f.Min
	}
	if !f.Required {
		n = nullable(n)
	}
	if doc := describe(f); doc != "" {
		n["description"] = doc
	}
	if f.Default != nil {
		n["default"] = defaultOf(f)
	}
	return n
}

// describe is the documentation of a member in an editor.
func describe(f shape.Field) string {
	doc := f.Doc
	if f.Type.Format != "" {
		doc += " (" + f.Type.Format + ")"
	}
	if f.Lazy {
		doc += " Read only when a change is about to be applied."
	}
	if f.Secret {
		doc += " Secret: never shown."
	}
	return strings.TrimSpace(doc)
}

// defaultOf is a default as the type that is wanted; one that is no value of it stays text.
func defaultOf(f shape.Field) any {
	if v, err := shape.Scalar(f.Type, *f.Default); err == nil && f.Type.Kind != shape.Any {
		return v
	}
	return *f.Default
}

// arms are the rules of the groups of alternatives.
func arms(t *shape.Type) []node {
	var rules []node
	var done []string
	for _, f := range t.Fields {
		if f.Arm == "" || slices.Contains(done, f.Arm) {
			continue
		}
		done = append(done, f.Arm)
		var each []node
		for _, g := range t.Fields {
			if g.Arm == f.Arm {
				each = append(each, node{"required": []string{g.Name}})
			}
		}
		if f.ArmMay {
			each = append(each, node{"not": node{"anyOf": slices.Clone(each)}})
		}
		rules = append(rules, node{"oneOf": each})
	}
	return rules
}

// piece is a schema of what is laid on a value of the schema: keys may be missing, and null takes one away. The elements of
// a list are complete: they replace those that were there.
func piece(n node) node {
	out := maps.Clone(n)
	for _, key := range []string{"required", "if", "then"} {
		delete(out, key)
	}
	if properties, ok := n["properties"].(node); ok {
		inside := node{}
		for name, p := range properties {
			inside[name] = nullable(piece(p.(node)))
		}
		out["properties"] = inside
	}
	if more, ok := n["additionalProperties"].(node); ok {
		out["additionalProperties"] = nullable(piece(more))
	}
	if arms, ok := n["anyOf"].([]node); ok {
		var pieces []node
		for _, a := range arms {
			pieces = append(pieces, piece(a))
		}
		out["anyOf"] = pieces
	}
	return out
}

// nullable lets a value be null too.
func nullable(n node) node {
	switch t := n["type"].(type) {
	case string:
		n["type"] = types(t, "null")
	case []string:
		if !slices.Contains(t, "null") {
			n["type"] = append(slices.Clone(t), "null")
		}
	default:
		if arms, ok := n["anyOf"].([]node); ok && !slices.ContainsFunc(arms, func(a node) bool { return a["type"] == "null" }) {
			n["anyOf"] = append(slices.Clone(arms), node{"type": "null"})
		}
	}
	return n
}

// either is the schema of what is an a or a b: one schema where no keyword of the one could meet a value of the other.
func either(a, b node) node {
	at, aok := typeNames(a)
	bt, bok := typeNames(b)
	overlap := slices.ContainsFunc(at, func(t string) bool { return slices.Contains(bt, t) })
	if !aok || !bok || overlap || b["if"] != nil { // that of a, an object, asks for its type
		return node{"anyOf": []node{a, b}}
	}
	out := maps.Clone(a)
	for k, v := range b {
		if have, both := out[k]; both && k != "type" && !reflect.DeepEqual(have, v) {
			return node{"anyOf": []node{a, b}}
		}
		out[k] = v
	}
	out["type"] = append(slices.Clone(at), bt...)
	return out
}

// typeNames are the types of values a schema accepts; false where it does not simply list them.
func typeNames(n node) ([]string, bool) {
	for _, k := range []string{"anyOf", "enum", "$ref"} {
		if n[k] != nil {
			return nil, false
		}
	}
	switch t := n["type"].(type) {
	case string:
		return []string{t}, true
	case []string:
		return t, true
	}
	return nil, false
}
