package plan

import (
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
)

// reads says what a value depends on of all that may differ: between hosts, and from one moment to the next.
type reads struct {
	unknown bool       // of something that can't be told apart: outputs of tasks, files whose name is computed
	whole   bool       // of its host as a whole
	lists   bool       // of lists of hosts, and so of the facts of all
	host    [][]string // of these members of its host
}

// reader collects what a value reads, through the arguments of parts.
type reader struct {
	*Plan
	out   *reads
	lazy  bool
	item  bool // the turn of the loop is no news: it comes from the loop, which was looked at
	hosts []int
}

func (p *Plan) readsOfLeaf(l *Leaf) *reads {
	r := &reader{Plan: p, out: &reads{}, hosts: p.hostsOf[l.Task]}
	r.value(l.Task.ForEach)
	r.item = l.Task.ForEach != nil
	r.value(l.Task.Params)
	return r.out
}

func (p *Plan) readsOfValue(v *playbook.Value) *reads {
	r := &reader{Plan: p, out: &reads{}, lazy: true}
	r.value(v)
	return r.out
}

func (p *Plan) readsOfCode(c *playbook.Code) *reads {
	r := &reader{Plan: p, out: &reads{}}
	r.code(c.Refs(), c.Site, c.Text())
	return r.out
}

func (r *reader) value(v *playbook.Value) {
	if v == nil || v.Lazy && !r.lazy {
		return
	}
	for _, x := range v.List {
		r.value(x)
	}
	for _, e := range v.Map {
		r.value(e.Value)
	}
	if v.Form == playbook.FileForm && v.Local == nil {
		r.out.unknown = true
	}
	switch {
	case v.Expr != nil:
		r.code(v.Expr.Refs(), v.Site, v.Expr.Text())
	case v.Template != nil:
		for _, e := range v.Template.Exprs() {
			r.code(e.Refs(), v.Site, e.Text())
		}
	}
}

func (r *reader) code(refs []expr.Ref, site playbook.Site, text string) {
	if strings.Contains(text, expr.LookupKey) {
		r.out.unknown = true // files change
	}
	for _, ref := range refs {
		r.ref(ref, site)
	}
}

func (r *reader) ref(ref expr.Ref, site playbook.Site) {
	switch ref.Root {
	case "inputs":
		r.inputs(ref.Path, site.File)
	case "hosts", "groups":
		r.out.lists = true
	case "run":
	case "host":
		if len(ref.Path) == 0 {
			r.out.unknown, r.out.whole = true, true
			return
		}
		if !slices.ContainsFunc(r.out.host, func(p []string) bool { return slices.Equal(p, ref.Path) }) {
			r.out.host = append(r.out.host, ref.Path)
		}
	case "tasks":
		r.task(ref.Path, site)
	case "item":
		r.out.unknown = r.out.unknown || !r.item
	case "result":
		r.out.unknown = true
	} // else a name that a loop of the template gives: what it goes over is another of these
}

// inputs of a part are what is given for them.
func (r *reader) inputs(path []string, file *playbook.Playbook) {
	if file.Use == nil {
		return
	}
	for name, arg := range file.Args {
		if len(path) == 0 || path[0] == name {
			outer := *r
			outer.lazy = true
			outer.value(arg.Value)
		}
	}
}

// task is what is read of a task. Of that only outputs of a part are known beforehand, where they are the same on all
// hosts and every host that reads them has them.
func (r *reader) task(path []string, site playbook.Site) {
	t := site.Lookup(first(path))
	if t == nil || t.Part == nil || len(path) < 2 || path[1] != "outputs" || len(r.hosts) == 0 {
		r.out.unknown = true
		return
	}
	inner := &reader{Plan: r.Plan, out: &reads{}}
	for _, o := range t.Part.Outputs {
		inner.value(o.Value)
	}
	constant := !inner.out.unknown && !inner.out.lists && len(inner.out.host) == 0
	everywhere := len(r.hostsOf[t]) == 1 || subset(r.hosts, r.hostsOf[t])
	r.out.unknown = r.out.unknown || !constant || !everywhere
}
