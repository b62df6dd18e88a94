package playbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// taskKeys are the keys of a task besides its kind.
func taskKeys() []string {
	return []string{"id", "name", "on", "at", "needs", "before", "when", "for_each", "retry", "timeout", "lock",
		"max_parallel", "max_failures", "allow_failure", "run", "allow", "steps", "use", "with", "override"}
}

// list reads the tasks of a playbook or the steps of a block. parent is the container (nil: top of the root); overrides
// are those whose path begins in this list.
func (l *loader) list(n *syntax.Node, pb *Playbook, parent *Task, overrides []*override) []*Task {
	if n.Null() {
		l.unmatched(overrides, nil)
		return nil
	}
	if n.Kind != syntax.Sequence {
		l.diags.Errorf(n.Pos(), "a list of tasks is wanted here, not %s", n.Describe()).
			Hintf("each task begins with `- id: NAME`")
		return nil
	}
	index := pb.index
	if parent != nil && parent.Part != pb && parent.File == pb {
		index = parent.index
	}
	var tasks []*Task
	for i, item := range n.Items {
		if l.tasks++; l.tasks > maxTasks {
			if l.tasks == maxTasks+1 {
				l.diags.Errorf(item.Pos(), "the playbook and its parts have more than %d tasks", maxTasks)
			}
			break
		}
		if t := l.task(item, i, pb, parent, index, overrides); t != nil && !t.removed.Known() {
			tasks = append(tasks, t)
		}
	}
	l.unmatched(overrides, index)
	return tasks
}

// task reads one entry. A task that an override removes is read as far as names need it.
func (l *loader) task(n *syntax.Node, i int, pb *Playbook, parent *Task, index map[string]*Task, overrides []*override) *Task {
	if n.Kind != syntax.Mapping {
		d := l.diags.Errorf(n.Pos(), "a task must be a map, not %s", n.Describe()).Hintf("write `- id: NAME` with a kind below it")
		if m := glued.FindStringSubmatch(n.Text); m != nil {
			d.Hintf("a space must follow the colon: `%s: %s`", m[1], m[2])
		}
		return nil
	}
	t := &Task{Pos: n.Pos(), File: pb, Parent: parent, Keys: map[string]diag.Pos{}, index: map[string]*Task{}}
	l.id(t, n.Get("id"), i, index)
	n, inner := l.override(t, n, overrides)
	for _, e := range n.Entries {
		t.Keys[e.Key.Text] = e.Key.Pos()
	}
	f := syntax.Open(n, "task `"+t.ID+"`", &l.diags)
	t.Title = l.title(f)
	l.needTexts(t, f)
	b := l.body(t, f)
	if t.removed.Known() {
		return t
	}
	l.settings(t, f)
	l.content(t, f, b, inner)
	return t
}

// glued is a key whose value follows without a space, which YAML takes for text.
var glued = regexp.MustCompile(`^([a-z_-]+):([^ :]+)`)

// title is plain text: it names the task, which has instances on many hosts, in graphs drawn before any is reached.
func (l *loader) title(f *syntax.Fields) string {
	text := f.Text("name")
	if strings.Contains(text, "${{") {
		n := f.Get("name")
		l.diags.Errorf(n.Pos(), "`name` is plain text, it can't hold an expression").Len = n.Width()
	}
	return text
}

func (l *loader) id(t *Task, n *syntax.Node, i int, index map[string]*Task) {
	t.ID = fmt.Sprintf("task_%d", i+1)
	switch {
	case n.Null():
		l.diags.Errorf(t.Pos, "every task needs an `id`").Hintf("kflow names tasks by their id in graphs, logs and checkpoints")
	case n.Kind != syntax.Scalar:
		l.diags.Errorf(n.Pos(), "`id` must be text, not %s", n.Describe())
	default:
		t.ID, t.Pos = n.Text, n.Pos()
		checkName(n, "task", &l.diags)
		l.unique(t, n, index)
	}
	t.Path = t.ID
	if t.Parent != nil {
		t.Path = t.Parent.Path + "/" + t.ID
	}
	if _, twice := index[t.ID]; !twice {
		index[t.ID] = t
	}
}

// unique reports an id given twice on one level.
func (l *loader) unique(t *Task, n *syntax.Node, index map[string]*Task) {
	if first := index[t.ID]; first != nil {
		d := l.diags.Errorf(n.Pos(), "there is a task `%s` already", t.ID).Note(first.Pos, "first here")
		d.Len = n.Width()
	}
}

// shadowing reports a task whose id hides another further out in the same file.
func (l *loader) shadowing(t *Task) {
	if t.Parent == nil || t.Parent.File != t.File {
		return
	}
	if outer := own(t.Parent).Lookup(t.ID); outer != nil {
		l.diags.Errorf(t.Pos, "this id hides the task `%s` outside of the block", outer.Path).Note(outer.Pos, "that one is here").
			Hintf("give one of them another id: in any place a name means one task").Len = len(t.ID)
	}
}

