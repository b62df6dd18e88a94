package inventory

import (
	"slices"
	"time"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

// Inventory is the hosts of a site.
type Inventory struct {
	File       string
	Hosts      []Host
	Groups     []Group // declared ones first, then in the order hosts mention them
	SecretVars []string
}

// Host is a machine. Settings of groups and defaults are applied.
type Host struct {
	Name       string
	Pos        diag.Pos
	Address    string // "" = not given
	NodeIP     string // "" = not given, and Address is no IP
	Groups     []string
	Vars       map[string]any
	Connection string // ssh, local or sim
	SSH        SSH
}

// Group is a set of hosts.
type Group struct {
	Name  string
	Pos   diag.Pos
	Hosts []string // in the order of the file
}

// SSH is how a host is reached. A zero field is not given.
type SSH struct {
	User           string
	Port           int
	Keys           []string
	KeysOnly       bool
	KnownHosts     []string
	HostKey        string
	Jump           []Jump
	JumpGiven      bool // an empty Jump then means none, whatever the OpenSSH configuration says
	Become         bool
	BecomePassword Password
	Password       Password // of the login
	ConnectTimeout time.Duration
}

// Password says where a password comes from; both empty: there is none.
type Password struct {
	Env   string // environment variable
	Input string // input of the playbook
}

// Jump is a host to go through: one of the inventory (Host), or any other.
type Jump struct {
	Host    string // name in the inventory; "" = not of it
	User    string
	Address string
	Port    int
}

// Host returns the host of that name.
func (inv *Inventory) Host(name string) (*Host, bool) {
	i := slices.IndexFunc(inv.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		return nil, false
	}
	return &inv.Hosts[i], true
}

// Group returns the members of a group, in order; all is every host. It is empty for a group nobody is in.
func (inv *Inventory) Group(name string) []string {
	if name == "all" {
		return inv.Names()
	}
	for _, g := range inv.Groups {
		if g.Name == name {
			return g.Hosts
		}
	}
	return nil
}

// Names are the names of all hosts, in order.
func (inv *Inventory) Names() []string {
	names := make([]string, len(inv.Hosts))
	for i := range inv.Hosts {
		names[i] = inv.Hosts[i].Name
	}
	return names
}

// GroupNames are the names of all groups but `all`, in order.
func (inv *Inventory) GroupNames() []string {
	names := make([]string, len(inv.Groups))
	for i, g := range inv.Groups {
		names[i] = g.Name
	}
	return names
}

// Secrets are the texts in the values of secret variables, to be masked, each once.
func (inv *Inventory) Secrets() []string {
	var out []string
	for i := range inv.Hosts {
		for _, name := range inv.SecretVars {
			out = shape.Texts(inv.Hosts[i].Vars[name], out)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
