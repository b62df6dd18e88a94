package inventory

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/syntax"
)

// jumpRef is a `jump` entry, looked up when all hosts are known.
type jumpRef struct {
	host int // index of the host that has it
	at   int // index in its Jump
	node *syntax.Node
}

// checkSSH reports what is wrong with the settings of one layer.
func (r *reader) checkSSH(n *syntax.Node) {
	if n != nil {
		readSSH(n, &r.diags)
	}
}

// ssh decodes the merged settings of a host; what is wrong with them is said already.
func (r *reader) ssh(n *syntax.Node) SSH {
	if n == nil {
		return SSH{}
	}
	var said diag.List
	s, jumps := readSSH(n, &said)
	for i, j := range jumps {
		r.jumps = append(r.jumps, jumpRef{host: len(r.inv.Hosts), at: i, node: j})
	}
	return s
}

func readSSH(n *syntax.Node, list *diag.List) (SSH, []*syntax.Node) {
	f := syntax.Open(n, "`ssh`", list).Hints(sshHint).Known(sshKeys()...)
	s := SSH{User: f.Text("user"), ConnectTimeout: f.Duration("connect_timeout")}
	port, given := f.Int("port")
	if v := f.Get("port"); given && (port < 1 || port > 65535) {
		list.Errorf(v.Pos(), "`port` must be between 1 and 65535").Len = v.Width()
	}
	s.Port = port
	s.Keys, s.KnownHosts = paths(f.Texts("key")), paths(f.Texts("known_hosts"))
	s.KeysOnly, _ = f.Bool("keys_only")
	s.HostKey = f.Text("host_key")
	if v := f.Get("host_key"); v != nil && !hostKeyRE.MatchString(s.HostKey) {
		list.Errorf(v.Pos(), "`host_key` is a fingerprint as ssh-keygen -l shows it (SHA256:...), or a public key").Len = v.Width()
	}
	s.Password = password(f, list)
	s.Become, s.BecomePassword = become(f.Get("become"), list)
	jumps := f.Texts("jump")
	s.JumpGiven = f.Get("jump") != nil
	for _, j := range jumps {
		s.Jump = append(s.Jump, readJump(j, list))
	}
	return s, jumps
}

var hostKeyRE = regexp.MustCompile(`^(SHA256:[A-Za-z0-9+/]{43}=?|(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?)$`)

var envRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// password reads where a password comes from. A password itself has no place in an inventory.
func password(f *syntax.Fields, list *diag.List) Password {
	p := Password{Env: f.Text("password_env"), Input: f.Text("password_input")}
	if v := f.Get("password_env"); v != nil && !envRE.MatchString(p.Env) {
		list.Errorf(v.Pos(), "`password_env` is the name of an environment variable").Hintf("the password itself does not stand in an inventory").Len = v.Width()
	}
	if v := f.Get("password_input"); v != nil && !nameRE.MatchString(p.Input) {
		list.Errorf(v.Pos(), "`password_input` is the name of an input of the playbook").Hintf("the password itself does not stand in an inventory").Len = v.Width()
	}
	if p.Env != "" && p.Input != "" {
		list.Errorf(f.Pos("password_input"), "only one of password_env and password_input may be given")
	}
	return p
}

func become(n *syntax.Node, list *diag.List) (bool, Password) {
	if n == nil {
		return false, Password{}
	}
	if n.Kind == syntax.Scalar {
		yes, _ := syntax.Bool(n, "`become`", list)
		return yes, Password{}
	}
	f := syntax.Open(n, "`become`", list).Hints(sshHint).Known("method", "password_env", "password_input")
	if v := f.Get("method"); v != nil && v.Text != "sudo" {
		list.Errorf(v.Pos(), "`method` is sudo, not %s", v.Describe()).Len = v.Width()
	}
	return true, password(f, list)
}

// paths makes paths absolute: ~ is the home directory, others start at the directory of the file they stand in.
func paths(nodes []*syntax.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, absolute(n.Text, n.File.Name))
	}
	return out
}

func absolute(path, file string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

var jumpRE = regexp.MustCompile(`^(?:([A-Za-z_][A-Za-z0-9_.-]*)@)?(\[[0-9A-Fa-f:.]+\]|[^\s\[\]@:]+)(?::(\d{1,5}))?$`)

func readJump(n *syntax.Node, list *diag.List) Jump {
	m := jumpRE.FindStringSubmatch(n.Text)
	if m == nil {
		list.Errorf(n.Pos(), "%s is neither a host of this inventory nor USER@HOST:PORT", n.Describe()).Len = n.Width()
		return Jump{}
	}
	port, _ := strconv.Atoi(m[3])
	if m[3] != "" && (port < 1 || port > 65535) {
		list.Errorf(n.Pos(), "a port is between 1 and 65535").Len = n.Width()
	}
	return Jump{User: m[1], Address: strings.Trim(m[2], "[]"), Port: port}
}

// resolveJumps finds the hosts of the inventory among the jumps, and reports those that go in a circle.
func (r *reader) resolveJumps() {
	for _, ref := range r.jumps {
		j := &r.inv.Hosts[ref.host].SSH.Jump[ref.at]
		if _, ok := r.hosts[ref.node.Text]; ok {
			*j = Jump{Host: ref.node.Text}
		}
	}
	index := make(map[string]int, len(r.inv.Hosts))
	for i := range r.inv.Hosts {
		index[r.inv.Hosts[i].Name] = i
	}
	said := map[string]bool{} // each circle once: it can be entered at all of its hosts
	for _, ref := range r.jumps {
		if chain := r.circle(ref.host, index); chain != nil && !said[chain[0]] {
			for _, name := range chain {
				said[name] = true
			}
			d := r.diags.Errorf(ref.node.Pos(), "jump hosts in a circle: %s", strings.Join(chain, " → "))
			d.Len = ref.node.Width()
			d.Hintf("`jump: []` on a jump host says that it is reached directly")
		}
	}
}

// circle follows the jumps of a host; it returns the way when that comes back.
func (r *reader) circle(start int, index map[string]int) []string {
	way := []string{r.inv.Hosts[start].Name}
	seen := map[int]bool{}
	var visit func(i int) bool
	visit = func(i int) bool {
		for _, j := range r.inv.Hosts[i].SSH.Jump {
			next, ok := index[j.Host]
			if !ok || seen[next] {
				continue
			}
			seen[next] = true
			way = append(way, j.Host)
			if next == start || visit(next) {
				return true
			}
			way = way[:len(way)-1]
		}
		return false
	}
	if visit(start) {
		return way
	}
	return nil
}
