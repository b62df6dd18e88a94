package engine

import (
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/playbook"
)

// info is what a resume needs to know. It has no secrets: of inputs that are, or hold one, it has the names, and a resume
// wants them given again.
func (p *Project) info() map[string]any {
	c := p.cfg
	out := map[string]any{"version": c.Version, "inventory": absolute(c.Inventory)}
	put := func(key string, list []string) {
		if len(list) > 0 {
			out[key] = toAny(list)
		}
	}
	set, environ, withheld := p.recordable()
	put("set", set)
	put("environ", environ)
	put("withheld", withheld)
	put("set_file", absoluteValues(c.SetFile))
	put("vars", absoluteAll(c.Vars))
	put("identity", absoluteAll(c.Identity))
	whole := p.wholeRun()
	put("only", whole.only)
	put("confirmed", p.confirmed)
	if whole.limit != "" {
		out["limit"] = whole.limit
	}
	if c.Plan != "" {
		out["plan"], out["plan_sum"] = absolute(c.Plan), p.saved.Sum
	}
	if c.Parallel > 0 {
		out["parallel"] = c.Parallel
	}
	return out
}

// recordable are the values of inputs that stand on the command line and in the environment, as they were given: a resume is
// often in another shell. Of those that must not be recorded withheld has the names.
func (p *Project) recordable() (set, environ, withheld []string) {
	m := p.masker()
	for _, pair := range p.cfg.Set {
		name, value, _ := strings.Cut(pair, "=")
		if in, ok := p.plan.Playbook.Inputs.Get(name); ok && in.Secret || m.String(value) != value {
			withheld = append(withheld, name)
		} else {
			set = append(set, pair)
		}
	}
	for _, in := range p.plan.Playbook.Inputs {
		variable := playbook.EnvPrefix + strings.ToUpper(in.Name)
		value, given := lookup(slices.Concat(p.environ, p.cfg.Environ), variable)
		switch {
		case !given:
		case in.Secret || m.String(value) != value:
			withheld = append(withheld, in.Name)
		default:
			environ = append(environ, variable+"="+value)
		}
	}
	slices.Sort(withheld)
	return set, environ, slices.Compact(withheld)
}

// lookup is the value of a variable; the last one counts.
func lookup(environ []string, name string) (value string, ok bool) {
	for _, kv := range environ {
		if v, is := strings.CutPrefix(kv, name+"="); is {
			value, ok = v, true
		}
	}
	return value, ok
}

// notAgain reports inputs that the run which goes on was given, and this session is not: their value is in no record, and that
// of the playbook would be taken in its place. One without a value is asked for, or reported as such.
func (p *Project) notAgain(pb *playbook.Playbook, given given, values *playbook.Values, found *diag.List) {
	whose := "the plan"
	if p.resume != "" {
		whose = "run " + p.resume
	}
	for _, name := range p.withheld {
		in, known := pb.Inputs.Get(name)
		again := slices.ContainsFunc(given.values, func(g playbook.Given) bool { return slices.Contains(g.Names(), name) })
		if !known || again || slices.Contains(values.Missing, in) {
			continue
		}
		found.Errorf(in.Pos, "%s was given another value of input `%s`, which is in no record since it is a secret, or holds one", whose, name).
			Hintf("give it again, as --set-file %s=FILE or $%s%s; or begin anew", name, playbook.EnvPrefix, strings.ToUpper(name))
	}
}

func toAny(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func absoluteAll(paths []string) []string {
	out := make([]string, len(paths))
	for i, s := range paths {
		out[i] = absolute(s)
	}
	return out
}

// absoluteValues makes the files of NAME=FILE absolute.
func absoluteValues(pairs []string) []string {
	out := make([]string, len(pairs))
	for i, s := range pairs {
		name, file, _ := strings.Cut(s, "=")
		out[i] = name + "=" + absolute(file)
	}
	return out
}
