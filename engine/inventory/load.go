package inventory

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"regexp"
	"slices"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// MaxHosts is the most an inventory can have.
const MaxHosts = 100_000

// Load reads an inventory. It is nil when the file can't be read at all; it is complete when the list has no errors. at is
// where the file is named.
func Load(file string, at diag.Pos, read func(string) ([]byte, error)) (*Inventory, diag.List) {
	var diags diag.List
	text, err := read(file)
	if err != nil {
		why := err
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			why = e.Err
		}
		diags.Errorf(at, "can't read the inventory %s: %v", file, why).Hint = diag.NearFile(file)
		return nil, diags
	}
	return Parse(file, text)
}

// Parse is Load of a text that is already read.
func Parse(file string, text []byte) (*Inventory, diag.List) {
	doc, diags := syntax.Parse(file, text)
	if doc.Root == nil {
		if !diags.HasErrors() {
			diags.Errorf(diag.Pos{File: file, Line: 1, Col: 1}, "the inventory is empty").Hintf("it begins with `kflow: v1`")
		}
		return nil, diags
	}
	r := &reader{inv: &Inventory{File: file}, diags: diags, groups: map[string]*group{}, hosts: map[string]diag.Pos{}}
	r.root(doc.Root)
	return r.inv, r.diags
}

type reader struct {
	inv    *Inventory
	diags  diag.List
	base   layer
	groups map[string]*group
	order  []*group
	hosts  map[string]diag.Pos
	listed []*syntax.Node // entries of `hosts` of groups
	jumps  []jumpRef

	secrets []*syntax.Node // entries of `secret_vars`
}

// layer is where settings come from: defaults, a group, a host.
type layer struct {
	vars       map[string]any
	ssh        *syntax.Node
	connection string
}

type group struct {
	layer
	name    string
	pos     diag.Pos
	members map[string]bool
	given   bool
}

func (r *reader) root(n *syntax.Node) {
	f := syntax.Open(n, "an inventory", &r.diags).Hints(rootHint).Known("kflow", "name", "description", "defaults", "vars", "secret_vars", "groups", "hosts")
	switch v := f.Get("kflow"); {
	case f.Node == nil:
		return
	case v == nil:
		r.diags.Errorf(n.Pos(), "the version of the format is missing").Hintf("the first line of an inventory is `kflow: v1`")
	case v.Text != "v1":
		r.diags.Errorf(v.Pos(), "this kflow reads version v1 of inventories, not %s", v.Describe()).Len = v.Width()
	}
	r.defaults(f)
	for _, n := range f.Texts("secret_vars") {
		r.inv.SecretVars = append(r.inv.SecretVars, n.Text)
		r.secrets = append(r.secrets, n)
	}
	r.declareGroups(f.Get("groups"))
	hosts := f.Required("hosts")
	if hosts != nil && hosts.Kind == syntax.Sequence {
		r.diags.Errorf(hosts.Pos(), "`hosts` must be a map, not a list").Hintf("each host is a key, with its settings behind it: `h1: {address: 10.0.0.1}`, or `h1: {}`")
		hosts = nil
	}
	for _, e := range syntax.Open(hosts, "`hosts`", &r.diags).Entries() {
		r.host(e)
	}
	r.finish()
}

func (r *reader) defaults(f *syntax.Fields) {
	d := syntax.Open(f.Get("defaults"), "`defaults`", &r.diags).Known("connection", "ssh", "vars")
	r.base = layer{vars: r.vars(d.Get("vars")), ssh: d.Get("ssh"), connection: r.connection(d)}
	maps.Copy(r.base.vars, r.vars(f.Get("vars")))
	r.checkSSH(r.base.ssh)
}

func (r *reader) vars(n *syntax.Node) map[string]any {
	out := map[string]any{}
	for _, e := range syntax.Open(n, "`vars`", &r.diags).Entries() {
		r.checkVar(e.Key)
		r.noExpression(e.Value)
		out[e.Key.Text] = e.Value.Any()
	}
	return out
}

var nameRE = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (r *reader) checkVar(key *syntax.Node) {
	if !nameRE.MatchString(key.Text) {
		r.diags.Errorf(key.Pos(), "%s is no name of a variable: lower-case letters, digits and _, a letter first", key.Describe()).
			Hintf("%s", cmp.Or(asName(key.Text), "expressions read it as host.vars.NAME")).Len = key.Width()
	}
}

// noExpression refuses ${{ }}: an inventory holds plain values.
func (r *reader) noExpression(n *syntax.Node) {
	for _, e := range n.Entries {
		r.noExpression(e.Value)
	}
	for _, x := range n.Items {
		r.noExpression(x)
	}
	if n.Kind == syntax.Scalar && expressionRE.MatchString(n.Text) {
		r.diags.Errorf(n.Pos(), "an inventory holds plain values, no expressions").Hintf("write the expression into the playbook").Len = n.Width()
	}
}

var expressionRE = regexp.MustCompile(`(^|[^$])\$\{\{`)

func (r *reader) connection(f *syntax.Fields) string {
	n := f.Get("connection")
	if n == nil {
		return ""
	}
	ways := []string{"ssh", "local", "sim"}
	if !slices.Contains(ways, n.Text) {
		d := r.diags.Errorf(n.Pos(), "`connection` is ssh, local or sim, not %s", n.Describe())
		d.Len, d.Hint = n.Width(), diag.DidYouMean(n.Text, ways)
		return ""
	}
	return n.Text
}

