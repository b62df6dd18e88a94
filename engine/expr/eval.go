package expr

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/kflow/kflow/engine/diag"
)

// Error is an expression that could not be computed. Its message holds no value of an expression that reads a secret.
type Error struct {
	Pos  diag.Pos
	Text string // the expression
	Part string // the sub-expression that failed; "" when that is all or not known
	Why  string
	Err  error // Absent, among others
}

func (e *Error) Error() string {
	s := fmt.Sprintf("`%s`: %s", shorten(e.Text), e.Why)
	if e.Part != "" {
		s += fmt.Sprintf(" (in `%s`)", shorten(e.Part))
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// shorten keeps a long or many-lined text readable in a message.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= 120 {
		return s
	}
	return cut(s, span{0, 117}) + "..."
}

// Eval computes the value. It may be called from any number of goroutines. Errors: *Error.
//
// There is no way to stop it: expr's machine knows no context. What it may use is bounded instead, by the size of the
// source, of the syntax tree, of texts and of lists.
func (e *Expr) Eval(env Env) (any, error) {
	v, err := e.run(env)
	if err != nil {
		return nil, err
	}
	n := normalizer{left: maxValues}
	if v, err = n.value(v); err != nil {
		return nil, e.fail(e.whole, err)
	}
	if _, ok := v.(bool); e.bool && !ok {
		return nil, e.fail(e.whole, harmlessf("want true or false, this is %s", withArticle(sortOf(v))))
	}
	return v, nil
}

// run is Eval without a look at the result.
func (e *Expr) run(env Env) (any, error) {
	if e.program == nil {
		return nil, &Error{Pos: e.Pos(), Text: e.text, Why: "it was not checked"}
	}
	for _, root := range e.roots {
		if _, ok := env[root]; !ok {
			return nil, e.fail(e.whole, harmlessf("`%s` has no value here; this is a mistake in kflow", root))
		}
	}
	v, err := vm.Run(e.program, map[string]any(env))
	if err != nil {
		return nil, e.explain(err)
	}
	return v, nil
}

// EvalBool computes a condition.
func (e *Expr) EvalBool(env Env) (bool, error) {
	v, err := e.run(env)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, e.fail(e.whole, harmlessf("want true or false, this is %s", withArticle(sortOf(v))))
	}
	return b, nil
}

// EvalList computes a list.
func (e *Expr) EvalList(env Env) ([]any, error) {
	v, err := e.Eval(env)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, e.fail(e.whole, harmlessf("want a list, this is %s", withArticle(sortOf(v))))
	}
	return list, nil
}

func (e *Expr) fail(s span, why error) error {
	out := &Error{Pos: e.at(s.from), Text: e.text, Why: e.public(why), Err: why}
	if part := cut(e.source, s); !s.empty() && part != cut(e.source, e.whole) {
		out.Part = part
	}
	return out
}

// public is the message of an error, without what may be the value of a secret.
func (e *Expr) public(err error) string {
	var m harmless
	var a Absent
	if !e.secret || errors.As(err, &m) || errors.As(err, &a) || errors.Is(err, errTooLarge) {
		return err.Error()
	}
	return "it cannot be computed; why is not shown, because it reads a secret"
}

// explain says in our words what stopped expr's machine.
func (e *Expr) explain(err error) error {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return e.fail(e.whole, err)
	}
	if fe.Prev != nil && !isRuntime(fe.Prev) {
		return e.fail(span{fe.From, fe.To}, fe.Prev)
	}
	return e.fail(span{fe.From, fe.To}, errors.New(translate(fe.Message)))
}

func isRuntime(err error) bool {
	var r interface{ RuntimeError() }
	return errors.As(err, &r)
}

var conversionRE = regexp.MustCompile(`interface conversion: interface \{\} is (.+), not (.+)$`)

