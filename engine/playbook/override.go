package playbook

import (
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// override is one entry of the `override` of a use, on its way to the task it names.
type override struct {
	key  *syntax.Node
	node *syntax.Node
	path []string // what is left of the path
	used bool
}

// overridesOf reads the `override` of a use.
func (l *loader) overridesOf(f *syntax.Fields) []*override {
	var out []*override
	for _, e := range syntax.Open(f.Get("override"), "`override`", &l.diags).Entries() {
		path := strings.Split(e.Key.Text, "/")
		if slices.ContainsFunc(path, func(id string) bool { return !nameRE.MatchString(id) }) {
			l.diags.Errorf(e.Key.Pos(), "%s is not the path of a task inside the part", e.Key.Describe()).
				Hintf("a path is the ids from the part down, with / between them: runtime/unit")
			continue
		}
		if !e.Value.Null() && e.Value.Kind != syntax.Mapping {
			l.diags.Errorf(e.Value.Pos(), "an override is a map of what to change in the task, or null to remove it").Len = e.Value.Width()
			continue
		}
		out = append(out, &override{key: e.Key, node: e.Value, path: path})
	}
	return out
}

// override lays the overrides of task t on its node, the ones of the nearest user first. inner are those for tasks inside.
func (l *loader) override(t *Task, n *syntax.Node, overrides []*override) (merged *syntax.Node, inner []*override) {
	for _, o := range overrides {
		if o.path[0] != t.ID {
			continue
		}
		o.used = true
		switch {
		case len(o.path) > 1:
			inner = append(inner, &override{key: o.key, node: o.node, path: o.path[1:]})
		case o.node.Null():
			t.removed = o.key.Pos()
		default:
			n = l.mergeTask(t, n, o.node)
		}
	}
	return n, inner
}

// unmatched reports overrides that name no task of a list.
func (l *loader) unmatched(overrides []*override, index map[string]*Task) {
	for _, o := range overrides {
		if o.used {
			continue
		}
		prefix := strings.TrimSuffix(o.key.Text, strings.Join(o.path, "/"))
		var candidates []string
		for id := range index {
			candidates = append(candidates, prefix+id)
		}
		slices.Sort(candidates)
		d := l.diags.Errorf(o.key.Pos(), "the part has no task `%s`", prefix+o.path[0])
		d.Len, d.Hint = o.key.Width(), diag.DidYouMean(prefix+o.path[0], candidates)
	}
}

// noTasksIn reports overrides that go into a task which has none inside.
func (l *loader) noTasksIn(t *Task, inner []*override) {
	for _, o := range inner {
		prefix := strings.TrimSuffix(o.key.Text, "/"+strings.Join(o.path, "/"))
		l.diags.Errorf(o.key.Pos(), "`%s` has no tasks inside", prefix).Note(t.Pos, "it is here").Len = o.key.Width()
	}
}

// mergeTask lays an override on a task: another kind replaces what the task does, the same kind merges its parameters;
// of all other keys a null removes, a map merges, and anything else replaces.
func (l *loader) mergeTask(t *Task, base, over *syntax.Node) *syntax.Node {
	var set []syntax.Entry
	newPart := over.Get("use") != nil
	for _, o := range over.Entries {
		key := o.Key.Text
		b, had := base.Entry(key)
		had = had && !(newPart && (key == "with" || key == "override"))
		body := key == "use" || key == "steps" || l.isKind(key)
		switch {
		case key == "id":
			if o.Value.Text != t.ID {
				l.diags.Errorf(o.Key.Pos(), "an override can't change the id of a task").Len = o.Key.Width()
			}
		case o.Value.Null() && (had || !body):
			set = append(set, syntax.Entry{Key: o.Key})
		case body:
			set = append(set, l.replaced(base, key)...)
			if kt := l.kind(key); kt != nil && had {
				o.Value = mergeValue(kt.params, b.Value, o.Value)
			}
			set = append(set, o)
		case key == "override" && had:
			o.Value = b.Value.With(o.Value.Entries...)
			set = append(set, o)
		case had:
			o.Value = syntax.Merge(b.Value, o.Value)
			set = append(set, o)
		default:
			set = append(set, o)
		}
	}
	return base.With(set...)
}

// replaced are the keys of a task that go when the key given takes over what it does.
func (l *loader) replaced(base *syntax.Node, by string) []syntax.Entry {
	var gone []syntax.Entry
	for _, e := range base.Entries {
		key := e.Key.Text
		body := key == "use" || key == "steps" || l.isKind(key)
		if body && key != by || (key == "with" || key == "override") {
			gone = append(gone, syntax.Entry{Key: e.Key})
		}
	}
	return gone
}

// mergeValue lays a parameter on another of the same type. Where both are maps they merge key by key: null removes a
// key, and a key of an arm group takes the place of the one that was chosen before. Short forms count as the map they
// stand for. Anything else replaces.
func mergeValue(t *shape.Type, base, over *syntax.Node) *syntax.Node {
	if t == nil {
		t = &shape.Type{}
	}
	if t.Kind == shape.Object {
		base, over = longForm(t, base), longForm(t, over)
	}
	if base.Null() || base.Kind != syntax.Mapping || over.Kind != syntax.Mapping {
		return over
	}
	var set []syntax.Entry
	for _, o := range over.Entries {
		f, _ := t.Field(o.Key.Text)
		for _, other := range t.Fields {
			if e, chosen := base.Entry(other.Name); chosen && f.Arm != "" && other.Arm == f.Arm && other.Name != f.Name && !o.Value.Null() {
				set = append(set, syntax.Entry{Key: e.Key})
			}
		}
		if o.Value.Null() {
			set = append(set, syntax.Entry{Key: o.Key})
			continue
		}
		if b, had := base.Entry(o.Key.Text); had {
			inner := f.Type
			if inner == nil {
				inner = t.Elem
			}
			o.Value = mergeValue(inner, b.Value, o.Value)
		}
		set = append(set, o)
	}
	return base.With(set...)
}

// longForm is the map that a short form stands for.
func longForm(t *shape.Type, n *syntax.Node) *syntax.Node {
	if f, ok := t.ShortField(); ok && !n.Null() && n.Kind != syntax.Mapping {
		return syntax.NewMapping(n, f.Name, n)
	}
	return n
}
