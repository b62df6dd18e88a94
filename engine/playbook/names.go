package playbook

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/syntax"
)

var nameRE = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// environment are the names expressions begin with; nothing of a playbook may be called so.
func environment() []string {
	return []string{"inputs", "host", "hosts", "groups", "tasks", "item", "run", "result", "all", "controller"}
}

// checkName reports a name that is none, or reserved. what is "task id", "input" or "group".
func checkName(n *syntax.Node, what string, list *diag.List) {
	name := n.Text
	reserved := slices.Contains(environment(), name) || what == "group" && expr.Reserved(name)
	var d *diag.Diagnostic
	switch {
	case !nameRE.MatchString(name):
		d = list.Errorf(n.Pos(), "%s %s is not a name: lower-case letters, digits and _, a letter first", what, n.Describe())
		if fixed := fixName(name); fixed != "" {
			d.Hintf("write `%s`", fixed)
		}
	case reserved:
		d = list.Errorf(n.Pos(), "`%s` has a meaning in expressions and can't be the name of %s", name, withArticle(what))
	default:
		return
	}
	d.Len = n.Width()
}

func withArticle(what string) string {
	if strings.ContainsRune("aeiou", rune(what[0])) {
		return "an " + what
	}
	return "a " + what
}

// fixName turns what a person wrote into a name, if little is wrong with it.
func fixName(s string) string {
	out := []byte{}
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '-' || c == '.' || c == ' ':
			c = '_'
		}
		out = append(out, c)
	}
	if !nameRE.Match(out) {
		return ""
	}
	return string(out)
}

// Lookup returns the task that a name means at the site: among siblings first, then outward in the same file; nil when
// there is none.
func (s Site) Lookup(id string) *Task {
	if s.File == nil {
		return nil
	}
	for t := s.Task; t != nil && t.File == s.File; t = t.Parent {
		if found := t.siblings()[id]; found != nil {
			return found
		}
	}
	return s.File.index[id]
}

// siblings are the tasks on the level of t, itself included, by id.
func (t *Task) siblings() map[string]*Task {
	if t.Parent != nil && t.Parent.File == t.File {
		return t.Parent.index
	}
	return t.File.index
}

// child returns the task of that id inside a block or part.
func (t *Task) child(id string) *Task {
	if t.Part != nil {
		return t.Part.index[id]
	}
	return t.index[id]
}

// visible are the ids that Lookup finds at the site, nearest first.
func (s Site) visible() []string {
	var names []string
	add := func(index map[string]*Task) {
		for id, t := range index {
			if !t.removed.Known() {
				names = append(names, id)
			}
		}
	}
	for t := s.Task; t != nil && t.File == s.File; t = t.Parent {
		add(t.siblings())
	}
	if s.Task == nil {
		add(s.File.index)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
