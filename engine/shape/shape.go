// Package shape describes the parameters, outputs and facts of kflow as one tree of types, read from Go structs. The
// same tree checks a playbook when it is read, types its expressions, converts values at run time, and is printed as
// JSON schema and as documentation; so none of these can differ from the code.
//
// # Tags
//
//	Path string `json:"path" kf:"required,format=path" doc:"where"`
//	Mode string `json:"mode,omitempty" kf:"format=mode" default:"0644" doc:"permissions"`
//
// json names the field. doc is one sentence of documentation. default is the value when the field is absent, as text.
// kf is a list of:
//
//	required    must be given and not null
//	short       a value that is no mapping stands for this field: `hostname: x` for `hostname: {name: x}`
//	arm=GROUP   exactly one of the fields of the group must be given
//	arm?=GROUP  at most one of the fields of the group may be given
//	lazy        obtained when a change is about to be applied; Changes must not look at it
//	secret      never shown
//	enum=a|b    one of these texts
//	format=F    F of the formats below
//	min=N       of a number, or the length of a list
//
// Formats of strings: path (absolute), mode (octal text), duration ("1m30s"), version, ip, cidr, url, size ("10Gi"),
// name, expr (an expression kept as text, for the kind to evaluate).
// Formats of the engine: condition (task.Condition: an expression the engine evaluates), content (task.Content from
// text), source (task.Content from a file of the controller, path relative to the playbook), template (task.Content from
// a template file), local (path on the controller, relative to the playbook, resolved to an absolute one).
//
// A type may name its own format with a method ShapeFormat() string. A pointer is an optional value; `any` is any value.
package shape

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Kind is the basic sort of a type.
type Kind uint8

// The basic sorts.
const (
	Any Kind = iota
	String
	Int
	Float
	Bool
	List
	Map    // any keys, values of Elem
	Object // Fields
)

func (k Kind) String() string {
	return [...]string{"any value", "text", "whole number", "number", "true or false", "list", "map", "map"}[k]
}

// Type describes a value.
type Type struct {
	Kind   Kind
	Format string   // "" = none
	Enum   []string // of String
	Elem   *Type    // of List and Map
	Fields []Field  // of Object, in order of declaration
	OneOK  bool     // of List: a single value stands for a list of one
	GoName string   // name of the Go type, for documentation
}

// Field is a member of an Object.
type Field struct {
	Name     string
	Type     *Type
	Doc      string
	Default  *string // text; nil = none
	Required bool
	Short    bool
	Arm      string // group; "" = none
	ArmMay   bool   // the group may be absent
	Lazy     bool
	Secret   bool
	Min      *int
}

// Field returns the member of that name.
func (t *Type) Field(name string) (Field, bool) {
	i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return t.Fields[i], true
}

// ShortField returns the member that a value which is no mapping stands for.
func (t *Type) ShortField() (Field, bool) {
	i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Short })
	if i < 0 {
		return Field{}, false
	}
	return t.Fields[i], true
}

// Names are the names of the members, in order.
func (t *Type) Names() []string {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return names
}

// Describe names the type for an error message: "whole number", "list of text", "one of a, b".
func (t *Type) Describe() string {
	switch {
	case len(t.Enum) > 0:
		return "one of " + strings.Join(t.Enum, ", ")
	case t.Kind == List:
		return "list of " + t.Elem.Describe()
	case t.Kind == Map:
		return "map of " + t.Elem.Describe()
	case t.Kind == String && t.Format != "":
		return t.Format
	}
	return t.Kind.String()
}

// Of reads the type of v, a struct or a pointer to one (or any other value). It panics on a Go type or tag that has no
// meaning here: that is a mistake of the programmer, seen at the first start.
func Of(v any) *Type {
	if v == nil {
		return &Type{}
	}
	return of(reflect.TypeOf(v), nil)
}

type formatter interface{ ShapeFormat() string }

func of(t reflect.Type, seen []reflect.Type) *Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if f, ok := reflect.Zero(t).Interface().(formatter); ok && t.Kind() != reflect.Interface {
		return ofFormat(f.ShapeFormat())
	}
	switch t.Kind() {
	case reflect.Interface:
		return &Type{Kind: Any}
	case reflect.String:
		return &Type{Kind: String}
	case reflect.Bool:
		return &Type{Kind: Bool}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return &Type{Kind: Int}
	case reflect.Float64:
		return &Type{Kind: Float}
	case reflect.Slice:
		return &Type{Kind: List, Elem: of(t.Elem(), seen)}
	case reflect.Map:
		return &Type{Kind: Map, Elem: of(t.Elem(), seen)}
	case reflect.Struct:
		if slices.Contains(seen, t) {
			return &Type{Kind: Any} // recursion ends in "any value"
		}
		return ofStruct(t, append(seen, t))
	}
	panic("shape: no meaning for Go type " + t.String())
}

func ofFormat(format string) *Type {
	if format == "strings" {
		return &Type{Kind: List, Elem: &Type{Kind: String}, OneOK: true}
	}
	return &Type{Kind: String, Format: format}
}

func ofStruct(t reflect.Type, seen []reflect.Type) *Type {
	out := &Type{Kind: Object, GoName: t.Name()}
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.IsExported() {
			continue
		}
		if sf.Anonymous && sf.Tag.Get("json") == "" {
			out.Fields = append(out.Fields, of(sf.Type, seen).Fields...)
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			panic(fmt.Sprintf("shape: field %s.%s has no json name", t, sf.Name))
		}
		out.Fields = append(out.Fields, field(t, sf, name, seen))
	}
	return out
}

func field(t reflect.Type, sf reflect.StructField, name string, seen []reflect.Type) Field {
	f := Field{Name: name, Doc: sf.Tag.Get("doc")}
	format := ""
	var enum []string
	for _, word := range strings.Split(sf.Tag.Get("kf"), ",") {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "":
		case "required":
			f.Required = true
		case "short":
			f.Short = true
		case "lazy":
			f.Lazy = true
		case "secret":
			f.Secret = true
		case "arm", "arm?":
			f.Arm, f.ArmMay = value, key == "arm?"
		case "format":
			format = value
		case "enum":
			enum = strings.Split(value, "|")
		case "min":
			n, err := strconv.Atoi(value)
			if err != nil {
				panic(fmt.Sprintf("shape: %s.%s: min=%s", t, sf.Name, value))
			}
			f.Min = &n
		default:
			panic(fmt.Sprintf("shape: %s.%s: unknown word %q in tag kf", t, sf.Name, word))
		}
	}
	f.Type = fieldType(sf, format, enum, seen)
	if d, ok := sf.Tag.Lookup("default"); ok {
		f.Default = &d
	}
	return f
}

func fieldType(sf reflect.StructField, format string, enum []string, seen []reflect.Type) *Type {
	if IsEngineFormat(format) {
		return &Type{Kind: String, Format: format}
	}
	ft := of(sf.Type, seen)
	leaf := ft
	for leaf.Elem != nil {
		leaf = leaf.Elem
	}
	if format != "" {
		leaf.Format = format
	}
	if enum != nil {
		leaf.Enum = enum
	}
	return ft
}

// IsEngineFormat tells whether the engine turns the text of a playbook into another value before the kind sees it.
func IsEngineFormat(format string) bool {
	switch format {
	case "condition", "content", "source", "template", "local":
		return true
	}
	return false
}
