package sched

// run is the state of a run. It belongs to one goroutine, the one that called Run: there is no lock in this package.
type run struct {
	*graph
	exec    Executor
	obs     Observer
	groupOb GroupObserver // nil if the observer does not want groups

	state   []state
	status  []code
	flags   []flags
	pending []int32 // needs that are not final
	cause   []int32 // root set of an instance that is blocked, or of a group that failed; None
	open    []int32 // of groups: instances right inside that are not final
	node    []nodeState
	edge    []edgeState
	lock    []lockState
	trails  map[inst]*trail
	lost    map[int32]int32 // host that is lost: its root set
	stopped map[int32]int32 // host on which nothing more is started: its root set
	rootSets

	remaining int    // instances that must come to an end
	settling  []inst // ended, their consequences not drawn yet

	slots   // slots.go: what bounds how much runs at once
	work    // work.go: workers
	commits // commit.go: results on their way to the disk
	timers  // retry.go
	demands // demand.go

	explains <-chan waitQuestion
	stops    <-chan error
	level    level
	stopping error // cause
	cut      bool  // the stop has kept something from being done
}

// level says how far a run is stopped.
type level uint8

const (
	running   level = iota
	finishing       // nothing starts but finally tasks
	cancelled       // nothing starts
)

func newRun(g *graph, exec Executor, obs Observer) *run {
	n := len(g.nodeOf)
	r := &run{
		graph: g, exec: exec, obs: obs,
		state: make([]state, n), status: make([]code, n), flags: make([]flags, n),
		pending: make([]int32, n), cause: make([]int32, n), open: make([]int32, g.groups),
		node: make([]nodeState, len(g.nodes)), edge: make([]edgeState, len(g.edges)), lock: make([]lockState, g.locks),
		trails: map[inst]*trail{}, lost: map[int32]int32{}, stopped: map[int32]int32{}, rootSets: newRootSets(),
		slots: newSlots(g), work: newWork(g.limits.Total), timers: newTimers(g.clock), demands: newDemands(),
	}
	r.groupOb, _ = obs.(GroupObserver)
	r.commits = newCommits(obs)
	for k := range r.nodes {
		r.setUp(int32(k))
	}
	return r
}

// setUp sets the counters of a node and its instances.
func (r *run) setUp(k int32) {
	n := &r.nodes[k]
	r.node[k].closed = None
	for p := range n.hosts.hosts {
		i := n.base + inst(p)
		r.cause[i] = None
		r.pending[i] = r.needsOf(n, i, None)
		if n.run == OnDemand {
			r.state[i] = sIdle
			continue
		}
		r.remaining++
		if n.parent != None {
			r.open[r.openOf(r.on(n.parent, n.hosts.hosts[p]))]++
		}
	}
	for _, e := range n.out {
		r.edge[e].left = int32(len(n.hosts.hosts))
	}
}

// needsOf counts what an instance waits for: all its needs and the group around it, or only those inside a group.
func (r *run) needsOf(n *node, i inst, within int32) int32 {
	var count int32
	for _, k := range n.in {
		e := &r.edges[k]
		if within != None && !r.graph.inside(e.from, within) {
			continue
		}
		if e.all || r.beside(n, &r.nodes[e.from], i) != None {
			count++
		}
	}
	if n.parent != None {
		count++
	}
	return count
}

// openOf returns where the counter of a group instance is.
func (r *run) openOf(gi inst) int32 {
	n := &r.nodes[r.nodeOf[gi]]
	return n.openBase + gi - n.base
}

// preset takes results of an earlier session over.
func (r *run) preset(list []Preset) {
	for _, p := range list {
		i := r.find(p.Instance)
		if r.state[i] == sIdle {
			r.remaining++
		}
		c := codeOf(p.Status)
		if c == cOK || c == cChanged {
			c = cReused
		}
		r.state[i], r.status[i] = sEnding, c
		if c != cSkipped {
			r.flags[i] |= fStarted
		}
		if c.failure() {
			r.flags[i] |= fAllowed | fCounted
			r.node[r.nodeOf[i]].failures++
		}
		r.settling = append(r.settling, i)
	}
	r.settle()
}

// unknown ends what an earlier session has left open: nothing more is started on its host.
func (r *run) unknown(list []leftOpen) {
	for _, u := range list {
		i := r.find(u.Instance)
		t := r.trail(i)
		t.failures = append(t.failures, u.result)
		r.flags[i] |= fStarted
		r.derive(i, Ending{Result: u.result})
	}
	r.settle()
}

// seed starts what waits for nothing, and closes groups in which nothing is left to do.
func (r *run) seed() {
	for i := range inst(len(r.state)) {
		n := &r.nodes[r.nodeOf[i]]
		if r.state[i] != sWaiting {
			continue
		}
		if n.isGroup() && r.through(i) {
			r.leave(i)
		} else if r.pending[i] == 0 {
			r.decide(i)
		}
	}
}

// loop turns until everything has ended. Each turn draws the consequences of what has ended, starts what can be started,
// sends results to the disk, and waits for something to happen.
func (r *run) loop(done <-chan struct{}, cause func() error) (err error) {
	r.clock.Hold()
	defer r.clock.Release()
	defer r.close()
	defer func() { err = r.lastCommit(err) }()
	select { // a run that was stopped before it began starts nothing
	case <-done:
		r.halt(cancelled, cause())
	case c := <-r.stops:
		r.halt(finishing, c)
	default:
	}
	for {
		r.settle()
		r.dispatch()
		r.flush()
		if r.over() {
			break
		}
		if r.stuck() {
			if r.failDemands() {
				continue
			}
			return r.stuckError()
		}
		r.clock.Release()
		select {
		case a := <-r.answers:
			r.clock.Hold()
			r.answer(a)
			r.drain()
		case q := <-r.asked:
			r.clock.Hold()
			r.demand(q)
		case q := <-r.explains:
			r.clock.Hold()
			r.explain(q)
		case err := <-r.committed:
			r.clock.Hold()
			r.commitDone(err)
			r.clock.Release()
		case <-r.timer.C():
			r.clock.Hold()
			r.fire(r.clock.Now())
			r.timer.Taken()
		case c := <-r.stops:
			r.clock.Hold()
			r.halt(finishing, c)
		case <-done:
			r.clock.Hold()
			done = nil
			r.halt(cancelled, cause())
		}
	}
	if r.level == finishing && !r.cut {
		return nil
	}
	return r.stopping
}

// drain takes what else has come back, so that a turn of the loop is shared by many results.
func (r *run) drain() {
	for range cap(r.answers) {
		select {
		case a := <-r.answers:
			r.answer(a)
		default:
			return
		}
	}
}

func (r *run) over() bool {
	return r.remaining == 0 && r.busy == 0 && !r.committing && len(r.batch) == 0
}

// stuck tells that nothing is under way which could start what is left.
func (r *run) stuck() bool {
	return r.busy == r.asking && r.ready.empty() && len(r.schedule) == 0 && !r.committing && len(r.batch) == 0
}

func (r *run) stuckError() error {
	e := &StuckError{}
	for i, s := range r.state {
		if s == sFinal || s == sIdle {
			continue
		}
		if e.Total++; len(e.Instances) < 10 {
			e.Instances = append(e.Instances, r.name(inst(i))+" waits for "+s.String())
		}
	}
	return e
}
