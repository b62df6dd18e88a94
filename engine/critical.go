package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/graph"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/sched"
)

// Span is when an instance ran: from its first attempt to its end.
type Span struct{ Start, End time.Time }

// Step is an instance on the critical path.
type Step = graph.Step

// CriticalPath is the chain of instances that decided how long a run took, first to last: each waited for the one before.
func (p *Project) CriticalPath(spans map[string]Span) []Step {
	last := ""
	for name, s := range spans {
		if have := spans[last]; last == "" || s.End.After(have.End) || s.End.Equal(have.End) && name < last {
			last = name
		}
	}
	var out []Step
	for at := last; at != ""; {
		s := spans[at]
		step := Step{Instance: at, Took: s.End.Sub(s.Start)}
		before := p.latestNeed(at, spans)
		if before != "" {
			step.Waited = max(0, s.Start.Sub(spans[before].End))
		}
		out = append(out, step)
		if before != "" && !spans[before].End.Before(s.End) && spans[before].Start.After(s.Start) {
			break // not an order of time: something ran again
		}
		at = before
	}
	slices.Reverse(out)
	return out
}

// EarlierPath is the critical path of an earlier run of the playbook: of the one that is named, or for Latest of the latest
// that ended well, else of the latest that did anything. The text says of which.
func (p *Project) EarlierPath(run string) ([]Step, string, error) {
	store, err := checkpoint.NewStore(checkpoint.Options{Dir: p.cfg.State})
	if err != nil {
		return nil, "", err
	}
	ids, err := p.earlier(store, run)
	if err != nil {
		return nil, "", err
	}
	for _, id := range ids {
		state, err := store.Read(id)
		if err != nil && run != Latest {
			return nil, "", err
		}
		if err != nil {
			continue // damaged: an older one may do
		}
		if steps := p.CriticalPath(p.spans(state)); len(steps) > 0 {
			return steps, "in run " + id, nil
		}
	}
	return nil, "", &adviceError{"no run of " + p.cfg.Playbook + " is recorded here that says how long its tasks take",
		"run it once (`kflow run`), or take simulated durations: --critical-path=simulated"}
}

// earlier are the runs to look at, the best first.
func (p *Project) earlier(store *checkpoint.Store, run string) ([]string, error) {
	if run != Latest {
		id, err := store.Find(run)
		return []string{id}, err
	}
	list, err := store.List()
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b checkpoint.Summary) int { return cmp.Compare(lateUnlessWell(a), lateUnlessWell(b)) })
	var ids []string
	for _, r := range list {
		if r.Playbook != "" && absolute(r.Playbook) == absolute(p.cfg.Playbook) {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}

func lateUnlessWell(r checkpoint.Summary) int {
	if r.Status == checkpoint.Succeeded {
		return 0
	}
	return 1
}

// spans are the times of the instances that the playbook still has.
func (p *Project) spans(state *checkpoint.State) map[string]Span {
	out := map[string]Span{}
	for name, i := range state.Instances {
		if _, known := p.plan.Instance(name); known && !i.Started.IsZero() && i.Ended.After(i.Started) {
			out[name] = Span{Start: i.Started, End: i.Ended}
		}
	}
	return out
}

// latestNeed is the instance that ended last of all that an instance needs, itself or by the blocks around it.
func (p *Project) latestNeed(name string, spans map[string]Span) string {
	in, ok := p.plan.Instance(name)
	if !ok {
		return ""
	}
	best := ""
	consider := func(e plan.Edge) {
		hosts := []int{in.Host}
		if e.Form == sched.AllHosts {
			hosts = p.plan.Leaves[e.From].Hosts
		}
		for _, h := range hosts {
			need := p.plan.Name(sched.Instance{Task: e.From, Host: h})
			s, ran := spans[need]
			if ran && need != name && (best == "" || s.End.After(spans[best].End)) && !s.End.After(spans[name].End) {
				best = need
			}
		}
	}
	leaf := p.plan.Leaves[in.Task]
	for _, e := range leaf.Needs {
		consider(e)
	}
	for around := leaf.Task.Parent; around != nil; around = around.Parent {
		for i, g := range p.plan.Groups {
			if g == around {
				p.eachNeed(i, consider)
			}
		}
	}
	return best
}

func (p *Project) eachNeed(group int, consider func(plan.Edge)) {
	for _, e := range p.plan.GroupNeeds[group] {
		consider(e)
	}
}
