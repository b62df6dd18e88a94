package sched

// settle draws the consequences of everything that has ended, and of what ends because of it.
func (r *run) settle() {
	for k := 0; k < len(r.settling); k++ {
		r.settleOne(r.settling[k])
	}
	r.settling = r.settling[:0]
}

func (r *run) settleOne(i inst) {
	k := r.nodeOf[i]
	n := &r.nodes[k]
	r.state[i] = sFinal
	r.remaining--
	r.blockRest(k)
	r.release(i)
	if n.isGroup() {
		r.spreadHeld(k, i)
	} else if n.run == OnDemand {
		r.answerDemands(i)
		return
	}
	for _, e := range n.out {
		if r.edges[e].hold == None {
			r.spread(e, i)
		}
	}
	if n.parent != None && n.run != OnDemand {
		r.leftInside(r.beside(n, &r.nodes[n.parent], i), i)
	}
}

// spread tells the other end of an edge that an instance is final.
func (r *run) spread(k int32, i inst) {
	e := &r.edges[k]
	if !e.all {
		if j := r.beside(&r.nodes[e.from], &r.nodes[e.to], i); j != None {
			r.arrive(j)
		}
		return
	}
	if r.edge[k].left--; r.edge[k].left == 0 {
		to := &r.nodes[e.to]
		for p := range to.hosts.hosts {
			r.arrive(to.base + inst(p))
		}
	}
}

// arrive takes one need off an instance.
func (r *run) arrive(i inst) {
	if r.pending[i]--; r.pending[i] == 0 && r.state[i] == sWaiting {
		r.decide(i)
	}
}

// decide says what becomes of an instance whose needs are final, by the results of its own needs alone.
func (r *run) decide(i inst) {
	k := r.nodeOf[i]
	n := &r.nodes[k]
	t := r.weigh(n, i)
	switch {
	case !r.mayStart(n):
		r.giveUp(i)
	case r.keptOut(k, i):
	case r.level != running && t.bad && !t.failed && n.run != Always: // what it needs was cancelled: nothing is decided
		r.giveUp(i)
	case t.bad && (n.run == OnSuccess || n.run == OnDemand):
		r.block(i, t.roots)
	case n.run == OnFailure && !t.failed:
		r.omit(i)
	case n.run == Always && n.parent != None && t.needs && !t.started:
		r.nothingToUndo(i, t)
	case !n.when && r.heldUp(i):
	default:
		r.proceed(n, i)
	}
}

// nothingToUndo ends a finally none of whose needs was started.
func (r *run) nothingToUndo(i inst, t toll) {
	switch {
	case r.level != running:
		r.giveUp(i)
	case t.blocked:
		r.block(i, t.roots)
	default:
		r.omit(i)
	}
}

// proceed sends an instance on its way: to its condition, or to what it must acquire.
func (r *run) proceed(n *node, i inst) {
	if n.when {
		r.state[i] = sCondQ
		r.ready.add(i)
		return
	}
	r.acquire(i)
}

// judged takes the answer to a condition.
func (r *run) judged(i inst, c Condition) {
	k := r.nodeOf[i]
	n := &r.nodes[k]
	switch {
	case n.isGroup() && r.through(i): // everything inside was ended meanwhile
		r.leave(i)
	case !r.mayStart(n):
		r.giveUp(i)
	case c.Result != nil && n.isGroup():
		r.failEntry(i, *c.Result)
	case c.Result != nil:
		r.endUnstarted(i, *c.Result)
	case !c.Run:
		r.skip(i, c.Text)
	case r.keptOut(k, i) || r.heldUp(i):
	default:
		r.acquire(i)
	}
}

// endUnstarted ends an instance as its condition says, without an attempt.
func (r *run) endUnstarted(i inst, res Result) {
	if codeOf(res.Status).bad() {
		t := r.trail(i)
		t.failures = append(t.failures, res)
	}
	if c := codeOf(res.Status); c == cReused || c == cOK || c == cChanged {
		r.flags[i] |= fStarted
	}
	r.finish(i, Ending{Result: res})
}

// keptOut blocks an instance if its task has failed too often, or its host is lost.
func (r *run) keptOut(k int32, i inst) bool {
	if set := r.node[k].closed; set != None {
		r.block(i, set)
		return true
	}
	if len(r.lost) == 0 || r.nodes[k].remote || r.nodes[k].isGroup() {
		return false
	}
	set, lost := r.lost[r.host(i)]
	if lost {
		r.blockLost(i, set)
	}
	return lost
}

// heldUp blocks an instance whose host is stopped.
func (r *run) heldUp(i inst) bool {
	if len(r.stopped) == 0 || r.nodes[r.nodeOf[i]].isGroup() {
		return false
	}
	set, stopped := r.stopped[r.host(i)]
	if stopped {
		r.blockLost(i, set)
	}
	return stopped
}

// weigh adds up what the needs of an instance mean for it.
func (r *run) weigh(n *node, i inst) toll {
	sum := toll{roots: None}
	for _, k := range n.in {
		e := &r.edges[k]
		if e.waitOnly {
			continue
		}
		sum.needs = true
		if e.all {
			r.add(&sum, r.weighAll(k))
			continue
		}
		j := r.beside(n, &r.nodes[e.from], i)
		if j == None {
			continue
		}
		if c := r.status[j]; c.bad() {
			r.add(&sum, r.weighOne(e, j))
		} else if r.flags[j]&fStarted != 0 {
			sum.started = true
		}
	}
	return sum
}

func (r *run) add(sum *toll, t toll) {
	sum.bad = sum.bad || t.bad
	sum.failed = sum.failed || t.failed
	sum.blocked = sum.blocked || t.blocked
	sum.started = sum.started || t.started
	sum.roots = r.join(sum.roots, t.roots)
}

// weighOne is the toll of one instance with a bad result.
func (r *run) weighOne(e *edge, j inst) toll {
	c := r.status[j]
	t := toll{started: r.flags[j]&fStarted != 0, failed: c.failure() || c == cBlocked, blocked: c == cBlocked, roots: None}
	if r.tolerated(j, e.to) {
		return t
	}
	t.bad = true
	if t.roots = r.cause[j]; c != cBlocked {
		t.roots = r.one(j)
	}
	return t
}

// weighAll is the toll of a task as a whole, worked out once.
func (r *run) weighAll(k int32) toll {
	es, e := &r.edge[k], &r.edges[k]
	if es.judged {
		return es.toll
	}
	es.toll.roots, es.judged = None, true
	from := &r.nodes[e.from]
	for p := range from.hosts.hosts {
		j := from.base + inst(p)
		if r.status[j].bad() {
			r.add(&es.toll, r.weighOne(e, j))
		} else if r.flags[j]&fStarted != 0 {
			es.toll.started = true
		}
	}
	return es.toll
}

// tolerated tells whether a bad result is within what its task allows, or what a group around it allows that does not
// hold the one who asks (a node, or None).
func (r *run) tolerated(i inst, asks int32) bool {
	if r.flags[i]&fAllowed != 0 {
		return true
	}
	n := &r.nodes[r.nodeOf[i]]
	for p := n.parent; p != None; p = r.nodes[p].parent {
		if asks != None && (asks == p || r.graph.inside(asks, p)) {
			return false
		}
		if r.nodes[p].tolerates() && r.flags[r.beside(n, &r.nodes[p], i)]&fAllowed != 0 {
			return true
		}
	}
	return false
}
