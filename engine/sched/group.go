package sched

import "github.com/kflow/kflow/engine/event"

// enter lets what is inside a group start on a host.
func (r *run) enter(gi inst) {
	n, h := &r.nodes[r.nodeOf[gi]], r.host(gi)
	again := r.flags[gi]&fStarted != 0
	r.flags[gi] |= fStarted
	r.state[gi] = sOpen
	if r.groupOb != nil {
		attempt := 1
		if t := r.trails[gi]; t != nil {
			attempt = t.attempt
		}
		r.groupOb.Entered(n.group, int(h), attempt)
		r.dirty = true
	}
	for _, k := range n.children {
		if j := r.on(k, h); j != None && !(again && r.nodes[k].run == OnDemand) {
			r.arrive(j)
		}
	}
	if !again && r.through(gi) {
		r.leave(gi)
	}
}

// refuse ends everything inside a group that is not entered.
func (r *run) refuse(gi inst, c code, end func(inst)) {
	n, h := &r.nodes[r.nodeOf[gi]], r.host(gi)
	r.state[gi], r.status[gi] = sRefused, c
	if r.open[r.openOf(gi)] == 0 {
		r.leave(gi)
		return
	}
	for _, k := range n.children {
		j := r.on(k, h)
		if j == None || !r.state[j].notStarted() {
			continue
		}
		end(j)
	}
}

// failEntry ends a group whose condition could not be evaluated: the first task inside has failed, and blocks the rest.
func (r *run) failEntry(gi inst, res Result) {
	n, h := &r.nodes[r.nodeOf[gi]], r.host(gi)
	if !codeOf(res.Status).bad() {
		res.Status = event.Failed
	}
	for _, k := range n.tree {
		j := r.on(k, h)
		if j == None || r.nodes[k].isGroup() || r.state[j] != sWaiting {
			continue
		}
		r.endUnstarted(j, res)
		r.block(gi, r.one(j))
		return
	}
	r.omit(gi)
}

// leftInside tells a group that something right inside it is final.
func (r *run) leftInside(gi, child inst) {
	if c := r.status[child]; c.bad() && r.flags[child]&fAllowed == 0 {
		r.status[gi] = max(r.status[gi], c)
		r.cause[gi] = r.causeIn(gi, child)
	}
	r.open[r.openOf(gi)]--
	if r.state[gi] != sCondRun && r.through(gi) {
		r.leave(gi)
	}
}

// through tells whether nothing is left to do inside a group. OnDemand tasks wait for it to be entered, or refused.
func (r *run) through(gi inst) bool {
	if r.open[r.openOf(gi)] > 0 {
		return false
	}
	if r.state[gi] == sOpen || r.state[gi] == sRefused {
		return true
	}
	n, h := &r.nodes[r.nodeOf[gi]], r.host(gi)
	for _, k := range n.children {
		if r.nodes[k].run == OnDemand && r.on(k, h) != None {
			return false
		}
	}
	return true
}

// causeIn returns the root set of a group: that of the first failure inside it.
func (r *run) causeIn(gi, child inst) int32 {
	switch {
	case r.cause[gi] != None:
		return r.cause[gi]
	case r.cause[child] != None:
		return r.cause[child]
	}
	return r.one(child)
}

// leave ends a group on a host, or lets it begin again.
func (r *run) leave(gi inst) {
	n, h := &r.nodes[r.nodeOf[gi]], r.host(gi)
	if r.mayRestart(n, gi, h) {
		t := r.trail(gi)
		wait := n.retry.after(t.attempt)
		r.state[gi] = sRetry
		if r.groupOb != nil {
			r.groupOb.Restarting(n.group, int(h), t.attempt, wait)
			r.dirty = true
		}
		r.wakeIn(wait, gi)
		return
	}
	if r.status[gi] == cPending {
		r.status[gi] = cOK
	}
	if r.status[gi].failure() {
		r.countFailure(gi, r.cause[gi])
	}
	if r.groupOb != nil {
		r.groupOb.Left(n.group, int(h), r.status[gi].status())
		r.dirty = true
	}
	r.state[gi] = sEnding
	r.settling = append(r.settling, gi)
}

func (r *run) mayRestart(n *node, gi inst, h int32) bool {
	_, lost := r.lost[h]
	return !lost && r.state[gi] == sOpen && r.status[gi].failure() && r.status[gi] != cUnknown && r.hasAttempt(n, gi)
}

// hasAttempt tells whether a group may be tried once more.
func (r *run) hasAttempt(n *node, gi inst) bool {
	if _, stopped := r.stopped[r.host(gi)]; stopped {
		return false
	}
	return n.retry.Attempts > 1 && r.trail(gi).attempt < n.retry.Attempts && r.mayGoOn(n)
}

// restart begins a group again at its first step: what is inside forgets that it has run.
func (r *run) restart(gi inst) {
	k, h := r.nodeOf[gi], r.host(gi)
	r.trails[gi].attempt++
	r.status[gi], r.cause[gi] = cPending, None
	for _, c := range r.nodes[k].tree {
		n := &r.nodes[c]
		j := r.on(c, h)
		if j == None || n.run == OnDemand {
			continue
		}
		r.forget(c, j)
		r.pending[j] = r.needsOf(n, j, k)
		r.open[r.openOf(r.on(n.parent, h))]++
	}
	r.enter(gi)
}

func (r *run) forget(k int32, i inst) {
	ns := &r.node[k]
	if r.flags[i]&fCounted != 0 {
		ns.failures--
	}
	if r.status[i] == cBlocked && !r.nodes[k].isGroup() {
		r.rootSets.count(r.cause[i], -1)
	}
	delete(r.trails, i)
	r.state[i], r.status[i], r.flags[i], r.cause[i] = sWaiting, cPending, 0, None
	r.remaining++
}

// spreadHeld tells those outside a group what has become of the tasks inside it, where it has kept that back.
func (r *run) spreadHeld(group int32, gi inst) {
	h := r.host(gi)
	for _, k := range r.nodes[group].tree {
		for _, e := range r.nodes[k].out {
			if r.edges[e].hold != group {
				continue
			}
			if i := r.on(k, h); i != None {
				r.spread(e, i)
			}
		}
	}
}
