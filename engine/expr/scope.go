package expr

import (
	"maps"
	"slices"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// Env holds the values of one evaluation by their roots: inputs, host, hosts, groups, tasks, item, run, result, and in
// `on` and `at` the groups themselves. All values are plain: map[string]any, []any, string, int, float64, bool, nil. A
// root needs to hold only what Refs mention, and a root that is not mentioned need not be there; one that is mentioned
// must. LookupKey holds what lookup_file reads with. Values are read, never
// modified, so evaluations may share them.
//
// A name that is declared and has no value (an input that is not given) is nil or not there. In the place of a value that
// cannot be had (outputs of a task that failed) stands Absent.
type Env map[string]any

// Absent stands in an Env for a value that cannot be had. Reading it is an error that says why, unless it stands left of
// `??`, where it is nil.
type Absent struct{ Why string }

func (a Absent) Error() string { return a.Why }

// Scope says what names mean at a place of a playbook: types only. It may be used for many expressions, not concurrently
// with changes to it.
type Scope struct {
	Inputs     map[string]Var
	Facts      *shape.Type            // shape.Of(task.Facts{})
	Vars       map[string]*shape.Type // variables that any host has; nil = any name, any value
	SecretVars map[string]bool        // variables that are secret

	Groups     []string // names of groups; `all` is always one
	BareGroups bool     // `on` and `at`: groups are named without `groups.`, and the result must be hosts
	Place      bool     // `at`: `controller` and reachable() have a meaning

	Tasks      map[string]TaskVar
	Statuses   []string    // values of tasks.ID.status; nil = any text
	Item       *shape.Type // nil = there is no item here
	ItemSecret bool
	Result     *shape.Type // nil = there is no result here

	NoHost bool // the place belongs to no host (`on`)
	Static bool // values known when the playbook is read: no facts, no tasks, no run

	// LookupFile, when set, is asked whether a constant path of lookup_file can be read; its error is reported.
	LookupFile func(path string) error
}

// Var is an input.
type Var struct {
	Type   *shape.Type
	Secret bool
}

// TaskVar is a task as expressions see it.
type TaskVar struct {
	Outputs      *shape.Type // nil = it has none
	Secret       bool        // all outputs are secret; otherwise the fields of Outputs say it
	NoOutputsWhy string      // why Outputs is nil, for the message
}

// Names of types that have a meaning of their own, in Type.GoName; no Go type has such a name.
const (
	typeInputs  = "$inputs"
	typeHost    = "$host"
	typeVars    = "$vars"
	typeGroups  = "$groups"
	typeTasks   = "$tasks"
	typeTask    = "$task"
	typeAll     = "$all" // entry of tasks.ID.all
	typeRun     = "$run"
	typePlace   = "$place"
	typeNull    = "$null"
	typeLiteral = "$literal"
)

// Reserved tells whether a name has a meaning in expressions, so that no input, group, task or loop may have it.
func Reserved(name string) bool {
	if _, ok := functions()[name]; ok {
		return true
	}
	return slices.Contains(roots(), name) || slices.Contains(words(), name)
}

func roots() []string {
	return []string{"inputs", "host", "hosts", "groups", "tasks", "item", "run", "result"}
}

func words() []string {
	return []string{"true", "false", "nil", "not", "and", "or", "in", "let", "matches", "contains", "startsWith", "endsWith",
		"for", "if", "else", "end", "controller", "reachable"}
}

func (s *Scope) groups() []string {
	if slices.Contains(s.Groups, "all") {
		return s.Groups
	}
	return append([]string{"all"}, s.Groups...)
}

// root is the type of a name at the beginning of an access. why says why a known name has no meaning here.
func (s *Scope) root(name string) (t *shape.Type, why string, ok bool) {
	switch name {
	case "inputs":
		return special(typeInputs), "", true
	case "host":
		return special(typeHost), unless(!s.NoHost, "this is computed once, not for each host"), true
	case "hosts":
		return listOf(special(typeHost)), "", true
	case "groups":
		return special(typeGroups), "", true
	case "tasks":
		return special(typeTasks), unless(!s.Static, "no task has run when this is computed"), true
	case "run":
		return special(typeRun), unless(!s.Static, "there is no run yet when this is computed"), true
	case "item":
		return s.Item, unless(s.Item != nil, "the task has no `for_each`"), true
	case "result":
		return s.Result, unless(s.Result != nil, "it is what an attempt gave, for `until`"), true
	case "controller":
		return special(typePlace), unless(s.Place, "it is a place, for `at`"), true
	}
	if s.BareGroups && slices.Contains(s.groups(), name) {
		return listOf(special(typeHost)), "", true
	}
	return nil, "", false
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

// suggest is the way out for an unknown name at the beginning of an access.
func (s *Scope) suggest(name string, locals []string) string {
	if _, ok := s.Inputs[name]; ok {
		return "did you mean `inputs." + name + "`?"
	}
	if _, ok := s.Tasks[name]; ok && !s.Static {
		return "did you mean `tasks." + name + "`?"
	}
	if slices.Contains(s.groups(), name) {
		return "did you mean `groups." + name + "`?"
	}
	if slices.Contains(hostFields(), name) && !s.NoHost {
		return "did you mean `host." + name + "`?"
	}
	known := slices.Clone(locals)
	for _, r := range roots() {
		if _, why, _ := s.root(r); why == "" {
			known = append(known, r)
		}
	}
	if s.BareGroups {
		known = append(known, s.groups()...)
	}
	slices.Sort(known)
	return diag.DidYouMean(name, slices.Compact(known))
}

func hostFields() []string { return []string{"name", "address", "node_ip", "groups", "vars", "facts"} }

// fields are the members of an object, by the scope where its type has a meaning of its own.
func (s *Scope) fields(t *shape.Type) []string {
	switch t.GoName {
	case typeInputs:
		return slices.Sorted(maps.Keys(s.Inputs))
	case typeHost:
		return hostFields()
	case typeVars:
		return slices.Sorted(maps.Keys(s.Vars))
	case typeGroups:
		return s.groups()
	case typeTasks:
		return slices.Sorted(maps.Keys(s.Tasks))
	case typeTask:
		return []string{"status", "changed", "outputs", "all"}
	case typeRun:
		return []string{"id", "name"}
	}
	return t.Names()
}

// member is the field of an object. why says why a field that exists cannot be read here.
func (s *Scope) member(t *shape.Type, name string) (f shape.Field, why string, ok bool) {
	switch t.GoName {
	case typeInputs:
		v, ok := s.Inputs[name]
		return shape.Field{Name: name, Type: orAny(v.Type), Secret: v.Secret}, "", ok
	case typeHost:
		return s.hostMember(name)
	case typeVars:
		v, ok := s.Vars[name]
		return shape.Field{Name: name, Type: orAny(v), Secret: s.SecretVars[name]}, "", ok || s.Vars == nil || s.SecretVars[name]
	case typeGroups:
		return shape.Field{Name: name, Type: listOf(special(typeHost))}, "", slices.Contains(s.groups(), name)
	case typeTasks:
		return s.task(name)
	case typeRun:
		return shape.Field{Name: name, Type: stringType()}, "", name == "id" || name == "name"
	}
	f, ok = t.Field(name)
	if ok && f.Type == nil && (t.GoName == typeTask || t.GoName == typeAll) {
		return f, f.Doc, true
	}
	f.Type = orAny(f.Type)
	return f, "", ok
}

func (s *Scope) hostMember(name string) (f shape.Field, why string, ok bool) {
	f = shape.Field{Name: name, Type: stringType()}
	switch name {
	case "groups":
		f.Type = listOf(stringType())
	case "vars":
		f.Type = special(typeVars)
	case "facts":
		f.Type = orAny(s.Facts)
		why = unless(!s.Static, "facts are known once a host is reached; here only the inventory is")
	}
	return f, why, slices.Contains(hostFields(), name)
}

// task is the type of tasks.ID.
func (s *Scope) task(id string) (shape.Field, string, bool) {
	v, ok := s.Tasks[id]
	if v.NoOutputsWhy == "" {
		v.NoOutputsWhy = "the task has none"
	}
	outputs := shape.Field{Name: "outputs", Type: v.Outputs, Secret: v.Secret, Doc: v.NoOutputsWhy}
	entry := &shape.Type{Kind: shape.Object, GoName: typeAll, Fields: []shape.Field{
		{Name: "host", Type: special(typeHost)}, outputs,
	}}
	t := &shape.Type{Kind: shape.Object, GoName: typeTask, Fields: []shape.Field{
		{Name: "status", Type: &shape.Type{Kind: shape.String, Enum: s.Statuses}},
		{Name: "changed", Type: boolType()},
		outputs,
		{Name: "all", Type: listOf(entry)},
	}}
	return shape.Field{Name: id, Type: t}, "", ok
}

// holdsSecret tells whether a value of type t, as a whole, shows a secret.
func (s *Scope) holdsSecret(t *shape.Type) bool {
	switch {
	case t == nil:
		return false
	case t.GoName == typeInputs:
		return slices.ContainsFunc(slices.Collect(maps.Values(s.Inputs)), func(v Var) bool { return v.Secret })
	case t.GoName == typeHost || t.GoName == typeVars || t.GoName == typeGroups:
		return len(s.SecretVars) > 0
	case t.Elem != nil:
		return s.holdsSecret(t.Elem)
	}
	return slices.ContainsFunc(t.Fields, func(f shape.Field) bool { return f.Secret || s.holdsSecret(f.Type) })
}
