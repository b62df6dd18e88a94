package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
)

// checkVars reports variables that a task reads and that one of its hosts does not have. Left of `??`, and where the
// expression itself asks `"x" in host.vars`, a variable may be missing.
func (m *maker) checkVars() {
	for _, t := range m.Playbook.All() {
		hosts := m.filter(m.hostsOf[t])
		if l, leaf := m.leafOf[t]; leaf {
			hosts = m.Leaves[l].Hosts
		}
		for _, r := range varRefs(t) {
			m.checkVar(t, r, hosts)
		}
	}
}

func (m *maker) checkVar(t *playbook.Task, r expr.Ref, hosts []int) {
	name := r.Path[1]
	var missing []string
	for _, h := range hosts {
		if _, has := m.Hosts[h].Vars[name]; !has && m.mayRun(t, h) {
			missing = append(missing, m.Hosts[h].Name)
		}
	}
	if len(missing) == 0 {
		return
	}
	who := missing[0]
	if len(missing) > 1 {
		who = fmt.Sprintf("%s (and %d more)", who, len(missing)-1)
	}
	known := map[string]bool{}
	for _, h := range hosts {
		for v := range m.Hosts[h].Vars {
			known[v] = true
		}
	}
	d := m.found.Errorf(r.Pos, "host %s has no variable `%s`", who, name)
	d.Len, d.Hint = r.Len, diag.DidYouMean(name, slices.Sorted(maps.Keys(known)))
	if d.Hint == "" {
		d.Hint = "give it in the inventory, or a value for hosts without it: `?? VALUE`"
	}
}

// mayRun tells whether the conditions around a task let it run on a host, as far as that is known now.
func (m *maker) mayRun(t *playbook.Task, host int) bool {
	for ; t != nil; t = t.Parent {
		if t.When == nil || !t.When.Static() {
			continue
		}
		if yes, err := m.Condition(t.When, host, nil, nil); err == nil && !yes {
			return false
		}
	}
	return true
}

// varRefs are the variables of its host that a task must have.
func varRefs(t *playbook.Task) []expr.Ref {
	var out []expr.Ref
	add := func(text string, refs []expr.Ref) {
		if strings.Contains(text, "in host.vars") {
			return
		}
		for _, r := range refs {
			if r.Root == "host" && len(r.Path) > 1 && r.Path[0] == "vars" && !r.Optional {
				out = append(out, r)
			}
		}
	}
	for _, c := range codes(t) {
		add(c.Text(), c.Refs())
	}
	for _, v := range values(t) {
		v.Walk(func(x *playbook.Value) {
			if x.Expr != nil {
				add(x.Expr.Text(), x.Expr.Refs())
			}
			if x.Template != nil {
				add("", x.Template.Refs())
			}
		})
	}
	return out
}

func codes(t *playbook.Task) []*playbook.Code {
	var out []*playbook.Code
	if t.When != nil {
		out = append(out, t.When)
	}
	if t.Retry != nil && t.Retry.Until != nil {
		out = append(out, t.Retry.Until)
	}
	return out
}

func values(t *playbook.Task) []*playbook.Value {
	out := []*playbook.Value{t.ForEach, t.Params}
	if t.Part == nil {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(t.Part.Args)) {
		out = append(out, t.Part.Args[name].Value)
	}
	return out
}
