package plan

import (
	"slices"
	"time"

	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
)

// makeSpec turns the tree into what the scheduler takes.
func (m *maker) makeSpec() {
	m.Spec = &sched.Spec{Hosts: len(m.Hosts), Retry: healing()}
	for _, t := range m.Playbook.All() {
		if !t.Leaf() && m.real(t) {
			m.groupOf[t] = len(m.Groups)
			m.Groups = append(m.Groups, t)
		}
	}
	for _, t := range m.Groups {
		m.Spec.Groups = append(m.Spec.Groups, m.group(t))
	}
	for _, l := range m.Leaves {
		m.Spec.Tasks = append(m.Spec.Tasks, m.leaf(l))
		m.waitsInside(l)
	}
	m.needsNobody()
	m.nothingToDo()
}

// nothingToDo says that a run would end well without having done anything: nobody means it so.
func (m *maker) nothingToDo() {
	if m.sketch || len(m.Leaves) == 0 || m.Instances() > 0 {
		return
	}
	d := m.found.Warnf(m.Playbook.Pos, "nothing is to be done: no task runs on any host of %s", m.Inventory.File)
	if m.limit != nil || len(m.only) > 0 {
		d.Hintf("--limit and --only leave nothing over")
	}
}

// needsNobody says once of each task that is needed and runs on no host of this inventory: the need counts as met, and
// perhaps nobody meant it so.
func (m *maker) needsNobody() {
	if len(m.Hosts) == 0 {
		return
	}
	said := map[*playbook.Task]bool{}
	for _, t := range m.Playbook.All() {
		for _, n := range t.Needs {
			if n.Reason != playbook.ByNeeds || said[n.Target] || len(m.hostsOf[n.Target]) > 0 || len(m.hostsOf[t]) == 0 {
				continue
			}
			said[n.Target] = true
			m.found.Warnf(n.Pos, "`%s` runs on no host of %s: this need is met", n.Target.Path, m.Inventory.File)
		}
	}
}

// waitsInside refuses what would wait for ever: a step that waits for all hosts inside a block that lets in a part of
// them, or that starts again on one of them.
func (m *maker) waitsInside(l *Leaf) {
	for _, e := range l.Needs {
		if e.Form != sched.AllHosts {
			continue
		}
		for p := l.Task.Parent; p != nil; p = p.Parent {
			if (p.Lock == "" && p.MaxParallel == nil && p.Retry == nil) || !inside(m.Leaves[e.From].Task, p) {
				continue
			}
			m.found.Errorf(e.Need.Pos, "`%s` waits here for all hosts of `%s`, inside `%s`, which holds a lock, has max_parallel or retry",
				l.Task.Path, m.Leaves[e.From].Task.Path, p.Path).Hintf("write `%s@host`, or move one of them out of the block", m.Leaves[e.From].Task.ID)
		}
	}
}

func inside(t, block *playbook.Task) bool {
	for p := t.Parent; p != nil; p = p.Parent {
		if p == block {
			return true
		}
	}
	return false
}

// healing is the policy for failures that can heal by themselves: a lock is held, an API is not up yet.
func healing() sched.Retry {
	return sched.Retry{Attempts: 4, Delay: 2 * time.Second, Backoff: 2, MaxDelay: 15 * time.Second}
}

// real tells whether a block or part decides or holds something, so that the scheduler must know it.
func (m *maker) real(t *playbook.Task) bool {
	if t.When != nil || t.Lock != "" || t.MaxParallel != nil || t.MaxFailures != nil || t.AllowFailure || t.Retry != nil ||
		t.Run != playbook.OnSuccess {
		return true
	}
	return slices.ContainsFunc(t.Steps, func(s *playbook.Task) bool { return s.Run == playbook.Always })
}

// around is the group of the scheduler around a task.
func (m *maker) around(t *playbook.Task) int {
	for p := t.Parent; p != nil; p = p.Parent {
		if g, ok := m.groupOf[p]; ok {
			return g
		}
	}
	return sched.None
}

func (m *maker) group(t *playbook.Task) sched.Group {
	hosts := m.filter(m.hostsOf[t])
	count := m.counts(t, len(hosts))
	edges := m.needs(t)
	m.GroupNeeds = append(m.GroupNeeds, edges)
	return sched.Group{
		ID: t.Path, Hosts: hosts, Needs: m.forSched(edges), Run: runOf(t.Run), When: t.When != nil,
		Group: m.around(t), Lock: t.Lock, MaxParallel: count.parallel, MaxFailures: count.failures, FailFast: count.failFast,
		AllowFailure: t.AllowFailure, Retry: count.retry,
	}
}

func (m *maker) leaf(l *Leaf) sched.Task {
	t := l.Task
	l.Needs = m.needs(t)
	if t.Run == playbook.Always && t.Parent != nil {
		m.addFinally(l)
	}
	count := m.counts(t, len(l.Hosts))
	return sched.Task{
		ID: t.Path, Hosts: l.Hosts, Needs: m.forSched(l.Needs), Run: runOf(t.Run), When: t.When != nil, Group: m.around(t),
		Lock: t.Lock, MaxParallel: count.parallel, MaxFailures: count.failures, FailFast: count.failFast,
		AllowFailure: t.AllowFailure, Timeout: count.timeout, Retry: count.retry, Class: t.Kind.Class,
		Weight: m.weightOf(t.Path), Remote: l.Place.Elsewhere, DurableStart: acts(t),
	}
}

