package plan

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
)

// Options choose a part of a playbook.
type Options struct {
	Limit  string                              // hosts and groups, by commas; "" = all
	Only   []string                            // paths of tasks; nil = all
	Inputs map[string]any                      // values of the root's inputs
	Weight func(path string) (seconds float64) // from earlier runs; nil = unknown
	Sketch bool                                // inputs may be missing: used to draw and validate, not to run
}

// Plan is a playbook on an inventory.
type Plan struct {
	Playbook  *playbook.Playbook
	Inventory *inventory.Inventory
	Hosts     []*inventory.Host // by index
	Leaves    []*Leaf           // by index: Spec.Tasks has the same
	Groups    []*playbook.Task  // by index: Spec.Groups has the same
	Spec      *sched.Spec
	// GroupNeeds are the needs of Groups, as drawn; their To has no meaning.
	GroupNeeds [][]Edge

	inputs    map[string]any
	hostIndex map[string]int
	seen      seen
	static    *Memo               // of what is evaluated without a session
	groups    map[string][]string // group -> names of hosts, of the inventory and empty ones of the playbook
	leafOf    map[*playbook.Task]int
	groupOf   map[*playbook.Task]int
	hostsOf   map[*playbook.Task][]int   // before --limit
	sets      map[*playbook.Task]hostSet // hostsOf
	limit     []bool                     // by host; nil = all
	only      []string
	sketch    bool
	secrets   []string // see Secrets
}

// Leaf is a task that has instances.
type Leaf struct {
	Index int
	Task  *playbook.Task
	Hosts []int // after --limit
	Place Place
	Needs []Edge // as drawn, with reasons; the scheduler's are in Spec

	set hostSet // Hosts
}

// Edge is a resolved need, for people.
type Edge struct {
	From, To int // leaves
	Form     sched.Form
	Need     playbook.Need
}

// Place says where the instances of a task are carried out.
type Place struct {
	Elsewhere  bool
	Controller bool
	Reachable  bool  // the first of Hosts that is up
	Hosts      []int //
}

// Secrets are texts that were computed from secret inputs while the plan was made and checked: what is said of it must not
// show them.
func (p *Plan) Secrets() []string { return p.secrets }

func (p *Plan) learn(secrets []string) { p.secrets = append(p.secrets, secrets...) }

// Name is the name of an instance for people and logs: path@host.
func (p *Plan) Name(in sched.Instance) string {
	return p.Leaves[in.Task].Task.Path + "@" + p.Hosts[in.Host].Name
}

// Instance finds an instance by its name.
func (p *Plan) Instance(name string) (sched.Instance, bool) {
	path, host, ok := strings.Cut(name, "@")
	if !ok {
		return sched.Instance{}, false
	}
	h, known := p.hostIndex[host]
	if !known {
		return sched.Instance{}, false
	}
	for _, l := range p.Leaves {
		if l.Task.Path == path {
			return sched.Instance{Task: l.Index, Host: h}, l.Runs(h)
		}
	}
	return sched.Instance{}, false
}

// Instances is the number of instances, those of on-demand tasks included.
func (p *Plan) Instances() int {
	n := 0
	for _, l := range p.Leaves {
		n += len(l.Hosts)
	}
	return n
}

// UsedHosts are the hosts that have instances, or carry some out, sorted by index.
func (p *Plan) UsedHosts() []int {
	used := map[int]bool{}
	for _, l := range p.Leaves {
		for _, h := range l.Hosts {
			used[h] = true
		}
		if len(l.Hosts) > 0 {
			for _, h := range l.Place.Hosts {
				used[h] = true
			}
		}
	}
	var out []int
	for h := range used {
		out = append(out, h)
	}
	sort.Ints(out)
	return out
}

// LeafOf is the index of a leaf.
func (p *Plan) LeafOf(t *playbook.Task) (int, bool) {
	i, ok := p.leafOf[t]
	return i, ok
}

// Make plans. Diagnostics have the positions of the playbook; an inventory problem has those of the inventory.
func Make(pb *playbook.Playbook, inv *inventory.Inventory, o Options) (*Plan, diag.List) {
	m := &maker{Plan: &Plan{
		Playbook: pb, Inventory: inv, inputs: o.Inputs, only: o.Only, sketch: o.Sketch,
		hostIndex: map[string]int{}, leafOf: map[*playbook.Task]int{}, groupOf: map[*playbook.Task]int{},
		hostsOf: map[*playbook.Task][]int{},
	}, weight: o.Weight}
	m.readInventory()
	m.seen, m.static = make(seen, len(m.Hosts)), NewMemo()
	m.readLimit(o.Limit)
	m.checkOnly()
	m.placeTasks()
	m.checkVars()
	if m.found.HasErrors() {
		return m.Plan, m.found
	}
	m.makeSpec()
	return m.Plan, m.found
}

