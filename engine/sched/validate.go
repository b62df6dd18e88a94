package sched

import (
	"errors"
	"fmt"
)

// validate finds what a plan must never contain. People see the findings of package plan, with positions, first.
func validate(spec *Spec) error {
	v := validator{spec: spec, seen: make([]int, spec.Hosts)}
	for k := range spec.Tasks {
		t := &spec.Tasks[k]
		v.check(t.ID, t.Hosts, t.Needs, t.Group, min(t.MaxParallel, t.MaxFailures), t.Run <= OnDemand)
	}
	for k := range spec.Groups {
		s := &spec.Groups[k]
		v.check(s.ID, s.Hosts, s.Needs, s.Group, min(s.MaxParallel, s.MaxFailures), s.Run < OnDemand)
		v.nesting(k)
	}
	return errors.Join(v.errs...)
}

type validator struct {
	spec *Spec
	seen []int // the last list in which a host was seen
	list int
	errs []error
}

func (v *validator) fail(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf(format, args...))
}

func (v *validator) check(id string, hosts []int, needs []Need, group, smallest int, runOK bool) {
	if !runOK {
		v.fail("%s: unknown value of Run", id)
	}
	if smallest < 0 {
		v.fail("%s: negative limit", id)
	}
	if group < None || group >= len(v.spec.Groups) {
		v.fail("%s: no group %d", id, group)
	}
	for _, n := range needs {
		if n.Task < 0 || n.Task >= len(v.spec.Tasks) {
			v.fail("%s: needs task %d, which does not exist", id, n.Task)
		}
	}
	v.hosts(id, hosts)
}

func (v *validator) hosts(id string, hosts []int) {
	v.list++
	for _, h := range hosts {
		switch {
		case h < 0 || h >= v.spec.Hosts:
			v.fail("%s: no host %d", id, h)
		case v.seen[h] == v.list:
			v.fail("%s: host %d is there twice", id, h)
		default:
			v.seen[h] = v.list
		}
	}
}

func (v *validator) nesting(group int) {
	p := group
	for range v.spec.Groups {
		if p = v.spec.Groups[p].Group; p < 0 || p >= len(v.spec.Groups) {
			return
		}
		if p == group {
			v.fail("%s: lies inside itself", v.spec.Groups[group].ID)
			return
		}
	}
}
