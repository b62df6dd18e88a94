package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
)

// Foresight is what a plan says of an instance.
type Foresight string

// What a plan can say.
const (
	NoChange   Foresight = "no change"
	WillChange Foresight = "will change"
	IsAction   Foresight = "action"      // done once in every run
	WillSkip   Foresight = "skipped"     // its condition is false
	KnownAfter Foresight = "known after" // something is not there before another task has run
	WouldFail  Foresight = "would fail"
	NotReached Foresight = "unreachable"
)

// Planned is the plan of one instance.
type Planned struct {
	Instance string       `json:"instance"`
	Task     string       `json:"task"`
	Host     string       `json:"host"`
	Kind     string       `json:"kind"`
	Pos      string       `json:"pos"`
	Is       Foresight    `json:"is"`
	Why      string       `json:"why,omitempty"` // condition, task or resource that decides
	Changes  []job.Change `json:"changes,omitempty"`
}

// Foresee asks every instance for its changes and applies none: the hosts tasks see refuse writes. Instances are asked in
// the order of a run, each with what is known after those before it; what only a run can tell is known after a task.
func Foresee(ctx context.Context, c Config) ([]Planned, error) {
	c.Log, c.Prior, c.Signals = Forget{}, nil, nil
	s := newSession(c)
	p := &planner{Session: s, unknown: map[sched.Instance]string{}, planned: map[sched.Instance]*Planned{}, notEntered: map[entry]error{}}
	s.known = p
	var err error
	if s.sched, err = sched.New(p.once()); err != nil {
		return nil, err
	}
	defer s.hangUp()
	defer s.watch(ctx, nil)()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if _, err := s.sched.Run(ctx, p, p); err != nil {
		return nil, err
	}
	return p.list(), nil
}

// planner is the executor of a plan.
type planner struct {
	*Session
	mu      sync.Mutex
	unknown map[sched.Instance]string // what is known only after it
	planned map[sched.Instance]*Planned

	notEntered map[entry]error // blocks whose condition can't be computed, and never will be
}

// entry is the way into a group on a host.
type entry struct{ group, host int }

// once is the spec of a plan: hosts are asked as they are, and nothing is tried again.
func (p *planner) once() sched.Spec {
	spec := *p.plan.Spec
	spec.Limits, spec.Clock, spec.Retry = p.Limits, p.Clock, sched.Retry{}
	spec.Tasks, spec.Groups = slices.Clone(spec.Tasks), slices.Clone(spec.Groups)
	for i := range spec.Tasks {
		spec.Tasks[i].Retry = nil
	}
	for i := range spec.Groups {
		spec.Groups[i].Retry = nil
	}
	return spec
}

var (
	_ sched.Executor = (*planner)(nil)
	_ sched.Observer = (*planner)(nil)
)

func (p *planner) list() []Planned {
	var out []Planned
	for _, l := range p.plan.Leaves {
		for _, h := range l.Hosts {
			switch e := p.planned[sched.Instance{Task: l.Index, Host: h}]; {
			case e != nil:
				out = append(out, *e)
			case l.Task.Run == playbook.OnDemand:
				out = append(out, p.onDemand(l, h))
			}
		}
	}
	return out
}