type maker struct {
	*Plan
	weight func(string) float64
	found  diag.List
}

func (m *maker) readInventory() {
	m.groups = map[string][]string{}
	for i := range m.Inventory.Hosts {
		h := &m.Inventory.Hosts[i]
		m.hostIndex[h.Name] = len(m.Hosts)
		m.Hosts = append(m.Hosts, h)
		m.groups["all"] = append(m.groups["all"], h.Name)
		for _, g := range h.Groups {
			m.groups[g] = append(m.groups[g], h.Name)
		}
	}
	for _, g := range m.Playbook.GroupsNeeded() {
		n := len(m.groups[g.Name])
		if n == 0 {
			m.groups[g.Name] = []string{}
		}
		if m.sketch && len(m.Hosts) == 0 {
			continue
		}
		if n < g.Min {
			m.found.Errorf(g.Pos, "group %s needs at least %s, and the inventory %s has %d", g.Name, hosts(g.Min), m.Inventory.File, n).
				Hintf("add `groups: [%s]` to hosts of the inventory", g.Name)
		}
		if g.Max > 0 && n > g.Max {
			m.found.Errorf(g.Pos, "group %s takes at most %s, and the inventory %s has %d", g.Name, hosts(g.Max), m.Inventory.File, n)
		}
	}
}

func hosts(n int) string {
	if n == 1 {
		return "1 host"
	}
	return fmt.Sprintf("%d hosts", n)
}

func (m *maker) readLimit(limit string) {
	if limit == "" {
		return
	}
	limited, unknown := m.limited(limit)
	for _, word := range unknown {
		m.found.Errorf(diag.Pos{File: "--limit"}, "no host or group `%s` in %s", word, m.Inventory.File).Hintf("%s", diag.DidYouMean(word, m.hostAndGroupNames()))
	}
	m.limit = limited
}

// limited tells for each host whether a limit lets it in, and which words of it nobody knows.
func (p *Plan) limited(limit string) (in []bool, unknown []string) {
	in = make([]bool, len(p.Hosts))
	for word := range strings.SplitSeq(limit, ",") {
		word = strings.TrimSpace(word)
		names, isGroup := p.groups[word]
		if !isGroup {
			names = []string{word}
		}
		for _, n := range names {
			h, ok := p.hostIndex[n]
			if !ok {
				unknown = append(unknown, word)
				continue
			}
			in[h] = true
		}
	}
	return in, unknown
}

// Beyond are the instances that a plan with another limit, and other tasks taken in by --only, would have besides those of
// this one; without those that run on demand.
func (p *Plan) Beyond(limit string, only []string) []sched.Instance {
	in := make([]bool, len(p.Hosts))
	for h := range in {
		in[h] = true
	}
	if limit != "" {
		in, _ = p.limited(limit)
	}
	var out []sched.Instance
	for _, l := range p.Leaves {
		if l.Task.Run == playbook.OnDemand || !chosen(l.Task, only) {
			continue
		}
		for _, h := range p.hostsOf[l.Task] {
			if in[h] && !l.Runs(h) {
				out = append(out, sched.Instance{Task: l.Index, Host: h})
			}
		}
	}
	return out
}

func (m *maker) hostAndGroupNames() []string {
	var names []string
	for n := range m.hostIndex {
		names = append(names, n)
	}
	for n := range m.groups {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func (m *maker) checkOnly() {
	for _, path := range m.only {
		known := slices.ContainsFunc(m.Playbook.All(), func(t *playbook.Task) bool { return t.Path == path })
		if !known {
			var paths []string
			for _, t := range m.Playbook.All() {
				paths = append(paths, t.Path)
			}
			m.found.Errorf(diag.Pos{File: "--only"}, "no task `%s` in %s", path, m.Playbook.File).Hintf("%s", diag.DidYouMean(path, paths))
		}
	}
}

// chosen tells whether --only takes the task in.
func chosen(t *playbook.Task, only []string) bool {
	if len(only) == 0 || t.Run == playbook.OnDemand {
		return true
	}
	return slices.ContainsFunc(only, func(path string) bool { return t.Path == path || strings.HasPrefix(t.Path, path+"/") })
}
