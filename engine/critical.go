package engine

import (
	"slices"
	"time"

	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/sched"
)

// Span is when an instance ran: from its first attempt to its end.
type Span struct{ Start, End time.Time }

// Step is an instance on the critical path.
type Step struct {
	Instance string
	Took     time.Duration
	Waited   time.Duration // between the end of what it needed and its start
}

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
