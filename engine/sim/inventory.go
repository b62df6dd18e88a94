package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/playbook"
)

// usual is the size of a group that nobody gave one: enough to see what many hosts do.
const usual = 3

// Sizes are how many hosts groups shall have.
type Sizes map[string]int

// ParseSizes reads GROUP=N.
func ParseSizes(list []string) (Sizes, error) {
	s := Sizes{}
	for _, text := range list {
		for _, one := range strings.Split(text, ",") {
			group, count, _ := strings.Cut(one, "=")
			n, err := strconv.Atoi(count)
			if err != nil || n < 0 || group == "" {
				return nil, fmt.Errorf("--hosts %q is not GROUP=NUMBER, for example workers=5000", one)
			}
			s[group] = n
		}
	}
	return s, nil
}

// Inventory makes the inventory of a rehearsal: the hosts of the one that is given, if any, else hosts for each group of
// the playbook; groups with a size get that many.
func (s Sizes) Inventory(pb *playbook.Playbook, given *inventory.Inventory) (*inventory.Inventory, diag.List) {
	var found diag.List
	m := &maker{inv: &inventory.Inventory{File: "simulated"}, next: netip.MustParseAddr("100.64.1.0")}
	var groups []string
	for _, g := range pb.Groups {
		groups = append(groups, g.Name)
	}
	if given != nil {
		m.inv.SecretVars = given.SecretVars
		for _, name := range given.GroupNames() {
			if !slices.Contains(groups, name) {
				groups = append(groups, name)
			}
		}
		m.take(given, s)
	}
	for group := range s {
		if !slices.Contains(groups, group) {
			_ = found.Errorf(pb.Pos, "--hosts: the playbook has no group `%s`", group).Hintf("%s", diag.DidYouMean(group, groups))
		}
	}
	m.fill(pb, s, groups, given == nil)
	return m.inv, found
}

// maker makes an inventory.
type maker struct {
	inv  *inventory.Inventory
	next netip.Addr
	at   map[string]int // place of each host in inv.Hosts
}

// take takes hosts over, as many of each group as are wanted.
func (m *maker) take(given *inventory.Inventory, sizes Sizes) {
	left := map[string]int{}
	for group, n := range sizes {
		left[group] = n
	}
	for _, h := range given.Hosts {
		wanted := true
		for _, g := range h.Groups {
			if n, limited := left[g]; limited {
				left[g] = n - 1
				wanted = wanted && n > 0
			}
		}
		if !wanted {
			continue
		}
		h.Connection = "sim"
		if h.NodeIP == "" {
			if _, err := netip.ParseAddr(h.Address); err != nil {
				h.NodeIP = m.address()
			}
		}
		m.add(h)
	}
}

func (m *maker) address() string {
	m.next = m.next.Next()
	for b := m.next.As4(); b[3] == 0 || b[3] == 255; b = m.next.As4() {
		m.next = m.next.Next()
	}
	return m.next.String()
}

func (m *maker) add(h inventory.Host) {
	if m.at == nil {
		m.at = map[string]int{}
	}
	m.at[h.Name] = len(m.inv.Hosts)
	m.inv.Hosts = append(m.inv.Hosts, h)
	for _, name := range h.Groups {
		i := slices.IndexFunc(m.inv.Groups, func(g inventory.Group) bool { return g.Name == name })
		if i < 0 {
			m.inv.Groups = append(m.inv.Groups, inventory.Group{Name: name, Pos: h.Pos})
			i = len(m.inv.Groups) - 1
		}
		m.inv.Groups[i].Hosts = append(m.inv.Groups[i].Hosts, h.Name)
	}
}

// fill makes hosts until each group has its size.
func (m *maker) fill(pb *playbook.Playbook, sizes Sizes, groups []string, all bool) {
	if len(groups) == 0 && len(m.inv.Hosts) == 0 {
		for i := range usual {
			m.make("", fmt.Sprintf("host-%02d", i+1))
		}
	}
	for _, group := range groups {
		size, given := sizes[group]
		if !given && all {
			size = usual
			for _, g := range pb.Groups {
				if g.Name == group {
					size = max(g.Min, min(usual, max(g.Max, usual*boolInt(g.Max == 0))))
				}
			}
		}
		for have := len(m.inv.Group(group)); have < size; have++ {
			m.make(group, fmt.Sprintf("%s-%0*d", strings.ReplaceAll(group, "_", "-"), max(2, len(fmt.Sprint(size))), have+1))
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// make adds a host; its variables are those of the group's last.
func (m *maker) make(group, name string) {
	ip := m.address()
	h := inventory.Host{Name: name, Address: ip, NodeIP: ip, Connection: "sim", Vars: map[string]any{}}
	if group != "" {
		h.Groups = []string{group}
	}
	if have := m.inv.Group(group); len(have) > 0 {
		last := m.inv.Hosts[m.at[have[len(have)-1]]]
		h.Vars, h.Groups = last.Vars, last.Groups
	}
	m.add(h)
}