func (p *planner) note(in sched.Instance, is Foresight, why string, changes []job.Change) {
	l := p.plan.Leaves[in.Task]
	why = p.Mask.String(why)
	maskChanges(p.Mask, changes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planned[in] = &Planned{Instance: p.plan.Name(in), Task: l.Task.Path, Host: p.plan.Hosts[in.Host].Name, Kind: l.Task.Kind.Name,
		Pos: l.Task.Pos.String(), Is: is, Why: why, Changes: changes}
}

// Outcome implements plan.Known: outputs that only a run can tell are absent.
func (p *planner) Outcome(leaf, host int) (plan.Outcome, bool) {
	in := sched.Instance{Task: leaf, Host: host}
	p.mu.Lock()
	after, unknown := p.unknown[in]
	e := p.planned[in]
	p.mu.Unlock()
	if unknown {
		changes := e != nil && (e.Is == WillChange || e.Is == IsAction)
		status := event.OK
		if changes {
			status = event.Changed
		}
		return plan.Outcome{Status: status, Changed: changes, Outputs: expr.Absent{Why: "known after " + after}}, true
	}
	return p.Session.Outcome(leaf, host)
}

// When implements sched.Executor.
func (p *planner) When(_ context.Context, in sched.Instance) sched.Condition {
	when := p.leaves[in.Task].Task.When
	yes, err := p.plan.Condition(when, in.Host, p, nil)
	if err = cmp.Or(p.shutOut(in), err); err != nil {
		p.undecided(in, err)
		return sched.Condition{Run: true, Result: &sched.Result{Status: event.OK}}
	}
	return sched.Condition{Run: yes, Text: when.Text()}
}

// Enter implements sched.Executor. A block whose condition is not known yet is entered: its tasks say what they can.
func (p *planner) Enter(_ context.Context, group, host int) sched.Condition {
	t := p.plan.Groups[group]
	if t.When == nil {
		return sched.Condition{Run: true}
	}
	yes, err := p.plan.Condition(t.When, host, p, nil)
	if _, later := knownAfter(err); err != nil && !later {
		p.mu.Lock()
		p.notEntered[entry{group, host}] = err
		p.mu.Unlock()
	}
	return sched.Condition{Run: yes || err != nil, Text: t.When.Text()}
}

// shutOut is why an instance can't be reached: the condition of a block around it can't be computed.
func (p *planner) shutOut(in sched.Instance) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	spec := p.plan.Spec
	for g := spec.Tasks[in.Task].Group; g != sched.None && len(p.notEntered) > 0; g = spec.Groups[g].Group {
		if err := p.notEntered[entry{g, in.Host}]; err != nil {
			return err
		}
	}
	return nil
}

// knownAfter is the task that has to run before something can be computed, where that is all that is in the way.
func knownAfter(err error) (task string, ok bool) {
	var absent expr.Absent
	if !errors.As(err, &absent) {
		return "", false
	}
	return strings.CutPrefix(absent.Why, "known after ")
}

// undecided notes an instance whose condition or parameters can't be evaluated now.
func (p *planner) undecided(in sched.Instance, err error) {
	if after, ok := knownAfter(err); ok {
		p.note(in, KnownAfter, after, nil)
	} else {
		p.note(in, WouldFail, err.Error(), nil)
	}
	p.mu.Lock()
	p.unknown[in] = p.plan.Name(in)
	p.mu.Unlock()
}

// Do implements sched.Executor: the changes of the instance, and what that means for those after it.
func (p *planner) Do(ctx context.Context, in sched.Instance, n int, ctl sched.Control) sched.Result {
	a := &attempt{Session: p.Session, in: in, leaf: p.leaves[in.Task], n: n, ctl: ctl}
	if err := p.shutOut(in); err != nil {
		p.undecided(in, err)
		return sched.Result{Status: event.OK}
	}
	conn, err := a.where(ctx)
	if err != nil {
		return p.notReached(a, err)
	}
	w, err := p.resolve(in, nil)
	if err != nil {
		p.undecided(in, err)
		return sched.Result{Status: event.OK}
	}
	out, err := conn.Do(ctx, a.request(w, job.Plan), nil)
	if err != nil {
		return p.notReached(a, err)
	}
	return p.foreseen(a, w, out)
}

// notReached notes an instance whose host does not answer. Where that is not its own, its own may well be up.
func (p *planner) notReached(a *attempt, err error) sched.Result {
	p.note(a.in, NotReached, err.Error(), nil)
	return sched.Result{Status: event.Unreachable, Err: err, HostLost: !a.leaf.Place.Elsewhere}
}

func (p *planner) foreseen(a *attempt, w *work, out *job.Outcome) sched.Result {
	switch f := out.Failure; {
	case out.NotYet != "" || f != nil && f.NotYet != "":
		resource := out.NotYet
		if f != nil && f.NotYet != "" {
			resource = f.NotYet
		}
		p.unknownAfter(a.in, p.maker(a.in, resource))
		return sched.Result{Status: event.OK}
	case f != nil && (a.leaf.waits() || a.leaf.looks(w.items)) && p.before(a.in, "") != "":
		p.unknownAfter(a.in, p.before(a.in, "")) // what it asks is not there yet
		return sched.Result{Status: event.OK}
	case f != nil:
		p.note(a.in, WouldFail, f.Error(), nil)
		p.unknownAfter(a.in, "")
		return sched.Result{Status: event.OK}
	case len(out.Changes) > 0 && a.leaf.waits():
		p.unknownAfter(a.in, p.before(a.in, out.Changes[0].Summary))
		return sched.Result{Status: event.OK}
	case len(out.Changes) > 0:
		is := WillChange
		if slices.ContainsFunc(out.Changes, func(c job.Change) bool { return c.Action }) {
			is = IsAction
		}
		p.note(a.in, is, "", out.Changes)
		p.mu.Lock()
		p.unknown[a.in] = p.plan.Name(a.in)
		p.mu.Unlock()
		return sched.Result{Status: event.Changed}
	}
	o := &outcome{status: event.OK}
	if err := a.keep(o, out); err != nil {
		p.note(a.in, WouldFail, err.Error(), nil)
		return sched.Result{Status: event.OK}
	}
	p.note(a.in, NoChange, "", nil)
	p.Session.mu.Lock()
	p.results.set(a.in, o)
	p.Session.mu.Unlock()
	return sched.Result{Status: event.OK}
}