func (r *reader) declareGroups(n *syntax.Node) {
	for _, e := range syntax.Open(n, "`groups`", &r.diags).Entries() {
		g := r.group(e.Key)
		g.given = true
		f := syntax.Open(r.groupMap(e), "group `"+g.name+"`", &r.diags).Hints(groupHint).Known("vars", "ssh", "hosts", "connection", "description")
		g.layer = layer{vars: r.vars(f.Get("vars")), ssh: f.Get("ssh"), connection: r.connection(f)}
		r.checkSSH(g.ssh)
		for _, h := range f.Texts("hosts") {
			g.members[h.Text] = true
			r.listed = append(r.listed, h)
		}
	}
}

// groupMap is the value of a group; of a list, which must be its members, what to write is said.
func (r *reader) groupMap(e syntax.Entry) *syntax.Node {
	if e.Value.Kind != syntax.Sequence {
		return e.Value
	}
	r.diags.Errorf(e.Value.Pos(), "group `%s` must be a map, not a list", e.Key.Text).
		Hintf("its members are `%s: {hosts: [...]}`, or each host names its `groups`", e.Key.Text)
	return nil
}

// group returns a group, making it when it is met for the first time.
func (r *reader) group(n *syntax.Node) *group {
	if g := r.groups[n.Text]; g != nil {
		return g
	}
	g := &group{name: n.Text, pos: n.Pos(), members: map[string]bool{}}
	r.groups[n.Text] = g
	r.order = append(r.order, g)
	switch {
	case n.Text == "all":
		r.diags.Errorf(n.Pos(), "every host is in the group `all`: it can't be declared").Len = n.Width()
	case !nameRE.MatchString(n.Text):
		r.diags.Errorf(n.Pos(), "%s is no name of a group: lower-case letters, digits and _, a letter first", n.Describe()).
			Hintf("%s", asName(n.Text)).Len = n.Width()
	case expr.Reserved(n.Text):
		r.diags.Errorf(n.Pos(), "`%s` has a meaning in expressions and can't be a group", n.Text).Len = n.Width()
	}
	return g
}

// finish fills the groups and checks what needs all hosts.
func (r *reader) finish() {
	for _, n := range r.listed {
		if _, ok := r.hosts[n.Text]; !ok {
			d := r.diags.Errorf(n.Pos(), "there is no host `%s`", n.Text)
			d.Len, d.Hint = n.Width(), diag.DidYouMean(n.Text, r.inv.Names())
		}
	}
	for _, g := range r.order {
		out := Group{Name: g.name, Pos: g.pos}
		for i := range r.inv.Hosts {
			if g.members[r.inv.Hosts[i].Name] {
				out.Hosts = append(out.Hosts, r.inv.Hosts[i].Name)
			}
		}
		r.inv.Groups = append(r.inv.Groups, out)
		r.misspelt(g)
	}
	r.resolveJumps()
	r.sameAddress()
	r.secretVars()
}

// misspelt warns of a group that is not declared, where a declared one has nearly the same name.
func (r *reader) misspelt(g *group) {
	if g.given || !nameRE.MatchString(g.name) {
		return
	}
	var declared []string
	for _, o := range r.order {
		if o.given {
			declared = append(declared, o.name)
		}
	}
	if near := diag.Nearest(g.name, declared); near != "" {
		r.diags.Warnf(g.pos, "group `%s` is not declared under `groups`", g.name).Hintf("did you mean `%s`?", near).Len = len(g.name)
	}
}

// sameAddress warns of two hosts that are reached in the same way.
func (r *reader) sameAddress() {
	type end struct {
		address string
		port    int
	}
	seen := map[end]*Host{}
	for i := range r.inv.Hosts {
		h := &r.inv.Hosts[i]
		if h.Address == "" || h.Connection != "ssh" {
			continue
		}
		e := end{h.Address, max(h.SSH.Port, 22)}
		if first := seen[e]; first != nil && first.Name != h.Name {
			r.diags.Warnf(h.Pos, "`%s` has the address of `%s`: %s", h.Name, first.Name, h.Address).Note(first.Pos, "first here")
			continue
		}
		seen[e] = h
	}
}

func (r *reader) secretVars() {
	for _, n := range r.secrets {
		used := slices.ContainsFunc(r.inv.Hosts, func(h Host) bool { _, ok := h.Vars[n.Text]; return ok })
		if !used && len(r.inv.Hosts) > 0 {
			d := r.diags.Warnf(n.Pos(), "no host has the variable `%s`, which is to be kept secret", n.Text)
			d.Len, d.Hint = n.Width(), diag.DidYouMean(n.Text, r.varNames())
		}
	}
	for i := range r.inv.Hosts {
		h := &r.inv.Hosts[i]
		for _, name := range r.inv.SecretVars {
			if err := shape.CheckSecret(h.Vars[name]); err != nil {
				r.diags.Errorf(h.Pos, "secret variable `%s` of %s: %v", name, h.Name, err)
			}
		}
	}
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// varNames are the names of the variables of all hosts.
func (r *reader) varNames() []string {
	names := map[string]bool{}
	for i := range r.inv.Hosts {
		for name := range r.inv.Hosts[i].Vars {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
