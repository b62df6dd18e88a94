package playbook

import (
	"fmt"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
)

// rules checks what concerns more than one task.
func (l *loader) rules(root *Playbook) {
	l.conflictingGroups(root)
	read := map[*Task]bool{}
	for _, t := range root.all {
		l.removedRefs(t)
		l.loadTime(t)
		l.held(t)
		l.onDemandReads(t, read)
	}
	for _, p := range root.Parts() {
		l.outputRefs(p)
	}
	for _, t := range root.all {
		l.onDemand(t, read[t])
	}
	l.cyclic(root)
}

// loadTime reports inputs in `on` and `at` whose values are known only when hosts are reached: the graph must be known
// before.
func (l *loader) loadTime(t *Task) {
	t.walk(func(key string, c *Code) {
		if key != "on" && key != "at" {
			return
		}
		l.loadTimeRefs(key, c.Refs(), c.Site)
	}, func(key string, v *Value) {
		if key == "max_parallel" {
			l.loadTimeRefs(key, v.exprRefs(), v.Site)
		}
	})
}

func (l *loader) loadTimeRefs(key string, refs []expr.Ref, site Site) {
	for _, r := range refs {
		if r.Root != "inputs" || len(r.Path) == 0 || site.File.staticInput(r.Path[0]) {
			continue
		}
		arg := site.File.Args[r.Path[0]]
		d := l.diags.Errorf(r.Pos, "`%s` must be known before hosts are reached, and input `%s` is not", key, r.Path[0])
		d.Note(arg.Value.Pos, "its value is computed from facts or tasks here").Len = r.Len
	}
}

// held reports what a task inside of a block with a lock or a slot must not do: wait for all hosts, or take another
// lock. Both can wait for a host that waits for this one.
func (l *loader) held(t *Task) {
	holder := t.holder()
	if holder == nil {
		return
	}
	what := "max_parallel"
	if holder.Lock != "" {
		what = "lock"
	}
	for _, key := range []string{"lock", "max_parallel"} {
		if _, given := t.Keys[key]; given {
			l.diags.Errorf(t.Keys[key], "`%s` inside of `%s`, which holds its `%s` from its first task to its last", key, holder.Path, what).
				Note(holder.Keys[what], "held from here").Hintf("two of them wait for each other sooner or later: take one, at the outer task")
		}
	}
	for _, n := range t.Needs {
		if n.Form == All {
			l.diags.Errorf(n.Pos, "`%s` waits for all hosts inside of `%s`, which holds its `%s` until it is done", t.Path, holder.Path, what).
				Note(holder.Keys[what], "held from here").Hintf("the other hosts wait for that `%s`: put the need at `%s` itself", what, holder.Path)
		}
	}
}

// holder is the block or part around t that holds a lock or a slot.
func (t *Task) holder() *Task {
	for p := t.Parent; p != nil; p = p.Parent {
		if p.Lock != "" || p.MaxParallel != nil {
			return p
		}
	}
	return nil
}

// onDemandReads notes which tasks are read lazily, and reports what else is done with a task on demand.
func (l *loader) onDemandReads(t *Task, read map[*Task]bool) {
	for _, r := range t.Refs() {
		switch {
		case r.Target.Run != OnDemand:
		case r.Lazy:
			read[r.Target] = true
		default:
			l.notLazy(r.Ref, r.Target)
		}
	}
	for _, n := range t.Needs {
		if n.Target.Run == OnDemand && (n.Reason == ByNeeds || n.Reason == ByBefore) {
			l.diags.Errorf(n.Pos, "`%s` runs on demand, so nothing can wait for it", n.Target.Path).
				Hintf("it runs when a lazy parameter reads its outputs")
		}
	}
}

func (l *loader) notLazy(r expr.Ref, target *Task) {
	d := l.diags.Errorf(r.Pos, "`tasks.%s` runs on demand: only a lazy parameter can read it, and this is none", r.Path[0])
	d.Note(target.Keys["run"], "`%s` runs on demand", target.Path).Len = r.Len
}

// outputRefs reports outputs of a part that a task on demand would have to compute.
func (l *loader) outputRefs(p *Playbook) {
	for _, o := range p.Outputs {
		o.Value.refs(false, func(x *Value, _ bool) {
			for _, r := range x.exprRefs() {
				if r.Root != "tasks" || len(r.Path) == 0 {
					continue
				}
				target := x.Site.Lookup(r.Path[0])
				switch {
				case target == nil:
				case target.removed.Known():
					l.diags.Errorf(r.Pos, "task `%s` is mentioned here, but an override has removed it", target.Path).
						Note(target.removed, "removed here").Len = r.Len
				case target.Run == OnDemand:
					l.notLazy(r, target)
				}
			}
		})
	}
}

// onDemand checks tasks that run on demand, and those that should.
func (l *loader) onDemand(t *Task, read bool) {
	switch {
	case t.Run != OnDemand && t.SecretOutputs && l.readers[t]:
		l.diags.Errorf(t.Pos, "the outputs of `%s` are secret and never stored, so it must run on demand", t.Path).
			Hintf("add `run: on_demand`: a resumed run then makes them again when they are needed")
	case t.Run == OnDemand && !read && t.Leaf() && !t.Allows(ruleNeverRuns):
		l.diags.Warnf(t.Keys["run"], "`%s` never runs: no lazy parameter reads its outputs", t.Path).Rule = ruleNeverRuns
	case t.Run == OnDemand && (t.Lock != "" || t.MaxParallel != nil):
		l.diags.Errorf(t.Keys["run"], "a task on demand can't take a `lock` or `max_parallel`: the task that asks for it may hold one")
	}
}

// cyclic reports the cycles of the playbook.
func (l *loader) cyclic(root *Playbook) {
	for _, cycle := range newCycleFinder(root).find() {
		l.cycle(cycle)
	}
}

// shownSteps is how much of a cycle is shown.
const shownSteps = 20

func (l *loader) cycle(cycle []cycleStep) {
	shown := cycle[:min(len(cycle), shownSteps)]
	var names []string
	for _, s := range shown {
		names = append(names, s.task.Path)
	}
	if more := len(cycle) - len(shown); more > 0 {
		names = append(names, fmt.Sprintf("(%d more)", more))
	}
	names = append(names, cycle[0].task.Path)
	d := l.diags.Errorf(cycle[0].need.Pos, "tasks wait for each other: %s", strings.Join(names, " → "))
	for _, s := range shown {
		noteCycle(d, s)
	}
	d.Hintf("→ reads \"waits for\": one of these has to go")
}

func noteCycle(d *diag.Diagnostic, s cycleStep) {
	next := s.need.Target
	switch s.need.Reason {
	case ByNeeds:
		d.Note(s.need.Pos, "`%s` needs `%s`", s.task.Path, next.Path)
	case ByBefore:
		d.Note(s.need.Pos, "`%s` is to run before `%s`", next.Path, s.task.Path)
	case ByOrder:
		d.Note(s.need.Pos, "`%s` is a step after `%s`", s.task.Path, next.Path)
	default:
		d.Note(s.need.Pos, "`%s` reads `%s`", s.task.Path, next.Path)
	}
}
