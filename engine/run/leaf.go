package run

import (
	"slices"

	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
)

// leaf is a task with what the executor asks of it for every instance, worked out once.
type leaf struct {
	*plan.Leaf
	lazy      bool
	producers []int // leaves that run on demand for its lazy parameters
	read      bool  // another task reads its outputs
	data      []int // leaves whose outputs its parameters read
}

func makeLeaves(p *plan.Plan) []*leaf {
	out := make([]*leaf, len(p.Leaves))
	for i, l := range p.Leaves {
		out[i] = &leaf{Leaf: l}
	}
	for _, l := range out {
		for _, e := range l.Needs {
			switch e.Need.Reason {
			case playbook.ByLazy:
				l.lazy = true
				add(&l.producers, e.From)
			case playbook.ByData:
				add(&l.data, e.From)
				out[e.From].read = true
			}
		}
		l.lazy = l.lazy || hasLazy(l.Task.Params)
	}
	return out
}

func add(list *[]int, x int) {
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