// body finds what the task does: the key of its kind, `steps` or `use`; "" when there is none.
func (l *loader) body(t *Task, f *syntax.Fields) string {
	var bodies, unknown []syntax.Entry
	for _, e := range f.Entries() {
		key := e.Key.Text
		switch {
		case key == "steps" || key == "use" || l.isKind(key):
			bodies = append(bodies, e)
		case !slices.Contains(taskKeys(), key):
			unknown = append(unknown, e)
		}
	}
	body := ""
	if len(bodies) > 0 {
		body = bodies[0].Key.Text
	}
	for _, e := range unknown {
		l.unknownKey(e.Key, body)
	}
	switch {
	case len(bodies) == 0 && len(unknown) == 0:
		l.diags.Errorf(t.Pos, "task `%s` does nothing: it needs a kind, `steps` or `use`", t.ID).Hintf("kinds: %s", strings.Join(l.kinds.Names(), ", "))
	case len(bodies) > 1:
		d := l.diags.Errorf(bodies[1].Key.Pos(), "task `%s` has `%s` already: a task does exactly one thing", t.ID, bodies[0].Key.Text)
		d.Note(bodies[0].Key.Pos(), "first here").Hintf("make it two tasks, or `steps`")
		d.Len = bodies[1].Key.Width()
	}
	return body
}

func (l *loader) isKind(name string) bool {
	_, ok := l.kinds.Lookup(name)
	return ok
}

func (l *loader) unknownKey(key *syntax.Node, body string) {
	what, candidates := "no kind and no key of a task is called", append(l.kinds.Names(), taskKeys()...)
	if body != "" {
		what, candidates = "a task has no key", append(taskKeys(), l.kinds.Names()...)
	}
	d := l.diags.Errorf(key.Pos(), "%s `%s`", what, key.Text)
	d.Len = key.Width()
	if hint := l.misplaced(key.Text, body); hint != "" {
		d.Hint = hint
	} else if near := diag.Nearest(key.Text, candidates); near != "" {
		d.Hintf("did you mean `%s`?", near)
	} else if body == "" {
		d.Hintf("kinds: %s", strings.Join(l.kinds.Names(), ", "))
	}
}

// content reads the body of a task.
func (l *loader) content(t *Task, f *syntax.Fields, body string, inner []*override) {
	for _, key := range []string{"with", "override"} {
		if f.Has(key) && body != "use" && body != "" {
			l.diags.Errorf(f.Pos(key), "`%s` belongs to a `use`, and task `%s` has none", key, t.ID)
		}
	}
	switch body {
	case "":
		l.noTasksIn(t, inner)
	case "steps":
		t.Steps = l.list(f.Get("steps"), t.File, t, inner)
		if f.Get("steps") == nil {
			l.diags.Errorf(f.Pos("steps"), "`steps` is empty")
		}
		l.containerOnly(t, f)
	case "use":
		l.use(t, f, inner)
		l.containerOnly(t, f)
	default:
		l.noTasksIn(t, inner)
		l.leaf(t, f, body)
	}
}

// containerOnly reports settings that make sense for a single task alone.
func (l *loader) containerOnly(t *Task, f *syntax.Fields) {
	for key, why := range map[string]string{
		"for_each": "it loops inside one task",
		"at":       "the tasks inside are carried out where each of them says",
		"timeout":  "it is the time for one attempt of one task",
	} {
		if f.Has(key) {
			l.diags.Errorf(f.Pos(key), "`%s` can't stand at a block or part: %s", key, why).Hintf("give it to the tasks inside")
		}
	}
	if t.Run == OnDemand {
		l.diags.Errorf(f.Pos("run"), "`run: on_demand` is for a single task, whose outputs others read")
	}
	if t.Retry != nil && t.Retry.Until != nil {
		l.diags.Errorf(t.Retry.Until.Pos(), "`until` looks at the result of a task; a block or part has none")
	}
}

func (l *loader) leaf(t *Task, f *syntax.Fields, body string) {
	kt := l.kind(body)
	t.Kind = kt.kind
	n := f.Node.Get(body)
	t.Params = l.params(t, n, f.Pos(body), kt.params, l.misplacedParams(f, body))
	t.SecretOutputs = kt.kind.SecretOutputs || l.secretByParams(t)
}

// use loads the part and its arguments.
func (l *loader) use(t *Task, f *syntax.Fields, inner []*override) {
	n := f.Required("use")
	if n == nil {
		return
	}
	path := f.Text("use")
	if path == "" {
		return
	}
	if strings.Contains(path, "${{") {
		l.diags.Errorf(n.Pos(), "`use` must be a plain path: the parts of a playbook are known when it is read").Len = n.Width()
		return
	}
	t.Part = l.part(t, n, path, append(l.overridesOf(f), inner...))
	if t.Part == nil {
		return
	}
	t.Steps = t.Part.Tasks
	l.args(t, f)
}

