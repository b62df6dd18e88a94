package sched

import (
	"context"
	"fmt"

	"github.com/kflow/kflow/engine/event"
)

// Scheduler runs a Spec once.
type Scheduler struct {
	graph   *graph
	presets []Preset
	unknown []leftOpen
	stop    chan error
	waiting chan waitQuestion
	over    chan struct{} // closed by Run
}

// New checks a Spec and makes it ready to run.
func New(spec Spec) (*Scheduler, error) {
	g, err := compile(&spec)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return &Scheduler{
		graph: g, stop: make(chan error, 1), waiting: make(chan waitQuestion), over: make(chan struct{}),
	}, nil
}

// Stop lets what runs finish and starts nothing new, except what is `finally` in a group that is entered. The first cause
// counts: Run returns it. Stop may be called from any goroutine, also before Run.
func (s *Scheduler) Stop(cause error) {
	if cause == nil {
		cause = ErrInterrupted
	}
	select {
	case s.stop <- cause:
	default:
	}
}

// Run carries the Spec out. The end of ctx cancels everything, running instances too; Run then waits for these to return.
// obs may be nil. The error is nil if every instance has come to its end, be it good or bad, also after a Stop that came
// too late to keep anything from it; otherwise it is the cause of the end of ctx, the cause given to Stop, a *CommitError or
// a *StuckError. The Summary is valid in each case.
func (s *Scheduler) Run(ctx context.Context, exec Executor, obs Observer) (Summary, error) {
	if obs == nil {
		obs = nobody{}
	}
	r := newRun(s.graph, exec, obs)
	defer close(s.over)
	r.stops, r.explains = s.stop, s.waiting
	r.spawn = func() { go r.worker(ctx) }
	r.preset(s.presets)
	r.unknown(s.unknown)
	r.seed()
	err := r.loop(ctx.Done(), func() error { return context.Cause(ctx) })
	return r.summary(), err
}

// Preset says which instances have a result from an earlier session, before Run. It returns those that are not taken over
// but run again: where the finally of a group has run on a host although the group was not through, the group starts
// afresh there (its finally has undone what its first steps did).
func (s *Scheduler) Preset(list []Preset) (dropped []Preset, err error) {
	have := make(map[inst]bool, len(list))
	for _, p := range list {
		i := s.graph.find(p.Instance)
		c := codeOf(p.Status)
		switch {
		case i < 0:
			return nil, fmt.Errorf("schedule: no instance of task %d on host %d", p.Task, p.Host)
		case c == cPending || c.bad() && !(c.failure() && p.Allowed):
			return nil, fmt.Errorf("schedule: %s can't be taken over from an earlier session", s.graph.name(i))
		}
		have[i] = true
	}
	undone := s.graph.undone(have)
	for _, p := range list {
		if undone[s.graph.find(p.Instance)] {
			dropped = append(dropped, p)
		} else {
			s.presets = append(s.presets, p)
		}
	}
	return dropped, nil
}

// leftOpen is an instance whose end nobody has seen.
type leftOpen struct {
	Instance
	result Result
}

// Unknown says, before Run, of which instance an earlier session has left open whether it was done. It does not run: it
// ends as event.Unknown with that error, and stops its host (see the package comment).
func (s *Scheduler) Unknown(in Instance, err error) error {
	if i := s.graph.find(in); i == None || s.graph.nodes[s.graph.nodeOf[i]].run == OnDemand {
		return fmt.Errorf("schedule: no instance of task %d on host %d can be unknown", in.Task, in.Host)
	}
	s.unknown = append(s.unknown, leftOpen{in, Result{Status: event.Unknown, Err: err}})
	return nil
}

// undone returns the instances in groups whose finally has a result on a host where other tasks of the group have none.
func (g *graph) undone(have map[inst]bool) map[inst]bool {
	list := map[inst]bool{}
	for k := range g.nodes {
		if !g.nodes[k].isGroup() || !g.hasFinally(int32(k)) {
			continue
		}
		for _, host := range g.nodes[k].hosts.hosts {
			done, open := g.progress(int32(k), host, have)
			for i := range done {
				list[done[i]] = list[done[i]] || open
			}
		}
	}
	return list
}

func (g *graph) hasFinally(group int32) bool {
	for _, k := range g.nodes[group].children {
		if g.nodes[k].run == Always {
			return true
		}
	}
	return false
}

// progress returns what is done of a group on a host, and whether its finally is among it while other tasks are not.
func (g *graph) progress(group, host int32, have map[inst]bool) (done []inst, halfway bool) {
	undone, open := false, false
	for _, k := range g.nodes[group].tree {
		j := g.on(k, host)
		if j == None || g.nodes[k].isGroup() || g.nodes[k].run == OnDemand {
			continue
		}
		last := g.finallyIn(k, group)
		if have[j] {
			done = append(done, j)
		}
		undone = undone || have[j] && last
		open = open || !have[j] && !last
	}
	return done, undone && open
}

// finallyIn tells whether a node is in, or is, a finally of the group.
func (g *graph) finallyIn(k, group int32) bool {
	for ; k != group; k = g.nodes[k].parent {
		if g.nodes[k].run == Always {
			return true
		}
	}
	return false
}

// name returns an instance for messages.
func (g *graph) name(i inst) string {
	return fmt.Sprintf("%s@%d", g.nodes[g.nodeOf[i]].id, g.host(i))
}

// summary reads the end of a run.
func (r *run) summary() Summary {
	s := Summary{Counts: map[event.Status]int{}, graph: r.graph, status: r.status}
	victims := r.rootSets.victims()
	var counts [cUnknown + 1]int
	for k := range r.nodes {
		n := &r.nodes[k]
		if n.isGroup() {
			continue
		}
		for p := range n.hosts.hosts {
			i := n.base + inst(p)
			counts[r.status[i]]++
			if c := r.status[i]; c.failure() || c == cCancelled {
				s.addRoot(r, i, victims[i])
			}
		}
	}
	for c, n := range counts {
		if n > 0 && code(c) != cPending {
			s.Counts[code(c).status()] = n
		}
	}
	s.NotNeeded = counts[cPending]
	return s
}

func (s *Summary) addRoot(r *run, i inst, blocked int) {
	root := Root{Instance: r.instance(i), Status: r.status[i].status(), Allowed: r.tolerated(i, None), Blocked: blocked}
	if t := r.trails[i]; t != nil && len(t.failures) > 0 {
		root.Err = t.failures[len(t.failures)-1].Err
	}
	if blocked > 0 || !root.Allowed && r.status[i].failure() {
		s.Roots = append(s.Roots, root)
	}
}
