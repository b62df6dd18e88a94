package plan_test

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
)

// The kinds of these tests do nothing.

type nothing struct{}

func (nothing) Changes(context.Context, task.Host) ([]task.Change, error) { return nil, nil }

type noop struct {
	nothing
	Value any `json:"value" kf:"short"`
	Lazy  any `json:"lazy" kf:"lazy"`
}

type outputs struct {
	X string `json:"x"`
}

type assert struct {
	nothing
	Checks []check `json:"checks" kf:"required,short,min=1"`
}

type check struct {
	That    task.Condition `json:"that" kf:"required,short,format=condition"`
	Message string         `json:"message"`
}

type action struct{ nothing }

func (*action) Action() bool { return true }

func kinds() *task.Registry {
	return task.NewRegistry(
		task.Kind{Name: "noop", New: func() task.Task { return new(noop) }, Outputs: outputs{}},
		task.Kind{Name: "act", New: func() task.Task { return new(action) }},
		task.Kind{Name: "pkg", New: func() task.Task { return new(noop) }, Class: "package"},
		task.Kind{Name: "assert", New: func() task.Task { return new(assert) }},
	)
}

// site is a playbook and an inventory as text, in the form of a txtar archive: play.yaml, hosts.yaml and parts. Where
// these are missing: a playbook begins with `tasks:`, and the hosts are three control planes and two workers.
type site struct {
	text string
	o    plan.Options
	bare bool // no inventory
}

const fiveHosts = `kflow: v1
hosts:
  m1: {groups: [cp]}
  m2: {groups: [cp]}
  m3: {groups: [cp]}
  w1: {groups: [workers], vars: {zone: a}}
  w2: {groups: [workers], vars: {zone: b}}
`

func (s site) make(t testing.TB) (*plan.Plan, diag.List) {
	t.Helper()
	files := map[string]string{"hosts.yaml": fiveHosts}
	a := txtar.Parse([]byte(s.text))
	if len(a.Comment) > 0 {
		files["play.yaml"] = "kflow: v1\nname: test\ngroups: {cp: {}, workers: {}}\n" + string(a.Comment)
	}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	pb, _, found := playbook.Load(t.Context(), "play.yaml", playbook.Options{Kinds: kinds(), Read: func(path string) ([]byte, error) {
		text, ok := files[filepath.Clean(path)]
		if !ok {
			return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		return []byte(text), nil
	}})
	if found.HasErrors() {
		t.Fatalf("%v\n%s", found.Err(), files["play.yaml"])
	}
	inv := &inventory.Inventory{}
	if !s.bare {
		inv, found = inventory.Parse("hosts.yaml", []byte(files["hosts.yaml"]))
		if found.HasErrors() {
			t.Fatal(found.Err())
		}
	}
	if s.o.Inputs == nil {
		s.o.Inputs = map[string]any{}
		for _, in := range pb.Inputs {
			s.o.Inputs[in.Name] = in.Default
		}
	}
	return plan.Make(pb, inv, s.o)
}

func (s site) plan(t testing.TB) *plan.Plan {
	t.Helper()
	p, found := s.make(t)
	if found.HasErrors() {
		t.Fatal(found.Err())
	}
	return p
}

// show is what the scheduler gets: one line for each task and group, with hosts, needs and limits.
func show(p *plan.Plan) string {
	var b strings.Builder
	for _, x := range p.Spec.Tasks {
		line := "%s: %s%s"
		var more string
		more += needs(p, x.Needs) + in(p, x.Group)
		more += limits(x.Run, x.When, x.Lock, x.MaxParallel, x.MaxFailures, x.FailFast, x.AllowFailure, x.Retry)
		if x.Timeout > 0 {
			more += " timeout=" + x.Timeout.String()
		}
		if x.Class != "" {
			more += " class=" + x.Class
		}
		if x.Remote {
			more += " remote"
		}
		if x.DurableStart {
			more += " durable"
		}
		fmt.Fprintf(&b, line+"\n", x.ID, hosts(p, x.Hosts), more)
	}
	for _, g := range p.Spec.Groups {
		fmt.Fprintf(&b, "[%s]: %s%s%s%s\n", g.ID, hosts(p, g.Hosts), needs(p, g.Needs), in(p, g.Group),
			limits(g.Run, g.When, g.Lock, g.MaxParallel, g.MaxFailures, g.FailFast, g.AllowFailure, g.Retry))
	}
	return b.String()
}

func hosts(p *plan.Plan, list []int) string {
	names := make([]string, len(list))
	for i, h := range list {
		names[i] = p.Hosts[h].Name
	}
	return strings.Join(names, " ")
}

func needs(p *plan.Plan, list []sched.Need) string {
	var b strings.Builder
	for _, n := range list {
		b.WriteString(" <-" + p.Spec.Tasks[n.Task].ID)
		if n.Form == sched.AllHosts {
			b.WriteString("@all")
		}
	}
	return b.String()
}

func in(p *plan.Plan, group int) string {
	if group == sched.None {
		return ""
	}
	return " in=" + p.Spec.Groups[group].ID
}

func limits(run sched.Run, when bool, lock string, parallel, failures int, fast, allow bool, retry *sched.Retry) string {
	var b strings.Builder
	if run != sched.OnSuccess {
		b.WriteString(" " + [...]string{"", "on_failure", "always", "on_demand"}[run])
	}
	if when {
		b.WriteString(" when")
	}
	if lock != "" {
		b.WriteString(" lock=" + lock)
	}
	if fast {
		fmt.Fprintf(&b, " parallel=%d failures=%d", parallel, failures)
	}
	if allow {
		b.WriteString(" allow")
	}
	if retry != nil {
		fmt.Fprintf(&b, " retry=%dx%s*%g<%s", retry.Attempts, retry.Delay, retry.Backoff, retry.MaxDelay)
	}
	return b.String()
}

// lines brings an expectation into the form of show.
func lines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
