package cluster

import (
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

// keepalived is what its configuration says. What stands in it more than once counts as it stands first.
type keepalived struct {
	addresses        map[string]bool
	priority, weight int
}

func readKeepalived(text string) *keepalived {
	k := &keepalived{addresses: map[string]bool{}}
	given := map[string]bool{}
	set := func(to *int, words []string) {
		if v, err := strconv.Atoi(words[1]); err == nil && !given[words[0]] {
			*to, given[words[0]] = v, true
		}
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case len(words) > 1 && words[0] == "priority":
			set(&k.priority, words)
		case len(words) > 1 && words[0] == "weight":
			set(&k.weight, words)
		default:
			address, _, _ := strings.Cut(words[0], "/")
			k.addresses[address] = true
		}
	}
	return k
}

// balancer is what the configuration of a haproxy says.
type balancer struct {
	ports   map[string]bool // it listens on
	servers [][2]string     // name or address, and port
}

func readBalancer(text string) *balancer {
	b := &balancer{ports: map[string]bool{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "bind":
			b.ports[words[1][strings.LastIndexByte(words[1], ':')+1:]] = true
		case len(words) > 2 && words[0] == "server":
			if name, port, ok := strings.Cut(words[2], ":"); ok {
				b.servers = append(b.servers, [2]string{name, port})
			}
		}
	}
	return b
}

// side is what a text says, read once: all hosts ask.
func side[T any](n *Network, text string, read func(string) *T) *T {
	if have, ok := n.sides.Load(text); ok {
		if as, ok := have.(*T); ok {
			return as
		}
	}
	made := read(text)
	n.sides.Store(text, made)
	return made
}

// balancerOf is the haproxy that runs on a host; nil where none does.
func (n *Network) balancerOf(h *host.Host) *balancer {
	if on, _ := h.Active("haproxy"); !on {
		return nil
	}
	return side(n, h.Text("/etc/haproxy/haproxy.cfg"), readBalancer)
}

// balances tells whether haproxy of a host listens on a port.
func (n *Network) balances(h *host.Host, port string) bool {
	b := n.balancerOf(h)
	return b != nil && b.ports[port]
}

// balance finds what haproxy of a host forwards a port to.
func (n *Network) balance(to *host.Host, port string) (*plane, end) {
	b := n.balancerOf(to)
	if b == nil || !b.ports[port] {
		return nil, refused
	}
	for _, server := range b.servers {
		back := n.Host(server[0])
		if back == nil || n.Down(back.Name) {
			continue
		}
		if p := n.planeOf(back.Name); p != nil && p.port == server[1] && n.up(p) && n.healthy(p) {
			return p, open
		}
	}
	return nil, reset
}

// claim is how long a keepalived needs to take an address after its start, or after another has lost it.
const claim = 4 * time.Second

// Holds tells whether the keepalived of a host holds an address.
func (n *Network) Holds(name, address string) bool {
	h := n.holder(address)
	return h != nil && h.Name == name
}

// holder is the host whose keepalived holds an address.
func (n *Network) holder(address string) *host.Host {
	n.mu.Lock()
	all := make([]*host.Host, 0, len(n.balanced))
	for name, h := range n.balanced {
		if !n.down[name] {
			all = append(all, h)
		}
	}
	n.mu.Unlock()
	var best *host.Host
	most := -1 << 30
	for _, h := range all {
		k := side(n, h.Text("/etc/keepalived/keepalived.conf"), readKeepalived)
		if !k.addresses[address] {
			continue
		}
		if on, since := h.Active("keepalived"); !on || h.Now().Sub(since) < claim {
			continue
		}
		p := k.priority
		if on, _ := h.Active("haproxy"); !on {
			p += k.weight
		}
		if p > most || p == most && h.Name < best.Name {
			best, most = h, p
		}
	}
	return best
}
