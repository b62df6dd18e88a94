package playbook

import (
	"maps"
	"slices"

	"github.com/kflow/kflow/engine/expr"
)

// Known is what of v can be computed before a host is reached: members of maps and elements of lists are left out where
// they depend on facts or tasks, or can't be computed (an input is missing). What depends on the architecture of the host
// alone is given for amd64. complete tells that all is known but lazy parameters. With item, the element of for_each counts as known. env gives the environment of one value. The result
// is not to be carried out: contents of files are not read.
// secrets are the texts in it that must be masked.
func (v *Value) Known(env func(*Value) (expr.Env, error), item bool) (value any, complete bool, secrets []string) {
	k := knower{env: env, item: item, complete: true}
	value = k.value(v)
	return value, k.complete, k.secrets
}

type knower struct {
	env      func(*Value) (expr.Env, error)
	item     bool
	complete bool
	secrets  []string
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
	known := v.static(k.item, false)
	if !known && !v.static(k.item, true) {
		return nil, false
	}
	env := func(Site) (expr.Env, error) {
		e, err := k.env(v)
		if err == nil && !known {
			e = likely(e)
		}
		return e, err
	}
	s := &resolution{Resolver: Resolver{Envs: env}, out: Resolved{Blobs: map[string]Blob{}}}
	x, err := s.value(v)
	k.secrets = append(k.secrets, s.out.Secrets...)
	if err != nil {
		return nil, false
	}
	return x, known
}

// likely is an environment in which the host has the architecture that most have. Where it is a part of a URL or a path,
// the rest of that says as much as if it were known: the version of a download.
func likely(env expr.Env) expr.Env {
	host, ok := env["host"].(map[string]any)
	if !ok {
		return env
	}
	env, host = maps.Clone(env), maps.Clone(host)
	host["facts"] = map[string]any{"arch": "amd64"}
	env["host"] = host
	return env
}

// static is Static of v alone, where `item` may count as known, and so may the architecture of the host.
func (v *Value) static(item, arch bool) bool {
	text := v.source
	if v.Expr != nil {
		text = v.Expr.Text()
	}
	refs := slices.DeleteFunc(slices.Clone(v.exprRefs()), func(r expr.Ref) bool {
		return item && r.Root == "item" || arch && r.Root == "host" && slices.Equal(r.Path, []string{"facts", "arch"})
	})
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
