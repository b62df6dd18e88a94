package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/shape"
)

func anyType() *shape.Type    { return &shape.Type{} }
func stringType() *shape.Type { return &shape.Type{Kind: shape.String} }
func intType() *shape.Type    { return &shape.Type{Kind: shape.Int} }
func floatType() *shape.Type  { return &shape.Type{Kind: shape.Float} }
func boolType() *shape.Type   { return &shape.Type{Kind: shape.Bool} }
func nullType() *shape.Type   { return &shape.Type{GoName: typeNull} }

func listOf(t *shape.Type) *shape.Type { return &shape.Type{Kind: shape.List, Elem: t} }
func mapOf(t *shape.Type) *shape.Type  { return &shape.Type{Kind: shape.Map, Elem: t} }

// special is an object whose members the Scope knows.
func special(name string) *shape.Type { return &shape.Type{Kind: shape.Object, GoName: name} }

// literal is the type of a text written in the expression: it can be compared with an enum, and checked against a format.
func literal(s string) *shape.Type {
	return &shape.Type{Kind: shape.String, Enum: []string{s}, GoName: typeLiteral}
}

// widen forgets which literals a type was made of.
func widen(t *shape.Type) *shape.Type {
	switch {
	case t.GoName == typeLiteral:
		return stringType()
	case t.Kind == shape.List && t.Elem != nil:
		return listOf(widen(t.Elem))
	}
	return t
}

func orAny(t *shape.Type) *shape.Type {
	if t == nil {
		return anyType()
	}
	return t
}

// elemOf is the type of the entries of a list.
func elemOf(t *shape.Type) *shape.Type {
	if t == nil || t.Kind != shape.List {
		return anyType()
	}
	return orAny(t.Elem)
}

func isNull(t *shape.Type) bool   { return t.GoName == typeNull }
func isAny(t *shape.Type) bool    { return t.Kind == shape.Any && t.GoName != typeNull }
func isNumber(t *shape.Type) bool { return t.Kind == shape.Int || t.Kind == shape.Float }
func isMap(t *shape.Type) bool    { return t.Kind == shape.Map || t.Kind == shape.Object }

// is tells whether a value of type t may be of kind k.
func is(t *shape.Type, k shape.Kind) bool { return isAny(t) || t.Kind == k }

// describe names a type in a message: "text", "whole number", "list of hosts".
func describe(t *shape.Type) string {
	switch {
	case isNull(t):
		return "nil"
	case t.GoName == typeHost:
		return "host"
	case t.GoName == typePlace:
		return "place"
	case t.Kind == shape.List && t.Elem != nil && t.Elem.Kind != shape.Any:
		if d := describe(t.Elem); d == "text" {
			return "list of text"
		} else if !strings.HasPrefix(d, "list") {
			return "list of " + d + "s"
		}
		return "list of lists"
	case t.Kind == shape.String && t.Format != "" && !shape.IsEngineFormat(t.Format):
		return "text (" + t.Format + ")"
	}
	return t.Kind.String()
}

// join is the type of a value that is of type a or of type b.
func join(a, b *shape.Type) *shape.Type {
	switch {
	case a == b || isNull(b):
		return a
	case isNull(a):
		return b
	case a.GoName == typePlace || b.GoName == typePlace:
		return special(typePlace)
	case a.Kind == shape.List && b.Kind == shape.List:
		return listOf(join(orAny(a.Elem), orAny(b.Elem)))
	case a.Kind == shape.String && b.Kind == shape.String:
		return joinTexts(a, b)
	case isNumber(a) && isNumber(b) && a.Kind != b.Kind:
		return floatType()
	case isMap(a) && isMap(b) && (a.GoName == "" || a.GoName != b.GoName):
		return mapOf(anyType())
	case isMap(a) && isMap(b):
		return a
	case a.Kind == b.Kind:
		return &shape.Type{Kind: a.Kind}
	}
	return anyType()
}

func joinTexts(a, b *shape.Type) *shape.Type {
	switch {
	case a.GoName == typeLiteral && b.GoName == typeLiteral:
		t := literal("")
		t.Enum = append(slices.Clone(a.Enum), b.Enum...)
		return t
	case a.GoName == b.GoName && a.Format == b.Format && slices.Equal(a.Enum, b.Enum):
		return a
	}
	return stringType()
}