// unknownAfter notes that nothing can be said of an instance, and so not of its outputs.
func (p *planner) unknownAfter(in sched.Instance, after string) {
	if after != "" {
		p.note(in, KnownAfter, after, nil)
	}
	p.mu.Lock()
	p.unknown[in] = p.plan.Name(in)
	p.mu.Unlock()
}

// before names what an instance needs that will change something, or is not known yet; otherwise when nothing does.
func (p *planner) before(in sched.Instance, otherwise string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.plan.Leaves[in.Task].Needs {
		for _, h := range p.plan.Leaves[e.From].Hosts {
			need := sched.Instance{Task: e.From, Host: h}
			if e.Form == sched.SameHost && h != in.Host {
				continue
			}
			if _, unknown := p.unknown[need]; unknown {
				return p.plan.Name(need)
			}
		}
	}
	return otherwise
}

// onDemand is the plan of a task that runs when somebody reads its outputs: as soon as one of its readers changes its host.
func (p *planner) onDemand(l *plan.Leaf, host int) Planned {
	out := Planned{Instance: p.plan.Name(sched.Instance{Task: l.Index, Host: host}), Task: l.Task.Path, Host: p.plan.Hosts[host].Name,
		Kind: l.Task.Kind.Name, Pos: l.Task.Pos.String(), Is: WillSkip, Why: "nothing needs it"}
	for _, reader := range p.plan.Leaves {
		if !slices.ContainsFunc(reader.Needs, func(e plan.Edge) bool { return e.From == l.Index && e.Need.Reason == playbook.ByLazy }) {
			continue
		}
		for _, h := range reader.Hosts {
			e := p.planned[sched.Instance{Task: reader.Index, Host: h}]
			if e != nil && (e.Is == WillChange || e.Is == IsAction || e.Is == KnownAfter) {
				out.Is, out.Why = KnownAfter, e.Instance
				return out
			}
		}
	}
	return out
}

// maker is the task that makes a resource on the host of an instance, as far as tasks tell what they touch; else the
// resource itself.
func (p *planner) maker(in sched.Instance, resource string) string {
	for _, l := range p.plan.Leaves {
		if l.Index == in.Task || !l.Runs(in.Host) || !p.writes(l.Index, in.Host, resource) {
			continue
		}
		return p.plan.Name(sched.Instance{Task: l.Index, Host: in.Host})
	}
	return resource
}

func (p *planner) writes(leaf, host int, resource string) bool {
	l := p.plan.Leaves[leaf]
	r, err := p.plan.Params(l, host, p, nil, false)
	if err != nil {
		return false
	}
	raw, err := json.Marshal(r.Value)
	t := l.Task.Kind.New()
	if err != nil || json.Unmarshal(raw, t) != nil {
		return false
	}
	toucher, ok := t.(task.Toucher)
	return ok && slices.Contains(toucher.Touches().Writes, resource)
}

// Started implements sched.Observer.
func (p *planner) Started(in sched.Instance, _ int) {
	p.Session.mu.Lock()
	defer p.Session.mu.Unlock()
	p.running[in] = p.Clock.Now()
}

// AttemptFailed implements sched.Observer.
func (p *planner) AttemptFailed(sched.Instance, int, sched.Result, time.Duration) {}

// Ended implements sched.Observer.
func (p *planner) Ended(in sched.Instance, end sched.Ending) {
	p.Session.mu.Lock()
	delete(p.running, in)
	p.Session.mu.Unlock()
	p.mu.Lock()
	known := p.planned[in] != nil
	p.mu.Unlock()
	if known {
		return
	}
	switch end.Status {
	case event.Skipped:
		p.note(in, WillSkip, end.When, nil)
	case event.Blocked:
		p.note(in, NotReached, "its host, or one it waits for, was not reached", nil)
	}
}
