package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// Explanation is what the log of a run says of one instance, session by session.
type Explanation struct {
	Run      string      `json:"run"`
	Instance string      `json:"instance"`
	Kind     string      `json:"kind,omitempty"`
	Pos      string      `json:"pos,omitempty"`
	Sessions []Session   `json:"sessions"`
	Needs    []NeedState `json:"needs,omitempty"` // as the playbook is now
}

// Session is what became of the instance in one session of the run.
type Session struct {
	Number   int            `json:"number"`
	Started  time.Time      `json:"started"` // the session
	Status   event.Status   `json:"status,omitempty"`
	Why      string         `json:"why"`
	Duration time.Duration  `json:"duration,omitempty"`
	Changes  []string       `json:"changes,omitempty"`
	Failures []string       `json:"failures,omitempty"` // of attempts
	Failure  *event.Failure `json:"failure,omitempty"`
}

// NeedState is an instance that is waited for, with its last result.
type NeedState struct {
	Instance string       `json:"instance"`
	Status   event.Status `json:"status"`
}

// Explain tells from the log of a run why an instance ran, was skipped, reused, blocked or run again. run is an id, a part
// of one, or Latest. A name without host means the one host the task has. Errors: no such run or instance, a log that
// can't be read.
func Explain(ctx context.Context, cfg Config, run, name string) (*Explanation, error) {
	store, err := checkpoint.NewStore(checkpoint.Options{Dir: cfg.State})
	if err != nil {
		return nil, err
	}
	id, err := findLatest(store, run)
	if err != nil {
		return nil, err
	}
	state, err := store.Read(id)
	if err != nil {
		return nil, err
	}
	x := &explainer{store: store, needs: map[string][]string{}, sketch: sketch(ctx, cfg, state)}
	if name, err = x.find(state, name); err != nil {
		return nil, err
	}
	return x.explain(id, state, name)
}

func findLatest(store *checkpoint.Store, run string) (string, error) {
	if run != Latest {
		return store.Find(run)
	}
	list, err := store.List()
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", &adviceError{"there is no run yet", "`kflow run` makes one"}
	}
	return list[0].ID, nil
}

// sketch is the playbook of a run as it is now, for the needs of instances; nil where it can't be read.
func sketch(ctx context.Context, cfg Config, state *checkpoint.State) *Project {
	info := options{state.Info}
	cfg.Playbook, cfg.Inventory, cfg.Sketch = state.Playbook, info.text("inventory"), true
	cfg.Set, cfg.SetFile, cfg.Vars, cfg.Identity = info.list("set"), info.list("set_file"), info.list("vars"), info.list("identity")
	cfg.Environ = append(info.list("environ"), os.Environ()...)
	if cfg.Playbook == "" {
		return nil
	}
	p, found := Open(ctx, cfg)
	if p == nil || p.plan == nil || p.plan.Spec == nil || found.HasErrors() {
		return nil
	}
	return p
}

type explainer struct {
	store  *checkpoint.Store
	sketch *Project
	needs  map[string][]string
}

// find turns a name as people write it into that of an instance of the run.
func (x *explainer) find(state *checkpoint.State, name string) (string, error) {
	if state.Instances[name] != nil {
		return name, nil
	}
	var same, all []string
	for id, i := range state.Instances {
		if i.Task == name {
			same = append(same, id)
		}
		all = append(all, id)
	}
	if x.sketch != nil {
		if _, ok := x.sketch.plan.Instance(name); ok {
			return name, nil
		}
	}
	slices.Sort(same)
	switch {
	case len(same) == 1:
		return same[0], nil
	case len(same) > 1:
		return "", &adviceError{fmt.Sprintf("%s ran on %d hosts", name, len(same)), "name one: " + strings.Join(same[:min(5, len(same))], ", ")}
	}
	return "", &adviceError{fmt.Sprintf("run %s has no instance %s, and there is no kind of that name", state.Run, name), diag.DidYouMean(name, all)}
}

func (x *explainer) explain(id string, state *checkpoint.State, name string) (*Explanation, error) {
	out := &Explanation{Run: id, Instance: name}
	needs := x.needsOf(name)
	r := &reader{name: name, needs: needs, out: out, ends: map[string]event.Event{}, machines: map[string]event.Machine{}}
	log, err := x.store.Log(id)
	if err != nil {
		return nil, err
	}
	defer log.Close() // only read
	for rec, err := range checkpoint.Records(log) {
		var torn *checkpoint.TornError
		if errors.As(err, &torn) {
			break // the end of a run that was killed
		}
		if err != nil {
			return nil, err
		}
		r.read(rec.Event)
	}
	r.close()
	if i := state.Instances[name]; i != nil {
		out.Kind, out.Pos = i.Kind, i.Pos
	}
	for _, n := range needs {
		s := event.Pending
		if i := state.Instances[n]; i != nil {
			s = i.Status
		}
		out.Needs = append(out.Needs, NeedState{n, s})
	}
	return out, nil
}

// needsOf are the instances that one waits for: its own needs and those of groups around it.
func (x *explainer) needsOf(name string) []string {
	if x.sketch == nil {
		return nil
	}
	p := x.sketch.plan
	in, ok := p.Instance(name)
	if !ok {
		return nil
	}
	spec := p.Spec
	needs := slices.Clone(spec.Tasks[in.Task].Needs)
	for g := spec.Tasks[in.Task].Group; g != sched.None; g = spec.Groups[g].Group {
		needs = append(needs, spec.Groups[g].Needs...)
	}
	var out []string
	for _, n := range needs {
		for _, h := range p.Leaves[n.Task].Hosts {
			if n.Form == sched.AllHosts || h == in.Host {
				out = append(out, p.Name(sched.Instance{Task: n.Task, Host: h}))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
