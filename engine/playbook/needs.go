package playbook

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/syntax"
)

// needText is an entry of `needs` or `before` as written.
type needText struct {
	path []string
	form Form
	text string
	pos  diag.Pos
	len  int
	site Site
}

var needRE = regexp.MustCompile(`^([a-z][a-z0-9_]*(?:/[a-z][a-z0-9_]*)*)(@all|@host)?$`)

// needTexts reads `needs` and `before`; names are resolved when all tasks are known.
func (l *loader) needTexts(t *Task, f *syntax.Fields) {
	t.needs = l.needList(t, f, "needs")
	t.before = l.needList(t, f, "before")
}

func (l *loader) needList(t *Task, f *syntax.Fields, key string) []needText {
	var out []needText
	for _, n := range f.Texts(key) {
		m := needRE.FindStringSubmatch(n.Text)
		if m == nil {
			d := l.diags.Errorf(n.Pos(), "%s names no task", n.Describe())
			d.Hintf("write the id of a task, a path into a block or part (runtime/unit), with @all or @host behind it to choose the form").Len = n.Width()
			if strings.ContainsAny(n.Text, ", ") {
				d.Hint = asList(n)
			} else if id, host, at := strings.Cut(n.Text, "@"); at && needRE.MatchString(id) {
				d.Hintf("`%s@all` waits for it on all hosts, `%s@host` on the same host; there is no need on one host such as %s", id, id, host)
			}
			continue
		}
		form := map[string]Form{"": Auto, "@all": All, "@host": Host}[m[2]]
		out = append(out, needText{strings.Split(m[1], "/"), form, n.Text, n.Pos(), n.Width(), l.site(n, t)})
	}
	return out
}

// names resolves what tasks need, and makes the edges of all sorts.
func (l *loader) names(root *Playbook) {
	all := l.withRemoved(root)
	for _, t := range all {
		l.shadowing(t)
		for _, w := range t.needs {
			if target := l.target(w, t); target != nil {
				t.need(Need{Target: target, Form: w.form, Reason: ByNeeds, Pos: w.pos, Text: w.text})
			}
		}
		for _, w := range t.before {
			if target := l.target(w, t); target != nil {
				target.need(Need{Target: t, Form: w.form, Reason: ByBefore, Pos: w.pos, Text: w.text})
			}
		}
		l.order(t)
	}
	for _, t := range all {
		l.data(t)
	}
	for _, t := range all {
		t.Needs = bridged(t.Needs)
	}
}

// withRemoved are all tasks and those an override has removed, which still know what they needed.
func (l *loader) withRemoved(root *Playbook) []*Task {
	out := slices.Clone(root.all)
	for _, p := range root.Parts() {
		out = append(out, removedOf(p.index)...)
	}
	for _, t := range root.all {
		out = append(out, removedOf(t.index)...)
	}
	return out
}

