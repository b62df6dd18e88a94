// Package couple asks the kinds, before any host is reached, what they know does not go together (task.Coupler), and
// whether the parameters that are known already are right (task.Checker). It knows no kind itself: facts about versions,
// ports and networks are the kinds' own, each with its source.
//
// A kind sees, for one host, all tasks of the playbook as far as they are known (plan.Sketches): those of that host and,
// marked as such, those of others. Hosts that are told the same give the same findings, which are reported once.
package couple

import (
	"errors"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/task"
)

// Check reports what does not go together in a plan, and parameters that are wrong.
func Check(p *plan.Plan, sketches *plan.Sketches, kinds *task.Registry, found *diag.List) {
	c := &checker{p: p, sketches: sketches, found: found, said: map[string]bool{}, wrong: map[*playbook.Task]bool{}, leaves: map[string]*plan.Leaf{}}
	for _, l := range p.Leaves {
		c.leaves[l.Task.Path] = l
	}
	var rules []task.Coupling
	for _, k := range kinds.Kinds() {
		if coupler, ok := k.New().(task.Coupler); ok {
			rules = append(rules, coupler.Couplings()...)
		}
	}
	for _, h := range p.Samples() {
		scene := c.scene(h)
		for _, rule := range rules {
			for _, f := range rule.Find(scene) {
				c.report(rule, f)
			}
		}
	}
	c.parameters()
}

type checker struct {
	p        *plan.Plan
	sketches *plan.Sketches
	found    *diag.List
	said     map[string]bool
	wrong    map[*playbook.Task]bool // an error is reported already
	leaves   map[string]*plan.Leaf
}

// scene are the tasks as they are seen from a host.
func (c *checker) scene(host int) task.Scene {
	var out task.Scene
	for _, l := range c.p.Leaves {
		if len(l.Hosts) == 0 {
			continue
		}
		at, here := l.Hosts[0], l.Runs(host)
		if here {
			at = host
		}
		for _, s := range c.sketches.Of(l, at) {
			out = append(out, task.Neighbour{ID: l.Task.Path, Kind: l.Task.Kind.Name, Params: s.Params, Hosts: len(l.Hosts), Here: here, InTurn: c.p.InTurn(l.Index)})
		}
	}
	return out
}

func (c *checker) report(rule task.Coupling, f task.Finding) {
	l, with := c.leaves[f.Task], c.leaves[f.With]
	key := strings.Join([]string{rule.Rule, f.Task, f.Says}, "\n")
	if l == nil || c.said[key] || l.Task.Allows(rule.Rule) || with != nil && with.Task.Allows(rule.Rule) {
		return
	}
	c.said[key] = true
	d := diag.Diagnostic{Pos: plan.Pos(l.Task, f.Param), Summary: f.Says, Rule: rule.Rule}
	if rule.Warning {
		d.Severity = diag.Warning
	} else {
		c.wrong[l.Task] = true
	}
	if with != nil && with != l {
		d.Note(with.Task.Pos, "the other one is `%s`", with.Task.Path)
	}
	d.Hint = rule.Fact + " (" + rule.Source + ")"
	if f.Hint != "" {
		d.Hint = f.Hint + ". " + d.Hint
	}
	c.found.Add(d)
}

// parameters reports parameters that are known and wrong: a run would find the same on the host.
func (c *checker) parameters() {
	for _, l := range c.p.Leaves {
		if !c.wrong[l.Task] {
			c.checkLeaf(l)
		}
	}
}

func (c *checker) checkLeaf(l *plan.Leaf) {
	looked := map[plan.SketchKey]bool{}
	for _, h := range l.Hosts {
		key := c.sketches.Key(l.Task, h)
		if looked[key] {
			continue
		}
		looked[key] = true
		for _, s := range c.sketches.Of(l, h) {
			if !s.Complete {
				continue
			}
			for _, p := range s.Problems {
				c.once(plan.Pos(l.Task, p.Path), p.Error())
			}
			checker, ok := s.Task.(task.Checker)
			if !ok || len(s.Problems) > 0 {
				continue
			}
			if err := checker.Check(); err != nil {
				c.failed(l.Task, err)
			}
		}
	}
}

func (c *checker) once(pos diag.Pos, text string) *diag.Diagnostic {
	if key := pos.String() + "\n" + text; !c.said[key] {
		c.said[key] = true
		return c.found.Errorf(pos, "%s", text)
	}
	return &diag.Diagnostic{}
}

func (c *checker) failed(t *playbook.Task, err error) {
	pos, length := blamed(t, err.Error())
	d := c.once(pos, err.Error())
	d.Len = length
	var f *task.Failure
	if errors.As(err, &f) {
		d.Hint = f.Hint
	}
}

// blamed is the place of the parameter that a message names first, else that of the first one.
func blamed(t *playbook.Task, message string) (diag.Pos, int) {
	words := strings.FieldsFunc(message, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	for _, word := range words {
		if v := named(t.Params, word); v != nil {
			return v.Pos, v.Len
		}
	}
	return plan.Pos(t, []any{""}), 0
}

// named is the parameter of that name, also one inside of another.
func named(params *playbook.Value, name string) *playbook.Value {
	var found *playbook.Value
	params.Walk(func(v *playbook.Value) {
		if x := v.Get(name); found == nil && x != nil {
			found = x
		}
	})
	return found
}
