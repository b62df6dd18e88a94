package shape

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Problem is one thing that is wrong with a value: the path to it (keys and list indices) and why.
type Problem struct {
	Path []any // string keys and int indices
	Text string
	Near []string // names that exist there, for "did you mean"
}

func (p Problem) Error() string {
	if len(p.Path) == 0 {
		return p.Text
	}
	return PathString(p.Path) + ": " + p.Text
}

// PathString writes a path as a.b[0].
func PathString(path []any) string {
	var b strings.Builder
	for _, e := range path {
		switch e := e.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", e)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, e)
		}
	}
	return b.String()
}

// Engine turns text into the value of an engine format (see IsEngineFormat).
type Engine func(format, text string) (any, error)

// Resolve converts a plain value (map[string]any, []any, string, int, float64, bool, nil) to the type: short forms are
// expanded, texts become numbers where numbers are wanted and the reverse, defaults are filled in, nulls are dropped,
// formats are checked. Values of engine formats that are still text go through engine. All problems are returned.
func Resolve(t *Type, v any, engine Engine) (any, []Problem) {
	r := resolver{engine: engine}
	return r.value(t, v, nil), r.problems
}

type resolver struct {
	engine   Engine
	problems []Problem
}

func (r *resolver) fail(path []any, format string, args ...any) any {
	r.problems = append(r.problems, Problem{Path: slices.Clone(path), Text: fmt.Sprintf(format, args...)})
	return nil
}

func (r *resolver) value(t *Type, v any, path []any) any {
	if v == nil && t.Kind != Object {
		return nil
	}
	switch t.Kind {
	case Object:
		return r.object(t, v, path)
	case Map:
		return r.mapping(t, v, path)
	case List:
		return r.list(t, v, path)
	case String:
		return r.text(t, v, path)
	case Any:
		return v
	}
	out, err := Scalar(t, v)
	if err != nil {
		return r.fail(path, "%v", err)
	}
	return out
}

func (r *resolver) object(t *Type, v any, path []any) any {
	in, ok := v.(map[string]any)
	if !ok {
		f, short := t.ShortField()
		if !short {
			return r.fail(path, "want a map with %s, not %s", strings.Join(t.Names(), ", "), describe(v))
		}
		in = map[string]any{f.Name: v}
	}
	out := make(map[string]any, len(t.Fields))
	for _, name := range sortedKeys(in) {
		f, known := t.Field(name)
		if !known {
			r.problems = append(r.problems, Problem{Path: append(slices.Clone(path), name), Text: "no such key", Near: t.Names()})
			continue
		}
		if in[name] == nil {
			continue
		}
		if x := r.value(f.Type, in[name], append(path, name)); x != nil {
			r.checkMin(f, x, append(path, name))
			out[name] = x
		}
	}
	r.fill(t, in, out, path)
	return out
}

func (r *resolver) checkMin(f Field, x any, path []any) {
	if f.Min == nil {
		return
	}
	switch x := x.(type) {
	case int:
		if x < *f.Min {
			r.fail(path, "must be at least %d", *f.Min)
		}
	case []any:
		if len(x) < *f.Min {
			r.fail(path, "needs at least %d entries", *f.Min)
		}
	}
}

// fill sets defaults and checks what must be there.
func (r *resolver) fill(t *Type, in, out map[string]any, path []any) {
	for _, f := range t.Fields {
		if _, given := in[f.Name]; given && in[f.Name] != nil {
			continue
		}
		if f.Default != nil {
			out[f.Name] = r.value(f.Type, *f.Default, append(path, f.Name))
		} else if f.Required {
			r.fail(path, "`%s` is missing: %s", f.Name, f.Doc)
		}
	}
	for _, p := range CheckArms(t, func(name string) bool { return in[name] != nil }) {
		r.fail(path, "%s", p)
	}
}

// CheckArms says what is wrong with the choice among the fields of each arm group.
func CheckArms(t *Type, given func(name string) bool) []string {
	var out []string
	done := map[string]bool{}
	for _, f := range t.Fields {
		if f.Arm == "" || done[f.Arm] {
			continue
		}
		done[f.Arm] = true
		var members, have []string
		for _, g := range t.Fields {
			if g.Arm != f.Arm {
				continue
			}
			members = append(members, g.Name)
			if given(g.Name) {
				have = append(have, g.Name)
			}
		}
		switch {
		case len(have) > 1:
			out = append(out, fmt.Sprintf("only one of %s may be given, not %s", strings.Join(members, ", "), strings.Join(have, " and ")))
		case len(have) == 0 && !f.ArmMay:
			out = append(out, "one of "+strings.Join(members, ", ")+" is needed")
		}
	}
	return out
}

