package playbook

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// head reads all keys of a playbook but its tasks.
func (l *loader) head(pb *Playbook, root *syntax.Node) {
	if root.Kind != syntax.Mapping {
		l.diags.Errorf(root.Pos(), "a playbook must be a map, not %s", root.Describe()).
			Hintf("it begins with `kflow: v1`, and its tasks are a list under `tasks:`").Len = root.Width()
		return
	}
	f := syntax.Open(root, "a playbook", &l.diags).Hints(playbookKey).Known(playbookKeys()...)
	l.version(f)
	pb.Name, pb.Description = f.Text("name"), f.Text("description")
	if pb.Name == "" {
		pb.Name = strings.TrimSuffix(filepath.Base(pb.File), filepath.Ext(pb.File))
	}
	if n := f.Get("inventory"); n != nil {
		if path := f.Text("inventory"); path != "" {
			pb.Inventory, pb.InventoryAt = l.relative(n, path), n.Pos()
		}
	}
	l.groups(pb, f.Get("groups"))
	l.inputs(pb, f.Get("inputs"))
	if n := f.Get("confirm"); n != nil {
		pb.Confirm = l.value(n, &shape.Type{Kind: shape.String}, Site{File: pb})
	}
	pb.Allow = l.allows(f.Get("allow"))
	l.outputs(pb, f.Get("outputs"))
	if f.Node != nil && f.Get("tasks") == nil {
		l.diags.Errorf(f.Pos("tasks"), "a playbook needs `tasks`").Hintf("`tasks:`, and below it a list of tasks, each with an `id` and a kind: kflow explain KIND")
	}
}

func (l *loader) version(f *syntax.Fields) {
	v := f.Get("kflow")
	switch {
	case f.Node == nil:
	case v == nil:
		l.diags.Errorf(f.Node.Pos(), "the version of the language is missing").Hintf("the first line of a playbook is `kflow: v1`")
	case v.Text != "v1":
		l.diags.Errorf(v.Pos(), "this kflow reads version v1 of the language, not %s", v.Describe()).Hintf("write `kflow: v1`, or read it with the kflow it is written for").Len = v.Width()
	}
}

// listed reports a list where names are the keys of a map. It returns the names in it, so that they are known elsewhere.
func (l *loader) listed(n *syntax.Node, key, example string) (names []*syntax.Node, wrong bool) {
	if n == nil || n.Kind != syntax.Sequence {
		return nil, false
	}
	l.diags.Errorf(n.Pos(), "`%s` must be a map, not a list", key).Hintf("each is a key: `%s`", example)
	for _, item := range n.Items {
		if item.Kind == syntax.Scalar {
			names = append(names, item)
		}
	}
	return names, true
}

func (l *loader) groups(pb *Playbook, n *syntax.Node) {
	if names, wrong := l.listed(n, "groups", "control_plane: {}"); wrong {
		for _, name := range names {
			pb.Groups = append(pb.Groups, &Group{Name: name.Text, Pos: name.Pos(), File: pb})
		}
		return
	}
	for _, e := range syntax.Open(n, "`groups`", &l.diags).Entries() {
		g := &Group{Name: e.Key.Text, Pos: e.Key.Pos(), File: pb}
		checkName(e.Key, "group", &l.diags)
		f := syntax.Open(e.Value, "group `"+g.Name+"`", &l.diags).Known("min", "max", "description")
		g.Min, _ = f.Int("min")
		g.Max, _ = f.Int("max")
		g.Description = f.Text("description")
		if g.Min < 0 || g.Max < 0 || g.Max > 0 && g.Max < g.Min {
			l.diags.Errorf(e.Key.Pos(), "group `%s`: no number of hosts is at least %d and at most %d", g.Name, g.Min, g.Max)
		}
		pb.Groups = append(pb.Groups, g)
	}
}

func (l *loader) outputs(pb *Playbook, n *syntax.Node) {
	if _, wrong := l.listed(n, "outputs", "NAME: VALUE"); wrong {
		return
	}
	for _, e := range syntax.Open(n, "`outputs`", &l.diags).Entries() {
		checkName(e.Key, "output", &l.diags)
		v := l.value(e.Value, &shape.Type{}, Site{File: pb})
		if v == nil {
			l.diags.Errorf(e.Key.Pos(), "output `%s` has no value", e.Key.Text)
			continue
		}
		pb.Outputs = append(pb.Outputs, &Output{Name: e.Key.Text, Pos: e.Key.Pos(), Value: v, Type: &shape.Type{}})
	}
}

// GroupsNeeded are the groups that the playbook and its parts speak of, each once, with the strictest limits.
func (p *Playbook) GroupsNeeded() []*Group {
	var out []*Group
	byName := map[string]*Group{}
	for _, part := range p.Parts() {
		for _, g := range part.Groups {
			have := byName[g.Name]
			if have == nil {
				c := *g
				byName[g.Name] = &c
				out = append(out, &c)
				continue
			}
			if g.Min > have.Min {
				have.Min, have.Pos, have.File = g.Min, g.Pos, g.File
			}
			if g.Max > 0 && (have.Max == 0 || g.Max < have.Max) {
				have.Max, have.Pos, have.File = g.Max, g.Pos, g.File
			}
		}
	}
	return out
}

// Confirms are the questions of the playbook and its parts, root first.
func (p *Playbook) Confirms() []*Value {
	var out []*Value
	for _, part := range p.Parts() {
		if part.Confirm != nil {
			out = append(out, part.Confirm)
		}
	}
	return out
}

// groupNames are the names that expressions of the file may use.
func (p *Playbook) groupNames() []string {
	var names []string
	for _, g := range p.Groups {
		names = append(names, g.Name)
	}
	return names
}

// conflictingGroups reports a group that no inventory can satisfy.
func (l *loader) conflictingGroups(root *Playbook) {
	for _, g := range root.GroupsNeeded() {
		if own, _ := g.File.group(g.Name); g.Max > 0 && g.Min > g.Max && (own.Max == 0 || own.Min <= own.Max) {
			l.diags.Errorf(g.Pos, "group `%s`: the playbook and its parts want at least %d and at most %d hosts", g.Name, g.Min, g.Max)
		}
	}
}

func (p *Playbook) group(name string) (*Group, bool) {
	i := slices.IndexFunc(p.Groups, func(g *Group) bool { return g.Name == name })
	if i < 0 {
		return nil, false
	}
	return p.Groups[i], true
}
