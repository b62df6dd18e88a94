package facts

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// address is one address of an interface.
type address struct {
	iface string
	ip    netip.Addr
}

// addresses returns all addresses, the one of the default route first, and the interface that carries one of prefer,
// else that of the default route, else the first.
func (g gatherer) addresses(prefer []string) (all []string, iface string) {
	found := g.interfaceAddresses()
	all = make([]string, 0, len(found)) // an expression asks how many there are
	dflt := g.defaultInterface()
	slices.SortStableFunc(found, func(a, b address) int { return rank(a, dflt) - rank(b, dflt) })
	for _, a := range found {
		all = append(all, a.ip.String())
	}
	if len(found) > 0 {
		iface = found[0].iface
	}
	if dflt != "" {
		iface = dflt
	}
	for _, p := range prefer {
		ip, err := netip.ParseAddr(p)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(found, func(a address) bool { return a.ip == ip.Unmap().WithZone("") })
		if i >= 0 {
			return all, found[i].iface
		}
	}
	return all, iface
}

// rank puts IPv4 of the default route first, then its IPv6, then the others.
func rank(a address, dflt string) int {
	switch {
	case a.iface == dflt && a.ip.Is4():
		return 0
	case a.iface == dflt:
		return 1
	case a.ip.Is4():
		return 2
	}
	return 3
}

// interfaceAddresses asks ip in the one-line form, which is the same since iproute2 of 2004; JSON output came in 2017.
func (g gatherer) interfaceAddresses() []address {
	o, err := g.h.Run(g.ctx, task.Query("ip", "-o", "addr", "show"))
	if err != nil || !o.OK() {
		return nil
	}
	return parseAddresses(o.Stdout)
}

// parseAddresses reads lines such as
//
//	2: eth0    inet 10.99.0.11/24 brd 10.99.0.255 scope global eth0\       valid_lft forever preferred_lft forever
func parseAddresses(text string) []address {
	var out []address
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || (f[2] != "inet" && f[2] != "inet6") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(f[1], ":"), "@")
		cidr, _, _ := strings.Cut(f[3], "/")
		ip, err := netip.ParseAddr(cidr)
		if err != nil || name == "lo" || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
			continue
		}
		out = append(out, address{name, ip.Unmap()})
	}
	return out
}

// defaultInterface is the interface of the default route: that of IPv4 with the lowest metric, else of IPv6.
func (g gatherer) defaultInterface() string {
	if name := defaultRoute4(g.text("/proc/net/route")); name != "" {
		return name
	}
	return defaultRoute6(g.text("/proc/net/ipv6_route"))
}

// defaultRoute4 reads /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask ..
func defaultRoute4(text string) string {
	best, name := uint64(1<<63), ""
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		if metric, err := strconv.ParseUint(f[6], 10, 64); err == nil && metric < best {
			best, name = metric, f[0]
		}
	}
	return name
}

// defaultRoute6 reads /proc/net/ipv6_route: destination, prefix length, .., metric (6th), .., device (last).
func defaultRoute6(text string) string {
	best, name := uint64(1<<63), ""
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" || f[9] == "lo" {
			continue
		}
		if metric, err := strconv.ParseUint(f[5], 16, 64); err == nil && metric < best {
			best, name = metric, f[9]
		}
	}
	return name
}

// macs are the hardware addresses of interfaces that are the machine's own; those that container networks make come and
// go, and some are the same on all hosts.
func (g gatherer) macs() []string {
	files, _ := g.h.Glob(g.ctx, "/sys/class/net/*/address")
	out := make([]string, 0, len(files))
	for _, file := range files {
		mac := g.text(file)
		if mac != "" && mac != "00:00:00:00:00:00" && !containerInterface(path.Base(path.Dir(file))) {
			out = append(out, mac)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func containerInterface(name string) bool {
	return name == "lo" || slices.ContainsFunc([]string{"veth", "cali", "docker", "cni", "flannel", "kube-", "virbr", "br-", "tunl", "vxlan",
		"cilium", "lxc", "nodelocaldns", "dummy"}, func(p string) bool { return strings.HasPrefix(name, p) })
}
