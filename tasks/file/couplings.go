package file

import (
	"fmt"
	"slices"

	"github.com/kflow/kflow/engine/task"
)

// Couplings implements task.Coupler.
func (p *File) Couplings() []task.Coupling {
	return []task.Coupling{
		{Rule: "written-twice", Fact: "a file that one task writes whole, and another one writes or edits, is changed by both at every run", Source: "Puppet: duplicate declaration", Warning: true, Find: findTwice},
	}
}

// findTwice finds tasks that undo what another one does to the same file.
func findTwice(s task.Scene) (out []task.Finding) {
	whole := map[string]task.Neighbour{} // by path
	for _, n := range s.Here("file") {
		if given(n, sources()) && whole[n.Text("path")].ID == "" {
			whole[n.Text("path")] = n
		}
	}
	for _, n := range s.Here("file") {
		first := whole[n.Text("path")]
		if first.ID == "" || n.Text("path") == "" || first.ID == n.ID || !given(n, slices.Concat(sources(), []string{"replace", "lines", "set", "block"})) {
			continue
		}
		out = append(out, task.Finding{Task: n.ID, Param: []any{"path"}, With: first.ID,
			Says: fmt.Sprintf("%s is written whole by `%s`: each undoes what the other has done", n.Text("path"), first.ID),
			Hint: "make one task of both: a source and edits (replace, lines, set, block) go together, and the second run finds nothing"})
	}
	return out
}

// sources are the parameters that say what all of a file is.
func sources() []string {
	return []string{"content", "template", "source", "copy_of", "from", "absent"}
}

// given tells whether a task has one of the parameters.
func given(n task.Neighbour, keys []string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		switch v := n.Get(key).(type) {
		case nil:
			return false
		case bool:
			return v
		case string:
			return v != ""
		case []any:
			return len(v) > 0
		case map[string]any:
			return len(v) > 0
		}
		return true
	})
}

// Interface guard.
var _ task.Coupler = (*File)(nil)