func removedOf(index map[string]*Task) []*Task {
	var out []*Task
	for _, t := range index {
		if t.removed.Known() {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *Task) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// target finds the task that a need of t names; nil after reporting that there is none.
func (l *loader) target(w needText, t *Task) *Task {
	found := w.site.Lookup(w.path[0])
	if found == nil {
		d := l.diags.Errorf(w.pos, "there is no task `%s` here", w.path[0])
		d.Len, d.Hint = w.len, diag.DidYouMean(w.path[0], w.site.visible())
		if inside := w.site.File.inside(w.path[0]); len(inside) > 0 {
			d.Hintf("inside a block or part it is reached by its path: `%s`", strings.Join(inside, "`, `"))
		}
		return nil
	}
	for i, id := range w.path[1:] {
		if found.removed.Known() {
			break
		}
		next := found.child(id)
		if next == nil {
			l.noChild(w, found, id, strings.Join(w.path[:i+1], "/"))
			return nil
		}
		found = next
	}
	if found == t {
		l.diags.Errorf(w.pos, "task `%s` can't wait for itself", t.Path).Len = w.len
		return nil
	}
	if found.contains(t) {
		l.diags.Errorf(w.pos, "task `%s` can't wait for `%s`, which it is part of", t.Path, found.Path).Len = w.len
		return nil
	}
	if t.contains(found) {
		l.diags.Errorf(w.pos, "`%s` can't wait for a task inside itself", t.Path).Len = w.len
		return nil
	}
	return found
}

// inside are the paths, as the file may write them, of the tasks of that id inside its blocks and parts.
func (p *Playbook) inside(id string) []string {
	var paths []string
	var walk func(tasks []*Task, prefix string)
	walk = func(tasks []*Task, prefix string) {
		for _, t := range tasks {
			if t.ID == id && prefix != "" {
				paths = append(paths, prefix+id)
			}
			walk(t.Steps, prefix+t.ID+"/")
		}
	}
	walk(p.Tasks, "")
	return paths
}

func (l *loader) noChild(w needText, found *Task, id, prefix string) {
	if found.Leaf() {
		l.diags.Errorf(w.pos, "`%s` has no tasks inside", prefix).Len = w.len
		return
	}
	var ids []string
	for _, s := range found.Steps {
		ids = append(ids, prefix+"/"+s.ID)
	}
	d := l.diags.Errorf(w.pos, "there is no task `%s` in `%s`", id, prefix)
	d.Len, d.Hint = w.len, diag.DidYouMean(prefix+"/"+id, ids)
}

// contains tells whether t is a block or part around other.
func (t *Task) contains(other *Task) bool {
	for p := other.Parent; p != nil; p = p.Parent {
		if p == t {
			return true
		}
	}
	return false
}

// need adds an edge, unless there is one to the same target in the same form.
func (t *Task) need(n Need) {
	for _, have := range t.Needs {
		if have.Target == n.Target && have.Form == n.Form && have.Via == n.Via {
			return
		}
	}
	t.Needs = append(t.Needs, n)
}

// order lets each step of a block wait for the ones before it. A step that runs after a failure (`run: always`,
// `on_failure`) waits for all before it, as the one just before may never start; nothing waits for a step on demand.
func (l *loader) order(block *Task) {
	if block.Part != nil {
		return
	}
	var all, last []*Task // last: the regular step before, and those after failures since
	for _, s := range block.Steps {
		wait := last
		switch s.Run {
		case OnSuccess:
			last = []*Task{s}
		case OnFailure, Always:
			wait, last = all, append(last, s)
		}
		for _, b := range wait {
			s.need(Need{Target: b, Reason: ByOrder, Pos: s.Pos, Text: b.ID})
		}
		if s.Run != OnDemand {
			all = append(all, s)
		}
	}
}

// data adds an edge for each task that an expression of t mentions.
func (l *loader) data(t *Task) {
	for _, r := range t.Refs() {
		if len(r.Ref.Path) > 1 && (r.Ref.Path[1] == "outputs" || r.Ref.Path[1] == "all") {
			l.readers[r.Target] = true
		}
		n := Need{Target: r.Target, Reason: ByData, Pos: r.Ref.Pos, Text: "tasks." + r.Ref.Path[0]}
		if wantsAll(r.Target, r.Ref.Path[1:]) {
			n.Form = All
		}
		if len(r.Ref.Path) == 1 || r.Ref.Path[1] == "all" {
			n.Form = All // every host's value is read
		}
		switch {
		case r.Target == t:
			l.diags.Errorf(r.Ref.Pos, "task `%s` can't read itself", t.Path).Len = r.Ref.Len
		case r.Target.contains(t):
			l.diags.Errorf(r.Ref.Pos, "task `%s` can't read `%s`, which it is part of", t.Path, r.Target.Path).Len = r.Ref.Len
		case t.contains(r.Target):
			l.diags.Errorf(r.Ref.Pos, "`%s` can't read a task inside itself", t.Path).Len = r.Ref.Len
		case r.Lazy && r.Target.Run == OnDemand:
			n.Reason = ByLazy
			fallthrough
		default:
			t.need(n)
		}
	}
}

// wantsAll tells whether what a path says of a task is made from all its instances: `all`, or an output of a part that is
// made so inside.
func wantsAll(t *Task, path []string) bool {
	switch {
	case len(path) == 0 || path[0] == "all":
		return true
	case path[0] != "outputs":
		return false
	}
	return slices.ContainsFunc(t.Outputs(), func(o *Output) bool {
		return (len(path) == 1 || path[1] == o.Name) && o.fromAll()
	})
}

func (o *Output) fromAll() bool {
	found := false
	o.Value.Walk(func(v *Value) {
		for _, r := range v.exprRefs() {
			if r.Root != "tasks" || len(r.Path) == 0 {
				continue
			}
			if t := v.Site.Lookup(r.Path[0]); t != nil {
				found = found || wantsAll(t, r.Path[1:])
			}
		}
	})
	return found
}

// bridged replaces needs on tasks that were removed by what these needed: the order between the others holds.
func bridged(needs []Need) []Need {
	return bridge(needs, nil, Auto, map[*Task]bool{})
}

// bridge follows removed tasks; via is the last of them. Where one need on the way waited for all hosts, all do.
func bridge(needs []Need, via *Task, form Form, seen map[*Task]bool) []Need {
	var out []Need
	for _, n := range needs {
		if !n.Target.removed.Known() {
			if via != nil {
				n.Via = via
			}
			if form == All {
				n.Form = All
			}
			out = append(out, n)
			continue
		}
		if seen[n.Target] {
			continue
		}
		seen[n.Target] = true
		onward := form
		if n.Form == All {
			onward = All
		}
		out = append(out, bridge(n.Target.Needs, n.Target, onward, seen)...)
	}
	return out
}

// TaskRef is a task that an expression mentions.
type TaskRef struct {
	Name   string // as the expression says it: tasks.<Name>
	Target *Task
	Ref    expr.Ref
	Site   Site
	Lazy   bool   // mentioned in a lazy parameter only
	Key    string // of the task: "when", "with", the kind
}

// Refs are the tasks that the expressions of t mention (of a block or part those of its own keys). Names that mean
// nothing are left out; Load reports them.
func (t *Task) Refs() []TaskRef {
	var out []TaskRef
	add := func(refs []expr.Ref, site Site, lazy bool, key string) {
		for _, r := range refs {
			if r.Root != "tasks" || len(r.Path) == 0 {
				continue
			}
			if target := site.Lookup(r.Path[0]); target != nil && !target.removed.Known() {
				out = append(out, TaskRef{r.Path[0], target, r, site, lazy, key})
			}
		}
	}
	t.walk(func(key string, c *Code) { add(c.Refs(), c.Site, false, key) },
		func(key string, v *Value) {
			v.refs(false, func(x *Value, lazy bool) { add(x.exprRefs(), x.Site, lazy, key) })
		})
	return out
}

// walk calls code for each bare expression of the task, and value for each value: parameters, settings, arguments.
func (t *Task) walk(code func(key string, c *Code), value func(key string, v *Value)) {
	for _, c := range []struct {
		key string
		c   *Code
	}{{"on", t.On}, {"at", t.At}, {"when", t.When}, {"until", t.until()}} {
		if c.c != nil {
			code(c.key, c.c)
		}
	}
	values := []struct {
		key string
		v   *Value
	}{{"for_each", t.ForEach}, {"timeout", t.Timeout}}
	if t.Retry != nil {
		values = append(values, []struct {
			key string
			v   *Value
		}{{"retry", t.Retry.Attempts}, {"retry", t.Retry.Delay}, {"retry", t.Retry.Backoff}, {"retry", t.Retry.MaxDelay}}...)
	}
	for _, c := range []*Count{t.MaxParallel, t.MaxFailures} {
		if c != nil {
			value("max_parallel", c.Value)
		}
	}
	for _, v := range values {
		if v.v != nil {
			value(v.key, v.v)
		}
	}
	if t.Params != nil {
		value(t.Kind.Name, t.Params)
	}
	if t.Part != nil {
		for _, in := range t.Part.Inputs {
			if a := t.Part.Args[in.Name]; a != nil {
				value("with", a.Value)
			}
		}
	}
}

func (t *Task) until() *Code {
	if t.Retry == nil {
		return nil
	}
	return t.Retry.Until
}