func (r *resolver) mapping(t *Type, v any, path []any) any {
	in, ok := v.(map[string]any)
	if !ok {
		return r.fail(path, "want a map, not %s", describe(v))
	}
	out := make(map[string]any, len(in))
	for _, k := range sortedKeys(in) {
		if in[k] != nil || t.Elem.Kind == Any {
			out[k] = r.value(t.Elem, in[k], append(path, k))
		}
	}
	return out
}

func (r *resolver) list(t *Type, v any, path []any) any {
	in, ok := v.([]any)
	if !ok {
		if !t.OneOK {
			return r.fail(path, "want a list, not %s", describe(v))
		}
		in = []any{v}
	}
	out := make([]any, 0, len(in))
	for i, x := range in {
		if x != nil {
			out = append(out, r.value(t.Elem, x, append(path, i)))
		}
	}
	return out
}

func (r *resolver) text(t *Type, v any, path []any) any {
	if IsEngineFormat(t.Format) {
		s, ok := v.(string)
		if !ok {
			return v // the engine has made it already
		}
		x, err := r.engine(t.Format, s)
		if err != nil {
			return r.fail(path, "%v", err)
		}
		return x
	}
	s, err := Scalar(t, v)
	if err != nil {
		return r.fail(path, "%v", err)
	}
	return s
}

// Scalar converts a single value to a scalar type and checks its format.
func Scalar(t *Type, v any) (any, error) {
	switch t.Kind {
	case Int:
		return toInt(v)
	case Float:
		return toFloat(v)
	case Bool:
		return toBool(v)
	}
	s, ok := toText(v)
	if !ok {
		return nil, fmt.Errorf("want %s, not %s", t.Describe(), describe(v))
	}
	if len(t.Enum) > 0 && !slices.Contains(t.Enum, s) {
		return nil, fmt.Errorf("%q is not one of %s", s, strings.Join(t.Enum, ", "))
	}
	return s, CheckFormat(t.Format, s)
}

func toText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int:
		return strconv.Itoa(v), true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

func toInt(v any) (any, error) {
	switch v := v.(type) {
	case int:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v), nil
		}
	case string:
		if n, err := strconv.Atoi(v); err == nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("want a whole number, not %s", describe(v))
}

func toFloat(v any) (any, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	case string:
		if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, nil
		}
	}
	return nil, fmt.Errorf("want a number, not %s", describe(v))
}

func toBool(v any) (any, error) {
	switch v {
	case true, "true":
		return true, nil
	case false, "false":
		return false, nil
	}
	return nil, fmt.Errorf("want true or false, not %s", describe(v))
}

var (
	modeRE    = regexp.MustCompile(`^0?[0-7]{3,4}$`)
	versionRE = regexp.MustCompile(`^v?\d+(\.\d+)*([-+~.:][0-9A-Za-z.~+:-]+)?$`)
	sizeRE    = regexp.MustCompile(`^\d+([KMGT]i?)?B?$`)
)

// CheckFormat tells whether s is well formed; formats of the engine are not checked here.
func CheckFormat(format, s string) error {
	bad := func(want string) error { return fmt.Errorf("%q is not %s", s, want) }
	switch format {
	case "path":
		if !strings.HasPrefix(s, "/") {
			return bad("an absolute path")
		}
	case "mode":
		if !modeRE.MatchString(s) {
			return bad(`an octal file mode such as "0644"`)
		}
	case "duration":
		d, err := time.ParseDuration(s)
		if d < 0 {
			return errors.New("a duration can't be negative")
		}
		if err != nil {
			return bad(`a duration such as "30s", "5m" or "1h30m"`)
		}
	case "version":
		if !versionRE.MatchString(s) {
			return bad("a version such as 1.29.6")
		}
	case "ip":
		if _, err := netip.ParseAddr(s); err != nil {
			return bad("an IP address")
		}
	case "cidr":
		return checkCIDR(s)
	case "url":
		if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" {
			return bad("a URL with scheme and host")
		}
	case "size":
		if !sizeRE.MatchString(s) {
			return bad(`a size such as "500M" or "10Gi"`)
		}
	}
	return nil
}

func checkCIDR(s string) error {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not an address range such as 10.244.0.0/16", s)
	}
	if p.Masked() != p {
		return fmt.Errorf("%q has host bits set: the range is %s", s, p.Masked())
	}
	return nil
}

func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
