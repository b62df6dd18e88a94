package playbook

import (
	"encoding/json"
	"slices"

	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
)

// Secrets are a taint: what is computed from one is one. It follows the names in expressions, before any is checked,
// through arguments and outputs of parts.

type secretKey struct {
	file *Playbook
	name string // of an input
}

type secretState uint8

const (
	secretOpen secretState = iota + 1 // being found out
	secretNo
	secretYes
)

// secretInput tells whether an input of a file holds a secret: it is declared so, or what is given for it is computed
// from one.
func (l *loader) secretInput(pb *Playbook, name string) bool {
	key := secretKey{pb, name}
	if s, known := l.secrets[key]; known {
		return s == secretYes
	}
	l.secrets[key] = secretOpen
	in, declared := pb.Inputs.Get(name)
	arg := pb.Args[name]
	secret := declared && in.Secret || arg != nil && l.tainted(arg.Value)
	l.secrets[key] = secretNo
	if secret {
		l.secrets[key] = secretYes
	}
	return secret
}

// tainted tells whether any expression of a value reads a secret.
func (l *loader) tainted(v *Value) bool {
	found := false
	v.Walk(func(x *Value) {
		found = found || slices.ContainsFunc(x.exprRefs(), func(r expr.Ref) bool { return l.secretRef(r, x.Site) })
	})
	return found
}

func (l *loader) secretRef(r expr.Ref, site Site) bool {
	switch {
	case r.Root == "inputs" && len(r.Path) == 0:
		return slices.ContainsFunc(site.File.Inputs, func(in *Input) bool { return l.secretInput(site.File, in.Name) })
	case r.Root == "inputs":
		return l.secretInput(site.File, r.Path[0])
	case r.Root == "tasks" && len(r.Path) > 0:
		t := site.Lookup(r.Path[0])
		return t != nil && l.secretOutput(t, r.Path[1:])
	}
	return false
}

// secretOutput tells whether what a path says of a task is secret: outputs.token, status.
func (l *loader) secretOutput(t *Task, path []string) bool {
	switch {
	case len(path) > 0 && (path[0] == "status" || path[0] == "changed") || t.removed.Known():
		return false
	case t.SecretOutputs:
		return true
	case t.Part != nil:
		return slices.ContainsFunc(t.Part.Outputs, func(o *Output) bool {
			return (len(path) < 2 || path[0] != "outputs" || path[1] == o.Name) && l.tainted(o.Value)
		})
	case t.Leaf():
		outputs := l.kind(t.Kind.Name).outputs
		if len(path) == 0 || path[0] != "outputs" {
			return holdsSecret(outputs)
		}
		return secretField(outputs, path[1:])
	}
	return false
}

// secretField follows a path through a type: a secret on the way, or one inside of what it ends at.
func secretField(t *shape.Type, path []string) bool {
	for _, name := range path {
		if t == nil {
			return false
		}
		f, ok := t.Field(name)
		if !ok {
			return holdsSecret(t)
		}
		if f.Secret {
			return true
		}
		t = f.Type
	}
	return holdsSecret(t)
}

func holdsSecret(t *shape.Type) bool {
	if t == nil {
		return false
	}
	return holdsSecret(t.Elem) || slices.ContainsFunc(t.Fields, func(f shape.Field) bool { return f.Secret || holdsSecret(f.Type) })
}

// secretByParams asks the parameters themselves whether their outputs are secret, where that depends on which of several
// arms a task has (kubeadm's token): an optional method SecretOutputs of the parameter struct. Only constants are looked
// at; what is computed is zero.
func (l *loader) secretByParams(t *Task) bool {
	p := t.Kind.New()
	asker, ok := p.(interface{ SecretOutputs() bool })
	if !ok {
		return false
	}
	text, err := json.Marshal(known(t.Params))
	if err != nil || json.Unmarshal(text, p) != nil {
		return false
	}
	return asker.SecretOutputs()
}

// known is the constant part of a parameter.
func known(v *Value) any {
	switch {
	case v == nil || v.wrong && v.Form == Literal:
		return nil
	case v.Form == Literal:
		return v.Plain
	case v.Form == ListForm:
		list := []any{}
		for _, x := range v.List {
			if k := known(x); k != nil {
				list = append(list, k)
			}
		}
		return list
	case v.Form == MapForm:
		m := map[string]any{}
		for _, e := range v.Map {
			if k := known(e.Value); k != nil {
				m[e.Key] = k
			}
		}
		return m
	}
	return nil
}
