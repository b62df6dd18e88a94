package race

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/render/fold"
)

// pair are two leaves.
type pair struct{ first, second int }

// race is what is wrong between two leaves.
type race struct {
	first, second access
	things        []string
	hosts         []int
}

func (r *race) add(thing string, host int) {
	if !slices.Contains(r.things, thing) {
		r.things = append(r.things, thing)
	}
	if !slices.Contains(r.hosts, host) {
		r.hosts = append(r.hosts, host)
	}
}

// report says what was found, in the order of the playbook.
func (c *checker) report(found *diag.List) {
	var keys []pair
	for k := range c.pairs {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b pair) int {
		if a.second != b.second {
			return a.second - b.second
		}
		return a.first - b.first
	})
	for _, k := range keys {
		r := c.pairs[k]
		a, b := c.p.Leaves[k.first].Task, c.p.Leaves[k.second].Task
		if a.Allows(playbook.RuleRace) || b.Allows(playbook.RuleRace) {
			continue
		}
		if a == b {
			c.itself(r, a, found)
			continue
		}
		c.two(r, found)
	}
}

// itself reports a task whose instances for several hosts meet on one.
func (c *checker) itself(r *race, t *playbook.Task, found *diag.List) {
	d := found.Errorf(t.Pos, "`%s` runs for several hosts at once on %s, and each writes %s", t.Path, c.where(r), list(r.things))
	d.Rule, d.Len = playbook.RuleRace, len(t.ID)
	d.Hintf("add `max_parallel: 1`, or let each host have its own")
}

func (c *checker) two(r *race, found *diag.List) {
	first, second := r.first, r.second
	// What is read is written before; unless that would make a circle.
	if second.write && !first.write && !c.order.reaches(first.leaf, second.leaf) {
		first, second = second, first
	}
	a, b := c.p.Leaves[first.leaf].Task, c.p.Leaves[second.leaf].Task
	verb := "reads"
	if second.write {
		verb = "writes"
	}
	d := found.Errorf(b.Pos, "`%s` %s %s on %s, which `%s` %s, and neither waits for the other", b.Path, verb, list(r.things), c.where(r), a.Path, also(first, second))
	if r.things[0] == theHost {
		d.Summary = fmt.Sprintf("`%s` may run while `%s` takes %s down: neither waits for the other", b.Path, a.Path, c.where(r))
	}
	d.Note(a.Pos, "`%s` is here", a.Path).Hint = c.mend(first, second)
	d.Rule, d.Len = playbook.RuleRace, len(b.ID)
}

// also is what the first task does with it.
func also(first, second access) string {
	switch {
	case first.write && second.write:
		return "writes too"
	case first.write:
		return "writes"
	}
	return "reads"
}

func list(things []string) string {
	const shown = 3
	var names []string
	for _, t := range things[:min(shown, len(things))] {
		names = append(names, name(t))
	}
	if more := len(things) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func (c *checker) where(r *race) string {
	var names []string
	for _, h := range r.hosts {
		if h == len(c.p.Hosts) {
			return "the controller"
		}
		names = append(names, c.p.Hosts[h].Name)
	}
	return fold.Hosts(names)
}

// mend is the edge that would put them in order.
func (c *checker) mend(first, second access) string {
	a, b := c.p.Leaves[first.leaf], c.p.Leaves[second.leaf]
	holder, need := edgeBetween(a.Task, b.Task)
	if holder == nil {
		return "let one of them wait for the other"
	}
	switch {
	case first.host != second.host:
		need += "@all"
	case holder == b.Task && !covers(a.Hosts, b.Hosts):
		need += "@host"
	}
	return fmt.Sprintf("add `needs: [%s]` to `%s`, or the other way round; if it must be so, switch the rule off with a reason (`allow`)", need, holder.Path)
}

func covers(a, b []int) bool {
	return !slices.ContainsFunc(b, func(h int) bool { return !slices.Contains(a, h) })
}

// edgeBetween finds the innermost task around b that can name a, and the name it has there.
func edgeBetween(a, b *playbook.Task) (holder *playbook.Task, need string) {
	for holder = b; holder != nil; holder = holder.Parent {
		if inside(a, holder) {
			continue
		}
		for y := holder; y != nil && y.File == holder.File; y = y.Parent {
			for x := a; x != nil; x = x.Parent {
				if x.Parent == y.Parent && x.File == y.File && x != y {
					return holder, strings.TrimPrefix(a.Path, strings.TrimSuffix(x.Path, x.ID))
				}
			}
		}
	}
	return nil, ""
}