// acts tells whether a task may be an action: that it starts must be on disk before it does.
func acts(t *playbook.Task) bool {
	_, ok := t.Kind.New().(task.Actor)
	return ok
}

// addFinally makes a `run: always` in a block need every step before it: it runs where any of them was started.
func (m *maker) addFinally(l *Leaf) {
	for _, step := range l.Task.Parent.Steps {
		if step == l.Task {
			return
		}
		for _, before := range step.Leaves() {
			e := Edge{From: m.leafOf[before], To: l.Index, Form: sched.SameHost, Need: playbook.Need{Target: before, Reason: playbook.ByOrder, Pos: l.Task.Pos}}
			if !slices.ContainsFunc(l.Needs, func(x Edge) bool { return x.From == e.From }) {
				l.Needs = append(l.Needs, e)
			}
		}
	}
}

func (m *maker) weightOf(path string) time.Duration {
	if m.weight == nil {
		return 0
	}
	return time.Duration(m.weight(path) * float64(time.Second))
}

func runOf(r playbook.Run) sched.Run {
	switch r {
	case playbook.OnFailure:
		return sched.OnFailure
	case playbook.Always:
		return sched.Always
	case playbook.OnDemand:
		return sched.OnDemand
	}
	return sched.OnSuccess
}

// forSched leaves out what only people want to see: edges to tasks that run on demand, and those that --only took away.
func (m *maker) forSched(edges []Edge) []sched.Need {
	var out []sched.Need
	for _, e := range edges {
		n := sched.Need{Task: e.From, Form: e.Form}
		if m.Leaves[e.From].Task.Run == playbook.OnDemand || len(m.Leaves[e.From].Hosts) == 0 || slices.Contains(out, n) {
			continue
		}
		out = append(out, n)
	}
	return out
}

// needs are the edges into a leaf or a group of the scheduler: its own, and those of dissolved blocks around it.
func (m *maker) needs(t *playbook.Task) []Edge {
	var edges []Edge
	m.addNeeds(&edges, t, t)
	inner := t
	for p := t.Parent; p != nil; p = p.Parent {
		if _, group := m.groupOf[p]; group || m.follows(inner) {
			break
		}
		m.addNeeds(&edges, t, p)
		inner = p
	}
	return edges
}

func (m *maker) addNeeds(edges *[]Edge, t, holder *playbook.Task) {
	for _, n := range holder.Needs {
		for _, target := range m.ends(n.Target) {
			from := m.leafOf[target]
			e := Edge{From: from, Form: m.form(n.Form, t, target), Need: n}
			if to, ok := m.leafOf[t]; ok {
				e.To = to
			}
			if !slices.ContainsFunc(*edges, func(x Edge) bool { return x.From == e.From && x.Form == e.Form && x.Need.Reason == e.Need.Reason }) {
				*edges = append(*edges, e)
			}
		}
	}
}

// form resolves a need between t and one leaf.
func (m *maker) form(f playbook.Form, t, target *playbook.Task) sched.Form {
	switch f {
	case playbook.All:
		return sched.AllHosts
	case playbook.Host:
		return sched.SameHost
	}
	if subset(m.hostsOf[t], m.hostsOf[target]) {
		return sched.SameHost
	}
	return sched.AllHosts
}

// follows tells whether a step waits for another step of its block, host by host on the same hosts: then whatever the
// block needs has been waited for already.
func (m *maker) follows(t *playbook.Task) bool {
	if t.Parent == nil || t.Run != playbook.OnSuccess {
		return false
	}
	return slices.ContainsFunc(t.Needs, func(n playbook.Need) bool { return m.chained(t, n) })
}

// chained tells whether need n of t makes everything before its target be done before t, too.
func (m *maker) chained(t *playbook.Task, n playbook.Need) bool {
	return n.Target.Parent == t.Parent && n.Form != playbook.All && plain(n.Target) && n.Target.Leaf() && t.Leaf() &&
		slices.Equal(m.hostsOf[t], m.hostsOf[n.Target])
}

func plain(t *playbook.Task) bool {
	return t.Run == playbook.OnSuccess && !t.AllowFailure && t.MaxFailures == nil && t.MaxParallel == nil
}

// ends are the leaves of t that no other leaf of t waits for: when they are met, all are.
func (m *maker) ends(t *playbook.Task) []*playbook.Task {
	if t.Leaf() {
		return []*playbook.Task{t}
	}
	leaves := t.Leaves()
	waited := map[*playbook.Task]bool{}
	for _, l := range leaves {
		if l.Run != playbook.OnSuccess {
			continue
		}
		for _, n := range l.Needs {
			if m.chained(l, n) {
				waited[n.Target] = true
			}
		}
	}
	var out []*playbook.Task
	for _, l := range leaves {
		if !waited[l] {
			out = append(out, l)
		}
	}
	return out
}
