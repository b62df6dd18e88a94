package plan

import (
	"fmt"
	"slices"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
)

// NoHost stands for the index of a host where an expression belongs to none.
const NoHost = -1

// Known is what a run knows so far. A plan without a run has none.
type Known interface {
	// Outcome of an instance; ok is false while it has none.
	Outcome(leaf, host int) (o Outcome, ok bool)
	// Facts of a host.
	Facts(host int) map[string]any
	// RunID is the id of the run.
	RunID() string
}

// Outcome is what expressions can see of an instance.
type Outcome struct {
	Status  event.Status
	Changed bool
	Allowed bool // a failure within allow_failure or max_failures
	Outputs any
}

// Env is the environment of expressions written at a site, for one host. It holds what refs mention; nil refs mean only
// what the playbook and the inventory say. item is the turn of a loop.
func (p *Plan) Env(site playbook.Site, host int, refs []expr.Ref, known Known, item any) (expr.Env, error) {
	b := envBuilder{Plan: p, site: site, host: host, known: known, item: item}
	return b.build(refs)
}

type envBuilder struct {
	*Plan
	site  playbook.Site
	host  int
	known Known
	item  any
}

func (b *envBuilder) build(refs []expr.Ref) (expr.Env, error) {
	env := expr.Env{}
	if refs == nil {
		in, err := b.inputsOf(b.site.File, nil)
		env["inputs"] = in
		return env, err
	}
	for _, root := range roots(refs) {
		v, err := b.root(root, refs)
		if err != nil {
			return nil, err
		}
		env[root] = v
	}
	return env, nil
}

func roots(refs []expr.Ref) []string {
	var out []string
	for _, r := range refs {
		if !slices.Contains(out, r.Root) {
			out = append(out, r.Root)
		}
	}
	return out
}

func (b *envBuilder) root(root string, refs []expr.Ref) (any, error) {
	switch root {
	case "inputs":
		return b.inputsOf(b.site.File, firsts(refs, "inputs"))
	case "host":
		if b.host == NoHost {
			return expr.Absent{Why: "this belongs to no host"}, nil
		}
		if b.known == nil {
			v := b.hostValue(b.host)
			v["facts"] = expr.Absent{Why: "facts of a host are not known before it is reached"}
			return v, nil
		}
		return b.hostWithFacts(b.host), nil
	case "hosts":
		return b.hostList("all"), nil
	case "groups":
		return b.groupLists(firsts(refs, "groups")), nil
	case "tasks":
		return b.tasks(refs)
	case "item":
		return b.item, nil
	case "run":
		if b.known == nil {
			return expr.Absent{Why: "there is no run yet"}, nil
		}
		return map[string]any{"id": b.known.RunID(), "name": b.Playbook.Name}, nil
	}
	return nil, nil // `result` is put in by the caller
}

// firsts are the names that refs mention below a root; nil when one mentions the root as a whole.
func firsts(refs []expr.Ref, root string) []string {
	out := []string{}
	for _, r := range refs {
		if r.Root != root {
			continue
		}
		if len(r.Path) == 0 {
			return nil
		}
		if !slices.Contains(out, r.Path[0]) {
			out = append(out, r.Path[0])
		}
	}
	return out
}

// inputsOf are the inputs of a file that are mentioned (nil: all). Those of a part come from its `with`.
func (b *envBuilder) inputsOf(file *playbook.Playbook, names []string) (map[string]any, error) {
	if file.Use == nil {
		return b.inputs, nil
	}
	out := map[string]any{}
	for _, in := range file.Inputs {
		if names != nil && !slices.Contains(names, in.Name) {
			continue
		}
		arg := file.Args[in.Name]
		if arg == nil {
			out[in.Name] = in.Default
			continue
		}
		v, err := b.arg(in, arg)
		if err != nil {
			return nil, err
		}
		out[in.Name] = v
	}
	return out, nil
}

func (b *envBuilder) arg(in *playbook.Input, arg *playbook.Arg) (any, error) {
	r, err := b.Value(arg.Value, b.host, b.known, b.item)
	if err != nil {
		return nil, err
	}
	if r.Value == nil {
		return in.Default, nil
	}
	v, err := in.Check(r.Value)
	if err != nil {
		return nil, fmt.Errorf("%s: input `%s`: %w", arg.Pos, in.Name, err)
	}
	return v, nil
}

