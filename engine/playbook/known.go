package playbook

import (
	"slices"

	"github.com/kflow/kflow/engine/expr"
)

// Known is what of v can be computed before a host is reached: members of maps and elements of lists are left out where
// they depend on facts or tasks, or can't be computed (an input is missing). complete tells that nothing is left out but
// lazy parameters. With item, the element of for_each counts as known. env gives the environment of one value. The result
// is not to be carried out: contents of files are not read.
func (v *Value) Known(env func(*Value) (expr.Env, error), item bool) (value any, complete bool) {
	k := knower{env: env, item: item, complete: true}
	value = k.value(v)
	return value, k.complete
}

type knower struct {
	env      func(*Value) (expr.Env, error)
	item     bool
	complete bool
}

func (k *knower) value(v *Value) any {
	if v == nil || v.Lazy {
		return nil
	}
	switch v.Form {
	case ListForm:
		out := []any{}
		for _, e := range v.List {
			if x := k.value(e); x != nil {
				out = append(out, x)
			}
		}
		return out
	case MapForm:
		out := map[string]any{}
		for _, e := range v.Map {
			if x := k.value(e.Value); x != nil {
				out[e.Key] = x
			}
		}
		return out
	}
	x, ok := k.scalar(v)
	k.complete = k.complete && ok
	return x
}

func (k *knower) scalar(v *Value) (any, bool) {
	if v.Form == FileForm {
		if v.Local == nil {
			return nil, false
		}
		return map[string]any{"name": v.Local.Path}, true
	}
	if !v.static(k.item) {
		return nil, false
	}
	s := &resolution{Resolver: Resolver{Envs: func(Site) (expr.Env, error) { return k.env(v) }}, out: Resolved{Blobs: map[string]Blob{}}}
	x, err := s.value(v)
	if err != nil {
		return nil, false
	}
	return x, true
}

// static is Static of v alone, where `item` may count as known.
func (v *Value) static(item bool) bool {
	text := v.source
	if v.Expr != nil {
		text = v.Expr.Text()
	}
	refs := v.exprRefs()
	if item {
		refs = slices.DeleteFunc(slices.Clone(refs), func(r expr.Ref) bool { return r.Root == "item" })
	}
	return staticRefs(refs, v.Site, text)
}

// PerHost tells whether v may be another value on each host.
func (v *Value) PerHost() bool {
	found := false
	v.Walk(func(x *Value) { found = found || perHost(x.exprRefs(), x.Site) })
	return found
}

// PerHost tells whether c may be another value on each host.
func (c *Code) PerHost() bool { return perHost(c.Refs(), c.Site) }

func perHost(refs []expr.Ref, site Site) bool {
	return slices.ContainsFunc(refs, func(r expr.Ref) bool {
		if r.Root != "inputs" || len(r.Path) == 0 {
			return r.Root == "host" || r.Root == "inputs" && site.File.Use != nil
		}
		arg := site.File.Args[r.Path[0]]
		return arg != nil && arg.Value.PerHost()
	})
}

// Conditions are the `when` of a task and of all around it, outermost first.
func (t *Task) Conditions() []*Code {
	when, _ := t.conditions()
	return when
}
