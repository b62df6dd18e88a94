package plan

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
)

// placeTasks finds the hosts of every task, and makes the leaves.
func (m *maker) placeTasks() {
	for _, t := range m.Playbook.All() {
		m.hostsOf[t] = m.hostsFor(t)
	}
	for _, t := range m.Playbook.All() {
		if !t.Leaf() {
			m.hostsOf[t] = m.union(t)
			continue
		}
		l := &Leaf{Index: len(m.Leaves), Task: t, Place: m.place(t)}
		if chosen(t, m.only) {
			l.Hosts = m.hostsOf[t]
			if t.Run != playbook.OnDemand {
				l.Hosts = m.filter(l.Hosts)
			}
		}
		m.leafOf[t] = l.Index
		m.Leaves = append(m.Leaves, l)
	}
	m.makeSets()
}

// hostsFor evaluates `on`; without it a task has the hosts of what is around it.
func (m *maker) hostsFor(t *playbook.Task) []int {
	around := m.hostsAround(t)
	if t.On == nil {
		return around
	}
	env, err := m.placeEnv(t.On, around)
	var names []string
	if err == nil {
		names, err = expr.EvalHosts(t.On.Expr, env)
	}
	if err != nil {
		m.problem(t.On.Pos(), err)
		return nil
	}
	out := make([]int, 0, len(names))
	for _, n := range names {
		out = append(out, m.hostIndex[n])
	}
	return out
}

func (m *maker) hostsAround(t *playbook.Task) []int {
	if t.Parent != nil {
		return m.hostsOf[t.Parent]
	}
	all := make([]int, len(m.Hosts))
	for i := range all {
		all[i] = i
	}
	return all
}

// hostsEnv is the environment of `on` and `at` where `all` means these hosts.
func (m *maker) hostsEnv(all []int) expr.Env {
	groups := make(map[string][]string, len(m.groups))
	for g, names := range m.groups {
		groups[g] = names
	}
	groups["all"] = make([]string, len(all))
	for i, h := range all {
		groups["all"][i] = m.Hosts[h].Name
	}
	return expr.HostsEnv(groups, func(name string) map[string]any { return m.hostValue(m.hostIndex[name]) })
}

// placeEnv is hostsEnv with the inputs that an expression reads. One without a value can't say which hosts are meant.
func (m *maker) placeEnv(c *playbook.Code, all []int) (expr.Env, error) {
	env := m.hostsEnv(all)
	if !slices.Contains(roots(c.Refs()), "inputs") {
		return env, nil
	}
	file := c.Site.File
	b := envBuilder{Plan: m.Plan, site: c.Site, host: NoHost}
	values, err := b.inputsOf(file, firsts(c.Refs(), "inputs"))
	if err != nil {
		return nil, err
	}
	for _, name := range firsts(c.Refs(), "inputs") {
		if in, ok := file.Inputs.Get(name); ok && in.Required && values[name] == nil {
			return nil, fmt.Errorf("which hosts are meant depends on input `%s`, which has no value yet: give it with --set %s=…", name, name)
		}
	}
	env["inputs"] = values
	return env, nil
}

func (m *maker) place(t *playbook.Task) Place {
	at := t.At
	for p := t.Parent; at == nil && p != nil; p = p.Parent {
		at = p.At
	}
	if at == nil {
		return Place{}
	}
	env, err := m.placeEnv(at, m.hostsAround(t))
	var v expr.Place
	if err == nil {
		v, err = expr.EvalPlace(at.Expr, env)
	}
	if err != nil && len(m.hostsOf[t]) == 0 {
		return Place{Elsewhere: true} // nothing is carried out: without an inventory there are no hosts at all
	}
	if err != nil {
		m.problem(at.Pos(), err)
		return Place{}
	}
	if !v.Controller && len(v.Hosts) == 0 && len(m.hostsOf[t]) > 0 {
		m.found.Errorf(at.Pos(), "`%s` names no host of %s, and `%s` is to be carried out there", at.Text(), m.Inventory.File, t.Path).
			Hintf("put a host into that group, or name another place")
	}
	out := Place{Elsewhere: true, Controller: v.Controller, Reachable: v.Reachable}
	for _, n := range v.Hosts {
		out.Hosts = append(out.Hosts, m.hostIndex[n])
	}
	return out
}

func (m *maker) problem(pos diag.Pos, err error) { m.found.Errorf(pos, "%v", err) }

// union are the hosts of the leaves of a block or part, by index.
func (m *maker) union(t *playbook.Task) []int {
	own := m.hostsOf[t]
	known := make([]bool, len(m.Hosts))
	for _, h := range own {
		known[h] = true
	}
	var more []int
	for _, l := range t.Leaves() {
		for _, h := range m.hostsOf[l] {
			if !known[h] {
				known[h] = true
				more = append(more, h)
			}
		}
	}
	if len(more) == 0 {
		return own
	}
	out := append(slices.Clone(own), more...)
	sort.Ints(out)
	return out
}

func (m *maker) filter(hosts []int) []int {
	if m.limit == nil {
		return hosts
	}
	var out []int
	for _, h := range hosts {
		if m.limit[h] {
			out = append(out, h)
		}
	}
	return out
}

// counted are the numbers of a task that may depend on inputs.
type counted struct {
	parallel, failures int
	failFast           bool
	timeout            time.Duration
	retry              *sched.Retry
}

// counts evaluates them. They may depend on inputs, not on hosts.
func (m *maker) counts(t *playbook.Task, hosts int) counted {
	var c counted
	env := func(site playbook.Site) (expr.Env, error) { return m.Env(site, NoHost, nil, nil, nil) }
	timing, err := t.Timing(env)
	if err != nil && !m.sketch {
		m.problem(t.Pos, err)
	}
	c.timeout = timing.Timeout
	if t.Retry != nil {
		c.retry = &sched.Retry{Attempts: timing.Attempts, Delay: timing.Delay, Backoff: timing.Backoff, MaxDelay: timing.MaxDelay}
	}
	if c.parallel = m.count(t.MaxParallel, env, hosts); t.MaxParallel != nil {
		c.parallel = max(c.parallel, 1) // 10% of 5 hosts is one at a time, not all of them
	}
	c.failures = m.count(t.MaxFailures, env, hosts)
	c.failFast = t.MaxParallel != nil || t.MaxFailures != nil
	return c
}

func (m *maker) count(c *playbook.Count, env playbook.Envs, hosts int) int {
	if c == nil {
		return 0
	}
	n, err := c.Of(env, hosts)
	if err != nil && !m.sketch {
		m.problem(c.Pos, err)
	}
	return n
}