// hostValue is a host as far as it is known when the playbook is read.
func (p *Plan) hostValue(i int) map[string]any {
	h := p.Hosts[i]
	return map[string]any{
		"name": h.Name, "address": h.Address, "node_ip": h.NodeIP, "groups": texts(h.Groups), "vars": plainVars(h.Vars),
	}
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func plainVars(vars map[string]any) map[string]any {
	if vars == nil {
		return map[string]any{}
	}
	return vars
}

func (b *envBuilder) hostWithFacts(i int) map[string]any {
	if b.known == nil {
		return b.seen.of(b.Plan, i, nil, false)
	}
	return b.seen.of(b.Plan, i, b.known.Facts(i), true)
}

func (b *envBuilder) hostList(group string) []any {
	return b.memo(b.known).list(group, func() []any {
		names := b.groups[group]
		out := make([]any, len(names))
		for i, n := range names {
			out[i] = b.hostWithFacts(b.hostIndex[n])
		}
		return out
	})
}

func (b *envBuilder) groupLists(names []string) map[string]any {
	out := map[string]any{}
	for g := range b.groups {
		if names == nil || slices.Contains(names, g) {
			out[g] = b.hostList(g)
		}
	}
	return out
}

// tasks are the mentioned tasks as an expression sees them.
func (b *envBuilder) tasks(refs []expr.Ref) (any, error) {
	out := map[string]any{}
	for _, id := range firsts(refs, "tasks") {
		t := b.site.Lookup(id)
		if t == nil {
			return nil, fmt.Errorf("no task `%s` is visible here", id)
		}
		v, err := b.task(t, wanted(refs, id))
		if err != nil {
			return nil, err
		}
		out[id] = v
	}
	return out, nil
}

// wanted are the members of tasks.ID that refs mention: status, changed, outputs, all.
func wanted(refs []expr.Ref, id string) map[string]bool {
	out := map[string]bool{}
	for _, r := range refs {
		if r.Root != "tasks" || len(r.Path) == 0 || r.Path[0] != id {
			continue
		}
		if len(r.Path) == 1 {
			return map[string]bool{"status": true, "changed": true, "outputs": true, "all": true}
		}
		out[r.Path[1]] = true
	}
	return out
}

func (b *envBuilder) task(t *playbook.Task, want map[string]bool) (any, error) {
	if b.known == nil {
		return expr.Absent{Why: "no task has run yet"}, nil
	}
	out := map[string]any{}
	if want["all"] {
		list, err := b.all(t)
		if err != nil {
			return nil, err
		}
		out["all"] = list
	}
	if !want["status"] && !want["changed"] && !want["outputs"] {
		return out, nil
	}
	host, absent := b.instanceOf(t)
	if absent != nil {
		out["status"], out["changed"], out["outputs"] = *absent, *absent, *absent
		return out, nil
	}
	status, changed := b.outcome(t, host)
	out["status"], out["changed"] = string(status), changed
	if want["outputs"] {
		v, err := b.outputs(t, host)
		if err != nil {
			return nil, err
		}
		out["outputs"] = v
	}
	return out, nil
}

// instanceOf says which instance of t an expression for this host means: that of the same host, or of the one host t has.
func (b *envBuilder) instanceOf(t *playbook.Task) (int, *expr.Absent) {
	hosts := b.hostsOf[t]
	if b.runsOn(t, b.host) {
		return b.host, nil
	}
	if len(hosts) == 1 {
		return hosts[0], nil
	}
	on := "no host"
	if len(hosts) > 1 {
		on = "several hosts"
	}
	return 0, &expr.Absent{Why: fmt.Sprintf("`%s` runs on %s and not on %s: read `tasks.%s.all`", t.Path, on, b.hostName(), t.ID)}
}

func (b *envBuilder) hostName() string {
	if b.host == NoHost {
		return "this one"
	}
	return b.Hosts[b.host].Name
}

// outcome of a task on a host; a block or part has that of its leaves together.
func (b *envBuilder) outcome(t *playbook.Task, host int) (event.Status, bool) {
	if t.Leaf() {
		o, _ := b.known.Outcome(b.leafOf[t], host)
		return o.Status, o.Changed
	}
	status, changed := event.Skipped, false
	for _, l := range t.Leaves() {
		if l.Run == playbook.OnDemand || !b.runsOn(l, host) {
			continue
		}
		o, ok := b.known.Outcome(b.leafOf[l], host)
		changed = changed || o.Changed
		switch {
		case !ok:
			return event.Pending, changed
		case !o.Status.Good() && !o.Allowed:
			return o.Status, changed
		case o.Status != event.Skipped:
			status = event.OK
		}
	}
	if changed {
		status = event.Changed
	}
	return status, changed
}

func (b *envBuilder) outputs(t *playbook.Task, host int) (any, error) {
	if t.Part != nil {
		return b.partOutputs(t, host)
	}
	if !t.Leaf() {
		return expr.Absent{Why: fmt.Sprintf("`%s` is a block and has no outputs", t.Path)}, nil
	}
	o, ok := b.known.Outcome(b.leafOf[t], host)
	name := t.Path + "@" + b.Hosts[host].Name
	switch {
	case !ok && !b.Leaves[b.leafOf[t]].Runs(host):
		return expr.Absent{Why: name + " is left out of this run, by --limit or --only"}, nil
	case !ok:
		return expr.Absent{Why: name + " has not run in this run"}, nil
	case o.Status == event.Skipped || !o.Status.Good():
		return expr.Absent{Why: fmt.Sprintf("%s is %s and has no outputs (`?? VALUE` gives another value then)", name, o.Status)}, nil
	}
	return o.Outputs, nil
}

// partOutputs are the declared outputs of a part, evaluated for the host.
func (b *envBuilder) partOutputs(t *playbook.Task, host int) (any, error) {
	out := map[string]any{}
	for _, o := range t.Part.Outputs {
		r, err := b.Value(o.Value, host, b.known, nil)
		if err != nil {
			out[o.Name] = expr.Absent{Why: err.Error()}
			continue
		}
		out[o.Name] = r.Value
	}
	return out, nil
}

// all is the list of host and outputs of every instance that has some.
func (b *envBuilder) all(t *playbook.Task) ([]any, error) {
	out := []any{}
	for _, h := range b.hostsOf[t] {
		status, changed := b.outcome(t, h)
		if !status.Good() || status == event.Skipped {
			continue
		}
		v, err := b.outputs(t, h)
		if err != nil {
			return nil, err
		}
		out = append(out, map[string]any{"host": b.hostWithFacts(h), "status": string(status), "changed": changed, "outputs": v})
	}
	return out, nil
}