func (l *loader) part(t *Task, n *syntax.Node, path string, overrides []*override) *Playbook {
	before := l.diags.Len()
	pb := l.file(l.relative(n, path), t, n.Pos(), overrides)
	if pb == nil && l.diags.Len() == before {
		l.diags.Errorf(n.Pos(), "the part %s can't be used", path).Len = n.Width()
	}
	return pb
}

// args reads `with` by the inputs of the part.
func (l *loader) args(t *Task, f *syntax.Fields) {
	in := t.Part.Inputs
	with := syntax.Open(f.Get("with"), "`with`", &l.diags)
	for _, e := range with.Entries() {
		x, ok := in.Get(e.Key.Text)
		if !ok {
			d := l.diags.Errorf(e.Key.Pos(), "%s has no input `%s`", t.Part.File, e.Key.Text)
			d.Len, d.Hint = e.Key.Width(), diag.DidYouMean(e.Key.Text, in.Names())
			continue
		}
		l.arg(t, x, e)
	}
	for _, x := range in {
		if x.Required && t.Part.Args[x.Name] == nil && with.Node.Get(x.Name) == nil {
			pos := f.Pos("use")
			if with.Node != nil {
				pos = f.Pos("with")
			}
			d := l.diags.Errorf(pos, "%s needs a value for its input `%s`", t.Part.File, x.Name).Note(x.Pos, "declared here, without a default")
			if x.Description != "" {
				d.Hintf("%s", x.Description)
			}
		}
	}
}

func (l *loader) arg(t *Task, x *Input, e syntax.Entry) {
	v := l.value(e.Value, x.Shape, own(t))
	if v == nil {
		if x.Required {
			l.diags.Errorf(e.Key.Pos(), "input `%s` of %s is required, it can't be null", x.Name, t.Part.File)
		}
		return
	}
	if v.constant() && !v.wrong {
		if _, err := x.Check(v.plain()); err != nil {
			l.diags.Errorf(e.Value.Pos(), "input `%s`: %s", x.Name, err).Len = e.Value.Width()
		}
	}
	t.Part.Args[x.Name] = &Arg{Name: x.Name, Pos: e.Key.Pos(), Value: v}
}

// site is where a node of task t was written: in the file of the task, or in the `override` of a user of that file.
func (l *loader) site(n *syntax.Node, t *Task) Site {
	pb := l.docs[n.File]
	for u := t; u != nil; u = u.Parent {
		if u.File == pb {
			return Site{File: pb, Task: u}
		}
	}
	return Site{File: t.File, Task: t}
}

// own is the site of the task itself.
func own(t *Task) Site { return Site{File: t.File, Task: t} }

// code reads a bare expression.
func (l *loader) code(n *syntax.Node, key string, t *Task) *Code {
	e := l.bare(n, "`"+key+"`")
	if e == nil {
		return nil
	}
	return &Code{Expr: e, Site: l.site(n, t)}
}

// bare parses a scalar that is an expression as a whole.
func (l *loader) bare(n *syntax.Node, what string) *expr.Expr {
	if n == nil {
		return nil
	}
	if n.Kind != syntax.Scalar {
		l.diags.Errorf(n.Pos(), "%s must be an expression, not %s", what, n.Describe()).Hint = asExpression(n, what)
		return nil
	}
	text := strings.TrimSpace(n.Text)
	if strings.HasPrefix(text, "${{") && strings.HasSuffix(text, "}}") {
		inside := strings.TrimSpace(text[3 : len(text)-2])
		d := l.diags.Errorf(n.Pos(), "%s is an expression already: it is written without ${{ }}", what)
		d.Hintf("write %s", inside).Len = n.Width()
		return nil
	}
	e, diags := expr.Parse(n.Text, n.LocateRune)
	if diags.HasErrors() {
		diags = l.cutHint(n, diags)
	}
	l.diags.Extend(diags)
	return e
}

// asExpression writes a list as the expression it is likely meant to be.
func asExpression(n *syntax.Node, what string) string {
	between := map[string]string{"`on`": " + ", "`when`": " and ", "`until`": " and "}[what]
	var parts []string
	for _, item := range n.Items {
		if item.Kind != syntax.Scalar {
			return ""
		}
		parts = append(parts, item.Text)
	}
	if between == "" || len(parts) == 0 || len(parts) > 4 {
		return ""
	}
	return "write it as one: " + strings.Join(parts, between)
}

// cutHint adds to errors of an unquoted expression that a comment has cut it short.
func (l *loader) cutHint(n *syntax.Node, diags diag.List) diag.List {
	pos, cut := n.CutByComment()
	if !cut {
		return diags
	}
	var out diag.List
	for _, d := range diags.Sorted() {
		d.Note(pos, "the rest of the line, from this `#` on, is a comment: put quotes around the whole value")
		out.Add(d)
	}
	return out
}

// condition parses the value of a parameter of format condition.
func (l *loader) condition(n *syntax.Node, t *shape.Type, site Site) *Value {
	v := l.newValue(n, t, site, Condition)
	v.Expr = l.bare(n, "a condition")
	v.wrong = v.Expr == nil
	return v
}
