package inventory

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/syntax"
)

var (
	hostRE    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	addressRE = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]{0,62})?(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,62})?)*\.?$`)
	dashRE    = regexp.MustCompile(`\[(\d+)-(\d+)\]`) // a range as other tools write it
	rangeRE   = regexp.MustCompile(`\[(\d{1,6}):(\d{1,6})\]`)
)

// host reads an entry of `hosts`, which may be a range of hosts.
func (r *reader) host(e syntax.Entry) {
	f := syntax.Open(e.Value, "host `"+e.Key.Text+"`", &r.diags).Hints(hostHint).
		Known("address", "node_ip", "port", "user", "groups", "vars", "ssh", "connection", "description")
	names, ok := r.expand(e.Key)
	if !ok {
		return
	}
	addresses, nodeIPs := r.matching(f, "address", len(names)), r.matching(f, "node_ip", len(names))
	own := layer{vars: r.vars(f.Get("vars")), ssh: r.withShort(f), connection: r.connection(f)}
	r.checkSSH(own.ssh)
	groups := f.Texts("groups")
	for i, name := range names {
		h := Host{Name: name, Pos: e.Key.Pos(), Address: addresses[i], NodeIP: nodeIPs[i]}
		r.checkHost(&h, e.Key, f)
		for _, g := range groups {
			r.group(g).members[name] = true
		}
		r.apply(&h, own, groups)
		r.inv.Hosts = append(r.inv.Hosts, h)
	}
}

// withShort adds port and user of a host to its ssh settings.
func (r *reader) withShort(f *syntax.Fields) *syntax.Node {
	ssh := f.Get("ssh")
	for _, key := range []string{"port", "user"} {
		n := f.Get(key)
		switch {
		case n == nil:
		case ssh == nil:
			ssh = syntax.NewMapping(n, key, n)
		case ssh.Get(key) != nil:
			r.diags.Errorf(n.Pos(), "`%s` is given under `ssh` too", key).Note(ssh.Get(key).Pos(), "there")
		case ssh.Kind == syntax.Mapping:
			ssh = ssh.With(syntax.NewMapping(n, key, n).Entries...)
		}
	}
	return ssh
}

// expand is the names that a key of `hosts` stands for.
func (r *reader) expand(key *syntax.Node) ([]string, bool) {
	names, err := expandRange(key.Text)
	if err != nil {
		r.diags.Errorf(key.Pos(), "%v", err).Len = key.Width()
		return nil, false
	}
	if len(r.inv.Hosts)+len(names) > MaxHosts {
		r.diags.Errorf(key.Pos(), "an inventory has at most %d hosts", MaxHosts)
		return nil, false
	}
	return names, true
}

// matching is the values of a key for a range of that many hosts: a range as long, or nothing. A plain value for several
// hosts is an error.
func (r *reader) matching(f *syntax.Fields, key string, n int) []string {
	text := f.Text(key)
	out := make([]string, n)
	if text == "" {
		return out
	}
	values, err := expandRange(text)
	if err == nil && len(values) != n {
		err = fmt.Errorf("`%s` stands for %d, and there are %d hosts", key, len(values), n)
	}
	if err != nil {
		v := f.Get(key)
		r.diags.Errorf(v.Pos(), "%v", err).Hintf("a range of addresses is as long as that of the hosts: 10.0.1.[1:32]").Len = v.Width()
		return out
	}
	return values
}

// expandRange replaces the one [a:b] of a text by the numbers from a to b, with the zeros that a is written with.
func expandRange(text string) ([]string, error) {
	m := rangeRE.FindAllStringSubmatchIndex(text, -1)
	if len(m) == 0 {
		return []string{text}, nil
	}
	if len(m) > 1 {
		return nil, fmt.Errorf("%q has more than one range", text)
	}
	from, to := text[m[0][2]:m[0][3]], text[m[0][4]:m[0][5]]
	a, _ := strconv.Atoi(from)
	b, _ := strconv.Atoi(to)
	if b < a || b-a >= MaxHosts {
		return nil, fmt.Errorf("the range [%s:%s] must go from the smaller to the larger number, at most %d", from, to, MaxHosts)
	}
	out := make([]string, 0, b-a+1)
	for i := a; i <= b; i++ {
		number := strconv.Itoa(i)
		if strings.HasPrefix(from, "0") {
			number = fmt.Sprintf("%0*d", len(from), i)
		}
		out = append(out, text[:m[0][0]]+number+text[m[0][1]:])
	}
	return out, nil
}

func (r *reader) checkHost(h *Host, key *syntax.Node, f *syntax.Fields) {
	if first, twice := r.hosts[h.Name]; twice {
		r.diags.Errorf(h.Pos, "there is a host `%s` already", h.Name).Note(first, "first here").Len = key.Width()
	}
	r.hosts[h.Name] = h.Pos
	if !hostRE.MatchString(h.Name) || len(h.Name) > 253 {
		d := r.diags.Errorf(h.Pos, "%q is no host name: lower-case letters, digits and hyphens (RFC 1123)", h.Name)
		d.Len = key.Width()
		if fixed := strings.ReplaceAll(strings.ToLower(h.Name), "_", "-"); hostRE.MatchString(fixed) {
			d.Hintf("write `%s`", fixed)
		} else if m := dashRE.FindStringSubmatch(h.Name); m != nil {
			d.Hintf("a range is written [%s:%s]", m[1], m[2])
		}
	}
	if why, hint := addressProblem(h.Address); h.Address != "" && why != "" {
		n := f.Get("address")
		r.diags.Errorf(n.Pos(), "%s", why).Hintf("%s", hint).Len = n.Width()
	}
	if h.NodeIP != "" && !isIP(h.NodeIP) {
		n := f.Get("node_ip")
		r.diags.Errorf(n.Pos(), "%q is no IP address", h.NodeIP).Hintf("a name is an `address`; `node_ip` is the address in the network of the cluster").Len = n.Width()
	}
	if h.NodeIP == "" && isIP(h.Address) {
		h.NodeIP = h.Address
	}
}

// apply lays the settings of all layers on each other: defaults, groups in the order written, the host itself.
func (r *reader) apply(h *Host, own layer, groups []*syntax.Node) {
	layers := []layer{r.base}
	for _, g := range r.order { // groups that list the host, then those that the host lists
		if g.members[h.Name] && !slices.ContainsFunc(groups, func(n *syntax.Node) bool { return n.Text == g.name }) {
			layers = append(layers, g.layer)
			h.Groups = append(h.Groups, g.name)
		}
	}
	for _, n := range groups {
		if !slices.Contains(h.Groups, n.Text) {
			layers = append(layers, r.groups[n.Text].layer)
			h.Groups = append(h.Groups, n.Text)
		}
	}
	layers = append(layers, own)
	h.Vars, h.Connection = map[string]any{}, "ssh"
	var ssh *syntax.Node
	for _, l := range layers {
		maps.Copy(h.Vars, l.vars)
		if l.connection != "" {
			h.Connection = l.connection
		}
		if l.ssh != nil {
			ssh = overlay(ssh, l.ssh)
		}
	}
	h.SSH = r.ssh(ssh)
}

func overlay(base, over *syntax.Node) *syntax.Node {
	if base == nil {
		return over
	}
	return base.With(given(over)...)
}

// given are the members of a mapping that are not null.
func given(n *syntax.Node) []syntax.Entry {
	return slices.DeleteFunc(slices.Clone(n.Entries), func(e syntax.Entry) bool { return e.Value.Null() })
}