// translate replaces names of Go types.
func translate(message string) string {
	if m := conversionRE.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("want %s, this is %s", withArticle(goName(m[2])), withArticle(goName(m[1])))
	}
	switch {
	case strings.Contains(message, "integer divide by zero"):
		return "division by zero"
	case strings.Contains(message, "memory budget"):
		return errTooLarge.Error()
	}
	return strings.NewReplacer("map[string]interface {}", "map", "[]interface {}", "list", "interface {}", "value",
		"<nil>", "nil", "float64", "number", "string", "text", "invalid operation: ", "", "reflect: ", "").Replace(message)
}

func goName(t string) string {
	switch t {
	case "string":
		return "text"
	case "int":
		return "whole number"
	case "float64":
		return "number"
	case "bool":
		return "true or false"
	case "map[string]interface {}":
		return "map"
	case "[]interface {}":
		return "list"
	}
	return t
}

const maxValues = 1 << 20 // scalars, lists and maps in one result

// normalizer makes a value plain: the sorts that Env is made of, and no others.
type normalizer struct{ left int }

func (n *normalizer) value(v any) (any, error) {
	if n.left--; n.left < 0 {
		return nil, errTooLarge
	}
	switch x := v.(type) {
	case nil, bool, int, float64:
		return v, nil
	case string:
		if len(x) > maxString {
			return nil, errTooLarge
		}
		return v, nil
	case []any:
		return n.list(x)
	case map[string]any:
		return n.mapping(x)
	case Absent:
		return nil, x
	case placeValue:
		return v, nil
	}
	return n.other(reflect.ValueOf(v))
}

// list copies only when an entry changes: most values are plain, and shared by all hosts.
func (n *normalizer) list(x []any) (any, error) {
	out := x
	for i, v := range x {
		y, err := n.value(v)
		if err != nil {
			return nil, err
		}
		if isScalar(v) || samePlace(v, y) {
			continue
		}
		if len(out) > 0 && &out[0] == &x[0] {
			out = append([]any(nil), x...)
		}
		out[i] = y
	}
	return out, nil
}

func (n *normalizer) mapping(x map[string]any) (any, error) {
	out, copied := x, false
	for k, v := range x {
		y, err := n.value(v)
		if err != nil {
			return nil, err
		}
		if isScalar(v) || samePlace(v, y) {
			continue
		}
		if !copied {
			out, copied = make(map[string]any, len(x)), true
			for k, v := range x {
				out[k] = v
			}
		}
		out[k] = y
	}
	return out, nil
}

func isScalar(v any) bool {
	switch v.(type) {
	case nil, bool, int, float64, string:
		return true
	}
	return false
}

// samePlace tells whether a list or map came back as it was.
func samePlace(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Type() != y.Type() || x.Kind() != reflect.Slice && x.Kind() != reflect.Map {
		return false
	}
	return x.Pointer() == y.Pointer() && x.Len() == y.Len()
}

// other converts the sorts of Go that a caller or a function of expr may bring in.
func (n *normalizer) other(v reflect.Value) (any, error) {
	switch {
	case v.CanInt():
		return int(v.Int()), nil
	case v.CanUint():
		if v.Uint() > math.MaxInt64 {
			return float64(v.Uint()), nil
		}
		return int(v.Uint()), nil
	case v.CanFloat():
		return v.Float(), nil
	case v.Kind() == reflect.String:
		return n.value(v.String())
	case v.Kind() == reflect.Bool:
		return v.Bool(), nil
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = v.Index(i).Interface()
		}
		return n.value(out)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = it.Value().Interface()
		}
		return n.value(out)
	}
	return nil, harmlessf("a value of Go type %s is no value of an expression", v.Type())
}

// toText is a value inside of text.
func toText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case nil:
		return "", harmlessf("it is nil; `?? \"\"` behind it gives a default")
	}
	return "", harmlessf("%s cannot stand in text: join(), to_json() and to_yaml() make text", withArticle(sortOf(v)))
}
