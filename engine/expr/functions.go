package expr

import (
	"fmt"
	"sync"
)

const lookupFile = "lookup_file"

// functions is the table of functions by name. It is made once and never modified.
var functions = sync.OnceValue(func() map[string]*function {
	out := map[string]*function{}
	for _, f := range allFunctions() {
		out[f.Name] = f
	}
	return out
})

// allFunctions are the functions in the order of the documentation. Those without run are expr's own.
func allFunctions() []*function {
	var out []*function
	for _, group := range []struct {
		name string
		list []*function
	}{
		{"lists", listFunctions()}, {"maps", mapFunctions()}, {"text", textFunctions()}, {"numbers", numberFunctions()},
		{"formats", formatFunctions()}, {"versions", versionFunctions()}, {"networks", networkFunctions()},
		{"files and places", placeFunctions()},
	} {
		for _, f := range group.list {
			f.Group = group.name
			f.signature()
			out = append(out, f)
		}
	}
	return out
}

// row is one function: its signature, what it does, and how; run is nil for functions of expr.
func row(signature, doc string, run func(a args) (any, error)) *function {
	f := &function{run: run}
	for i, r := range signature {
		if r == '(' {
			f.Name = signature[:i]
			break
		}
	}
	f.Signature, f.Doc = signature, doc
	return f
}

// call runs the function for expr.
func (f *function) call(values ...any) (any, error) {
	v, err := f.run(args(values))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return v, nil
}

// args are the arguments of a call. Check has compared their types with the signature as far as types are known; what a
// value of unknown type turns out to be is seen here.
type args []any

func (a args) text(i int) (string, error) {
	if i < len(a) {
		if s, ok := a[i].(string); ok {
			return s, nil
		}
	}
	return "", a.wrong(i, "text")
}

func (a args) int(i, otherwise int) (int, error) { //nolint:unparam // as its siblings
	if i >= len(a) {
		return otherwise, nil
	}
	if n, ok := a[i].(int); ok {
		return n, nil
	}
	return 0, a.wrong(i, "a whole number")
}

func (a args) list(i int) ([]any, error) {
	if i < len(a) {
		if l, ok := a[i].([]any); ok {
			return l, nil
		}
	}
	return nil, a.wrong(i, "a list")
}

func (a args) mapping(i int) (map[string]any, error) {
	if i < len(a) {
		if m, ok := a[i].(map[string]any); ok {
			return m, nil
		}
	}
	return nil, a.wrong(i, "a map")
}

func (a args) texts(i int) ([]string, error) {
	list, err := a.list(i)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for n, v := range list {
		s, err := toText(v)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		out[n] = s
	}
	return out, nil
}

func (a args) wrong(i int, want string) error {
	if i >= len(a) {
		return harmlessf("an argument is missing")
	}
	return harmlessf("want %s, this is %s", want, withArticle(sortOf(a[i])))
}

// text1 is a function of one text.
func text1(f func(string) (any, error)) func(args) (any, error) {
	return func(a args) (any, error) {
		s, err := a.text(0)
		if err != nil {
			return nil, err
		}
		return f(s)
	}
}

// text2 is a function of two texts.
func text2(f func(a, b string) (any, error)) func(args) (any, error) {
	return func(a args) (any, error) {
		x, err := a.text(0)
		if err != nil {
			return nil, err
		}
		y, err := a.text(1)
		if err != nil {
			return nil, err
		}
		return f(x, y)
	}
}

func placeFunctions() []*function {
	reachable := row("reachable(hosts: hosts): place", "In `at`: the first of the hosts that can be reached when the turn of the task comes.",
		func(a args) (any, error) {
			list, ok := asHosts(a[0], true).([]any)
			if !ok {
				return nil, a.wrong(0, "hosts")
			}
			return placeValue{hosts: list}, nil
		})
	reachable.place = true
	return []*function{
		row(lookupFile+"(path: text): text", "Content of a file of the controller, path relative to the playbook.", runLookup),
		reachable,
	}
}

// Lookup reads a file of the controller for lookup_file. An Env holds it under LookupKey.
type Lookup func(path string) (string, error)

// LookupKey is where an Env holds its Lookup.
const LookupKey = lookupFile

// CachedLookup reads each file once. It may be used by many goroutines.
func CachedLookup(read Lookup) Lookup {
	var files sync.Map
	return func(path string) (string, error) {
		once, _ := files.LoadOrStore(path, sync.OnceValues(func() (string, error) { return read(path) }))
		return once.(func() (string, error))()
	}
}

func runLookup(a args) (any, error) {
	path, err := a.text(0)
	if err != nil {
		return nil, err
	}
	read, ok := a[len(a)-1].(Lookup)
	if !ok || len(a) != 2 {
		return nil, harmlessf("files of the controller cannot be read here")
	}
	s, err := read(path)
	if err == nil && len(s) > maxString {
		err = errTooLarge
	}
	return s, err
}