// comparableTypes tells whether values of two types can be equal; why says more where it can.
func comparableTypes(a, b *shape.Type) (ok bool, why string) {
	switch {
	case a.Kind == shape.Any || b.Kind == shape.Any:
		return true, ""
	case isNumber(a) && isNumber(b), isMap(a) && isMap(b), a.Kind == shape.List && b.Kind == shape.List:
		return true, ""
	case a.Kind != b.Kind:
		return false, ""
	}
	if a.GoName == typeLiteral {
		a, b = b, a
	}
	if b.GoName == typeLiteral && a.GoName != typeLiteral && len(a.Enum) > 0 {
		for _, v := range b.Enum {
			if !slices.Contains(a.Enum, v) {
				return false, fmt.Sprintf("this is never %q; it is one of %s", v, strings.Join(a.Enum, ", "))
			}
		}
	}
	return true, ""
}

// fits says why a value of type got cannot stand where want is wanted; "" when it can. What only a value can show (a
// format, a number written as text) is left to shape.Resolve.
func fits(want, got *shape.Type) string {
	switch {
	case want.Kind == shape.Any || got.Kind == shape.Any:
		return ""
	case got.GoName == typePlace:
		return "a place stands alone, as the whole of `at`"
	}
	switch want.Kind {
	case shape.String:
		return fitsText(want, got)
	case shape.Float:
		return unless(isNumber(got), wrong(want, got))
	case shape.Map:
		return fitsMap(want, got)
	case shape.Object:
		return fitsObject(want, got)
	case shape.List:
		if got.Kind == shape.List {
			return fits(orAny(want.Elem), orAny(got.Elem))
		}
		if want.OneOK {
			return fits(orAny(want.Elem), got)
		}
	}
	return unless(want.Kind == got.Kind, wrong(want, got))
}

func wrong(want, got *shape.Type) string {
	return fmt.Sprintf("want %s, this is %s", withArticle(wanted(want)), withArticle(describe(got)))
}

func wanted(t *shape.Type) string {
	if t.Kind == shape.Object && t.GoName != "" && !strings.HasPrefix(t.GoName, "$") && len(t.Fields) > 0 {
		return "map with " + strings.Join(t.Names(), ", ")
	}
	return describe(t)
}

func withArticle(s string) string {
	for _, p := range []string{"whole number", "number", "list", "map", "host", "place"} {
		if strings.HasPrefix(s, p) {
			return "a " + s
		}
	}
	return s
}

func fitsText(want, got *shape.Type) string {
	if got.Kind == shape.List || isMap(got) {
		return wrong(want, got)
	}
	if got.GoName != typeLiteral {
		return ""
	}
	for _, v := range got.Enum {
		if len(want.Enum) > 0 && !slices.Contains(want.Enum, v) {
			return fmt.Sprintf("%q is not one of %s", v, strings.Join(want.Enum, ", "))
		}
		if err := shape.CheckFormat(want.Format, v); err != nil {
			return err.Error()
		}
	}
	return ""
}

func fitsMap(want, got *shape.Type) string {
	switch got.Kind {
	case shape.Map:
		return fits(orAny(want.Elem), orAny(got.Elem))
	case shape.Object:
		return ""
	}
	return wrong(want, got)
}

func fitsObject(want, got *shape.Type) string {
	if got.Kind == shape.Map {
		return ""
	}
	if got.Kind != shape.Object {
		if f, ok := want.ShortField(); ok {
			return fits(f.Type, got)
		}
		return wrong(want, got)
	}
	if strings.HasPrefix(got.GoName, "$") {
		return ""
	}
	for _, f := range got.Fields {
		w, ok := want.Field(f.Name)
		if !ok {
			return fmt.Sprintf("it has `%s`, which is not known here (%s)", f.Name, strings.Join(want.Names(), ", "))
		}
		if why := fits(w.Type, f.Type); why != "" {
			return "`" + f.Name + "`: " + why
		}
	}
	return ""
}
