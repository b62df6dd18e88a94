package sched_test

import (
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// reference works out how a random playbook must end, one instance at a time, by asking each for what it needs. It knows
// no time, no limits and no order: what the semantics leave to these is not generated.
type reference struct {
	*random
	spec    *sched.Spec
	task    map[key]event.Status
	started map[key]bool
	calls   map[key]int
	entry   map[key]event.Status // of groups: OK is entered
	group   map[key]event.Status
}

func newReference(g *random) *reference {
	r := &reference{random: g, spec: &g.play.spec, task: map[key]event.Status{}, started: map[key]bool{},
		calls: map[key]int{}, entry: map[key]event.Status{}, group: map[key]event.Status{}}
	for k, task := range r.spec.Tasks {
		for _, h := range task.Hosts {
			if task.Run != sched.OnDemand {
				r.final(key{k, h})
			}
		}
	}
	return r
}

// final is the result of a task after all groups around it are left.
func (r *reference) final(at key) event.Status {
	if r.spec.Tasks[at.index].Run == sched.OnDemand {
		return r.task[at]
	}
	return r.seen(at, sched.None)
}

// seen is the result of a task as seen from within a group.
func (r *reference) seen(at key, from int) event.Status {
	outermost := sched.None
	for p := r.spec.Tasks[at.index].Group; p != sched.None && !within(r.spec, from, p); p = r.spec.Groups[p].Group {
		outermost = p
	}
	if outermost != sched.None {
		r.leave(key{outermost, at.host})
	}
	return r.result(at)
}

func (r *reference) result(at key) event.Status {
	if s, ok := r.task[at]; ok {
		return s
	}
	s := r.decide(at)
	r.task[at] = s
	return s
}

func (r *reference) decide(at key) event.Status {
	t := r.spec.Tasks[at.index]
	if t.Group != sched.None {
		if s := r.enter(key{t.Group, at.host}); s != event.OK {
			return s
		}
	}
	if s := r.verdict(t.Needs, t.Run, t.Group, at.host); s != event.OK {
		return s
	}
	if t.When && !r.condOf[at] {
		return event.Skipped
	}
	attempts := 1
	if t.Retry != nil {
		attempts = t.Retry.Attempts
	}
	for {
		attempts--
		if s := r.do(at); s == event.OK || attempts == 0 {
			return s
		}
	}
}

func (r *reference) do(at key) event.Status {
	r.started[at] = true
	r.calls[at]++
	f := r.fate[at]
	if f.demands != sched.None {
		if s := r.demand(key{f.demands, at.host}); !s.Good() {
			return event.Failed
		}
	}
	if r.calls[at] <= f.fails {
		return f.as
	}
	return event.OK
}

// demand is the result of an OnDemand instance, or Failed if it can't be had.
func (r *reference) demand(at key) event.Status {
	t := r.spec.Tasks[at.index]
	for _, h := range t.Hosts {
		if h != at.host {
			continue
		}
		if t.Group != sched.None && r.enter(key{t.Group, at.host}) != event.OK {
			return event.Failed
		}
		return r.result(at)
	}
	return event.Failed
}

// verdict is OK if something runs by its needs and its Run.
func (r *reference) verdict(needs []sched.Need, run sched.Run, group, host int) event.Status {
	var bad, failed, blocked, started bool
	count := 0
	for _, n := range needs {
		t := r.spec.Tasks[n.Task]
		if t.Run == sched.OnDemand {
			continue
		}
		count += len(t.Hosts)
		for _, h := range t.Hosts {
			if n.Form == sched.SameHost && h != host {
				continue
			}
			at := key{n.Task, h}
			s := r.seen(at, group)
			started = started || r.started[at]
			failed = failed || !s.Good()
			blocked = blocked || s == event.Blocked
			bad = bad || !s.Good() && !r.tolerated(at, s, group)
		}
	}
	switch {
	case run == sched.OnSuccess && bad, run == sched.Always && group != sched.None && count > 0 && !started && blocked:
		return event.Blocked
	case run == sched.OnFailure && !failed, run == sched.Always && group != sched.None && count > 0 && !started:
		return event.Skipped
	}
	return event.OK
}

func (r *reference) tolerated(at key, s event.Status, from int) bool {
	t := r.spec.Tasks[at.index]
	if s != event.Blocked && (t.AllowFailure || t.MaxFailures > 0) {
		return true
	}
	for p := t.Group; p != sched.None && !within(r.spec, from, p); p = r.spec.Groups[p].Group {
		g := r.spec.Groups[p]
		if (g.AllowFailure || g.MaxFailures > 0) && isFailure(r.leave(key{p, at.host})) {
			return true
		}
	}
	return false
}

func isFailure(s event.Status) bool { return s == event.Failed || s == event.Unreachable }

// enter is OK if a group is entered, and otherwise what all inside is.
func (r *reference) enter(at key) event.Status {
	if s, ok := r.entry[at]; ok {
		return s
	}
	g := r.spec.Groups[at.index]
	s := event.OK
	if g.Group != sched.None {
		s = r.enter(key{g.Group, at.host})
	}
	if s == event.OK {
		s = r.verdict(g.Needs, g.Run, g.Group, at.host)
	}
	if s == event.OK && g.When && !r.condIn[at] {
		s = event.Skipped
	}
	r.entry[at] = s
	return s
}

// leave is the result of a group, after all its attempts.
func (r *reference) leave(at key) event.Status {
	if s, ok := r.group[at]; ok {
		return s
	}
	attempts := 1
	if retry := r.spec.Groups[at.index].Retry; retry != nil {
		attempts = retry.Attempts
	}
	for {
		attempts--
		s := r.enter(at)
		if s == event.OK {
			s = r.inside(at)
		}
		if !isFailure(s) || attempts == 0 {
			r.group[at] = s
			return s
		}
		r.forget(at)
	}
}

// inside is the worst result right inside a group that is not tolerated there.
func (r *reference) inside(at key) event.Status {
	worst := event.OK
	for k, t := range r.spec.Tasks {
		if c := (key{k, at.host}); t.Group == at.index && t.Run != sched.OnDemand && r.runs(t.Hosts, at.host) {
			s := r.result(c)
			if !(isFailure(s) && (t.AllowFailure || t.MaxFailures > 0)) {
				worst = worse(worst, s)
			}
		}
	}
	for k, g := range r.spec.Groups {
		if c := (key{k, at.host}); g.Group == at.index {
			s := r.leave(c)
			if !(isFailure(s) && (g.AllowFailure || g.MaxFailures > 0)) {
				worst = worse(worst, s)
			}
		}
	}
	return worst
}

func (r *reference) runs(on []int, host int) bool {
	for _, h := range on {
		if h == host {
			return true
		}
	}
	return false
}

func worse(a, b event.Status) event.Status {
	if isFailure(a) || isFailure(b) {
		return event.Failed
	}
	if a == event.Blocked || b == event.Blocked {
		return event.Blocked
	}
	return event.OK
}

// forget takes back all results inside a group on a host.
func (r *reference) forget(at key) {
	for k, t := range r.spec.Tasks {
		if c := (key{k, at.host}); within(r.spec, t.Group, at.index) && t.Run != sched.OnDemand {
			delete(r.task, c)
			delete(r.started, c)
		}
	}
	for k := range r.spec.Groups {
		if c := (key{k, at.host}); k != at.index && within(r.spec, k, at.index) {
			delete(r.entry, c)
			delete(r.group, c)
		}
	}
}
