package playbook

import (
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/syntax"
	"github.com/kflow/kflow/engine/task"
)

// RuleRace is the name of the race check.
const RuleRace = "race"

// ruleNeverRuns is the name of the check for tasks on demand that nobody reads.
const ruleNeverRuns = "never-runs"

// Allow switches a rule off, with a reason: for a task and all inside it, or for a file and all parts it uses.
type Allow struct {
	Rule   string
	Reason string
	Pos    diag.Pos
}

// allows reads `allow`.
func (l *loader) allows(n *syntax.Node) []Allow {
	if n.Null() {
		return nil
	}
	if n.Kind != syntax.Sequence {
		l.diags.Errorf(n.Pos(), "`allow` is a list, not %s", n.Describe()).Hintf("write `- rule: NAME` with `reason: ...` below it")
		return nil
	}
	var out []Allow
	for _, item := range n.Items {
		if item.Kind != syntax.Mapping {
			l.diags.Errorf(item.Pos(), "an entry of `allow` must be a map, not %s", item.Describe()).
				Hintf("write `- rule: %s` with `reason: ...` below it", item.Text).Len = item.Width()
			continue
		}
		f := syntax.Open(item, "an entry of `allow`", &l.diags).Known("rule", "reason")
		rule, reason := f.Required("rule"), f.Required("reason")
		if rule == nil || reason == nil {
			continue
		}
		a := Allow{Rule: f.Text("rule"), Reason: f.Text("reason"), Pos: rule.Pos()}
		if known := Rules(l.kinds); !slices.Contains(known, a.Rule) {
			d := l.diags.Errorf(a.Pos, "there is no rule `%s` that can be switched off", a.Rule)
			d.Len, d.Hint = rule.Width(), diag.DidYouMean(a.Rule, known)
			if d.Hint == "" {
				d.Hint = "rules: " + strings.Join(known, ", ")
			}
		}
		out = append(out, a)
	}
	return out
}

// Rules are the names of all rules that a playbook can switch off, sorted.
func Rules(kinds *task.Registry) []string {
	names := []string{RuleRace, ruleNeverRuns}
	for _, k := range kinds.Kinds() {
		if c, ok := k.New().(task.Coupler); ok {
			for _, rule := range c.Couplings() {
				names = append(names, rule.Rule)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Allows tells whether a rule is switched off for the task: by itself, by what is around it, or by a file it is in.
func (t *Task) Allows(rule string) bool {
	is := func(a Allow) bool { return a.Rule == rule }
	for ; t != nil; t = t.Parent {
		if slices.ContainsFunc(t.Allow, is) || slices.ContainsFunc(t.File.Allow, is) {
			return true
		}
	}
	return false
}
