package run

import (
	"encoding/json"
	"slices"

	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
)

// leaf is a task with what the executor asks of it for every instance, worked out once.
type leaf struct {
	*plan.Leaf
	pos       string
	lazy      bool
	producers []int        // leaves that run on demand for its lazy parameters
	read      bool         // an expression reads its outputs
	uses      bool         // it may ask something of the controller
	kept      bool         // somebody asks what came of it after its end
	data      []sched.Need // leaves whose outputs its parameters read
	after     []sched.Need // what it needs, with the needs of the groups around it
}

func makeLeaves(p *plan.Plan) []*leaf {
	out := make([]*leaf, len(p.Leaves))
	for i, l := range p.Leaves {
		_, uses := l.Task.Kind.New().(task.ControllerUser)
		out[i] = &leaf{Leaf: l, pos: l.Task.Pos.String(), uses: uses}
	}
	for _, l := range out {
		for _, e := range l.Needs {
			switch e.Need.Reason {
			case playbook.ByLazy:
				l.lazy = true
				add(&l.producers, e.From)
			case playbook.ByData:
				add(&l.data, sched.Need{Task: e.From, Form: e.Form})
				out[e.From].kept = true
			}
		}
		l.lazy = l.lazy || hasLazy(l.Task.Params)
		l.kept = l.kept || l.Task.Run == playbook.OnDemand
		l.after = needsOf(p.Spec, p.Spec.Tasks[l.Index].Needs, p.Spec.Tasks[l.Index].Group)
	}
	for t := range readers(p) {
		if i, ok := p.LeafOf(t); ok {
			out[i].read, out[i].kept = true, true
		}
	}
	return out
}

// waits tells whether a task only waits for what others do.
func (l *leaf) waits() bool {
	w, ok := l.Task.Kind.New().(task.Waiter)
	return ok && w.Waits()
}

// looks tells whether a task with these parameters only looks at its host.
func (l *leaf) looks(items []json.RawMessage) bool {
	return slices.ContainsFunc(items, func(item json.RawMessage) bool {
		t := l.Task.Kind.New()
		looker, ok := t.(task.Looker)
		return ok && json.Unmarshal(item, t) == nil && looker.Looks()
	})
}

// usesOf is what the host may ask of the controller for these parameters. Those that can't be read are an error of the host's.
func (l *leaf) usesOf(items []json.RawMessage) (all task.ControllerUse) {
	if !l.uses {
		return all
	}
	for _, item := range items {
		t := l.Task.Kind.New()
		if u, ok := t.(task.ControllerUser); ok && json.Unmarshal(item, t) == nil {
			use := u.Uses()
			all.Files, all.URLs = append(all.Files, use.Files...), append(all.URLs, use.URLs...)
		}
	}
	return all
}

// needsOf are needs, and those of the groups around.
func needsOf(spec *sched.Spec, needs []sched.Need, group int) []sched.Need {
	needs = slices.Clone(needs)
	for ; group != sched.None; group = spec.Groups[group].Group {
		needs = append(needs, spec.Groups[group].Needs...)
	}
	return needs
}

// readers are the tasks that any expression reads, those behind the outputs of parts included.
func readers(p *plan.Plan) map[*playbook.Task]bool {
	read := map[*playbook.Task]bool{}
	for _, t := range p.Playbook.All() {
		for _, r := range t.Refs() {
			markRead(read, r.Target)
		}
	}
	return read
}

func markRead(read map[*playbook.Task]bool, t *playbook.Task) {
	if read[t] {
		return
	}
	read[t] = true
	if t.Part == nil {
		return
	}
	for _, o := range t.Part.Outputs {
		o.Value.Walk(func(v *playbook.Value) {
			for _, r := range refsIn(v) {
				if inner := v.Site.Lookup(r); inner != nil {
					markRead(read, inner)
				}
			}
		})
	}
}

// refsIn are the ids of the tasks that the expressions right in a value mention.
func refsIn(v *playbook.Value) []string {
	var refs []expr.Ref
	if v.Expr != nil {
		refs = v.Expr.Refs()
	}
	if v.Template != nil {
		refs = append(refs, v.Template.Refs()...)
	}
	var ids []string
	for _, r := range refs {
		if r.Root == "tasks" && len(r.Path) > 0 {
			ids = append(ids, r.Path[0])
		}
	}
	return ids
}

func add[T comparable](list *[]T, x T) {
	if !slices.Contains(*list, x) {
		*list = append(*list, x)
	}
}

func hasLazy(v *playbook.Value) bool {
	found := false
	if v != nil {
		v.Walk(func(x *playbook.Value) { found = found || x.Lazy })
	}
	return found
}
