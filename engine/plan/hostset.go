package plan

import "github.com/kflow/kflow/engine/playbook"

// hostSet is a set of indices of hosts: with thousands of hosts a look through lists of them costs more than the work.
type hostSet []uint64

func setOf(hosts []int) hostSet {
	top := -1
	for _, h := range hosts {
		top = max(top, h)
	}
	s := make(hostSet, top/64+1)
	for _, h := range hosts {
		s[h/64] |= 1 << (h % 64)
	}
	return s
}

func (s hostSet) has(h int) bool { return h >= 0 && h/64 < len(s) && s[h/64]&(1<<(h%64)) != 0 }

// Runs tells whether the leaf has an instance for a host.
func (l *Leaf) Runs(host int) bool { return l.set.has(host) }

// runsOn tells whether a task is for a host, before --limit.
func (p *Plan) runsOn(t *playbook.Task, host int) bool { return p.sets[t].has(host) }

// makeSets makes the sets, once it is known which task is for which hosts.
func (m *maker) makeSets() {
	m.sets = make(map[*playbook.Task]hostSet, len(m.hostsOf))
	for t, hosts := range m.hostsOf {
		m.sets[t] = setOf(hosts)
	}
	for _, l := range m.Leaves {
		l.set = setOf(l.Hosts)
	}
}

func subset(a, b []int) bool {
	set := setOf(b)
	for _, x := range a {
		if !set.has(x) {
			return false
		}
	}
	return true
}
