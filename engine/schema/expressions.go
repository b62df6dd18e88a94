package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// Expressions is the page with the functions of expressions and the facts of a host.
func Expressions() string {
	var b strings.Builder
	b.WriteString(strings.Replace(generated, "structs in tasks/", "code", 1) + "# Functions and facts\n\n" +
		"What expressions can call, and what they can read of a host. How expressions are written: [the language](language.md#expressions).\n\n" +
		"## Functions\n\nA name with `?` may be left out, one with `...` repeated. In a `condition` or `expression` an entry of the list is `#`, and\n" +
		"`.zone` is short for `#.zone`.\n")
	group := ""
	for _, f := range expr.Functions() {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n### %s\n\n| function | gives |\n| --- | --- |\n", strings.ToUpper(group[:1])+group[1:])
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Signature, cell(f.Doc))
	}
	b.WriteString("\nBesides these there are expr's operators: `and`, `or`, `not`, `in`, `? :`, `??`, `?.`, `+ - * / % **`, comparisons, `..` (a range of\n" +
		"numbers), `contains`, `startsWith`, `endsWith`, `matches` (a regular expression), `[a:b]` (a part), `|` (a call: `x | upper()`), and\n`let x = …; …`. Beside another operator `??` wants parentheses: `(a ?? b) == c`.\n")
	b.WriteString("\n## Facts\n\nRead as `host.facts.NAME`; of another host as `hosts[0].facts.NAME`. They are gathered when a host is reached, once per session.\n\n" +
		"| fact | type | |\n| --- | --- | --- |\n")
	rows(&b, shape.Of(task.Facts{}), "", false)
	return b.String()
}

// rules are all rules that `allow` can switch off, and where each is described.
func rules(kinds *task.Registry) string {
	where := map[string][]string{
		playbook.RuleRace: {"[all that say what they touch](../language.md#what-is-checked-before-a-host-is-reached)"},
		"never-runs":      {"[a task on demand that nobody reads](../language.md#secrets)"},
	}
	for _, k := range kinds.Kinds() {
		c, ok := k.New().(task.Coupler)
		if !ok {
			continue
		}
		for _, r := range c.Couplings() {
			if at := fmt.Sprintf("[%s](%s.md#rules)", k.Name, k.Name); !slices.Contains(where[r.Rule], at) {
				where[r.Rule] = append(where[r.Rule], at)
			}
		}
	}
	var b strings.Builder
	b.WriteString("\n## Rules\n\nWhat is checked before a host is reached, by the names that `allow` takes.\n\n| rule | described at |\n| --- | --- |\n")
	for _, name := range playbook.Rules(kinds) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(where[name], ", "))
	}
	return b.String()
}
