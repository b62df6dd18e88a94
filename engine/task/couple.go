package task

// Coupler knows what does not go together: versions, ports, ranges of addresses, within one task or between several. It
// is asked before any host is reached, once for each host, whether or not a task of its kind is there.
type Coupler interface {
	// Couplings are the rules that this kind knows; the receiver has no parameters. The texts of the rules are part of the
	// documentation, and their names switch them off.
	Couplings() []Coupling
}

// Coupling is one rule: a fact, where it comes from, and the search for what offends against it.
type Coupling struct {
	Rule    string // name by which it is switched off: `allow`
	Fact    string // what must hold, one sentence
	Source  string // where that is written
	Warning bool   // worth knowing, but it can work
	Find    func(Scene) []Finding
}

// Finding is an offence against a rule.
type Finding struct {
	Says  string // what is wrong here, lower case, no full stop
	Hint  string // what to do about it, no full stop
	Task  string // ID of the task it is about
	Param []any  // path of the parameter it is about: names and indices; nil = the task
	With  string // ID of another task that has a part in it; "" = none
}

// Scene is what a Coupler sees: the tasks of the playbook that have hosts and are not known to be skipped, in order.
type Scene []Neighbour

// Neighbour is a task as far as it is known before a host is reached.
type Neighbour struct {
	ID     string
	Kind   string
	Params map[string]any // with defaults; what is unknown is absent
	Hosts  int            // how many it runs on
	Here   bool           // it runs on the host that is looked at
	InTurn bool           // on one host after the other
}

// Here are the tasks of that kind on the host that is looked at.
func (s Scene) Here(kind string) []Neighbour {
	var out []Neighbour
	for _, n := range s {
		if n.Here && n.Kind == kind {
			out = append(out, n)
		}
	}
	return out
}

// Get returns the member of nested maps at a path of keys; nil where there is none.
func (n Neighbour) Get(keys ...string) any {
	var v any = n.Params
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// Text returns a text at a path of keys; "" where there is none.
func (n Neighbour) Text(keys ...string) string {
	s, _ := n.Get(keys...).(string)
	return s
}
