package sched

import "github.com/kflow/kflow/engine/event"

// finish ends an instance with a result that was found out by running something: it has consequences once it is durable.
func (r *run) finish(i inst, e Ending) {
	r.end(i, e)
	if r.committer != nil {
		r.batch = append(r.batch, i)
		return
	}
	r.settling = append(r.settling, i)
}

// derive ends an instance with a result that follows from others.
func (r *run) derive(i inst, e Ending) {
	r.end(i, e)
	r.settling = append(r.settling, i)
}

func (r *run) end(i inst, e Ending) {
	c := codeOf(e.Status)
	r.state[i], r.status[i] = sEnding, c
	if c.failure() {
		r.countFailure(i, None)
	}
	if t := r.trails[i]; t != nil && len(t.failures) > 0 {
		e.Attempts = t.failures
		if c.bad() { // the last of them is the result
			e.Attempts = t.failures[:len(t.failures)-1]
		}
	}
	e.Started = r.flags[i]&fStarted != 0
	e.Allowed = r.flags[i]&fAllowed != 0
	r.obs.Ended(r.instance(i), e)
	r.dirty = true
	if e.HostLost {
		r.loseHost(i)
	}
	if c == cUnknown && r.flags[i]&fAllowed == 0 {
		r.stopHost(i)
	}
}

// countFailure counts a failure in its node: it is tolerated, or it may close the node to what has not started. set are
// the roots of the failure, None if it is its own.
func (r *run) countFailure(i inst, set int32) {
	k := r.nodeOf[i]
	n, ns := &r.nodes[k], &r.node[k]
	ns.failures++
	r.flags[i] |= fCounted
	if n.allow || ns.failures <= n.maxFailures {
		r.flags[i] |= fAllowed
		return
	}
	if n.failFast && ns.closed == None && !r.mayHeal(n, i) {
		if set == None {
			set = r.one(i)
		}
		ns.closed = set
	}
}

// mayHeal tells whether a group around a failed instance, or group, has an attempt left that may undo the failure.
func (r *run) mayHeal(n *node, i inst) bool {
	if r.status[i] == cUnknown {
		return false
	}
	h := r.host(i)
	for p := n.parent; p != None; p = r.nodes[p].parent {
		if g := &r.nodes[p]; r.hasAttempt(g, r.on(p, h)) {
			return true
		}
	}
	return false
}

// blockRest blocks what has not started of a task or group that has failed too often.
func (r *run) blockRest(k int32) {
	n, ns := &r.nodes[k], &r.node[k]
	if ns.closed == None || ns.shut {
		return
	}
	ns.shut = true
	for p := range n.hosts.hosts {
		if i := n.base + inst(p); r.fresh(i) {
			r.block(i, ns.closed)
		}
	}
}

// fresh tells whether an instance can be ended because nothing of it was started.
func (r *run) fresh(i inst) bool {
	return r.state[i].notStarted() && r.trails[i] == nil
}

// block ends an instance, or all of a group, because of failures elsewhere.
func (r *run) block(i inst, set int32) {
	r.cause[i] = set
	if r.nodes[r.nodeOf[i]].isGroup() {
		r.refuse(i, cBlocked, func(j inst) { r.block(j, set) })
		return
	}
	r.rootSets.count(set, 1)
	r.derive(i, Ending{Result: Result{Status: event.Blocked}, Roots: r.instances(set)})
}

func (r *run) instances(set int32) []Instance {
	if set == None {
		return nil
	}
	list := make([]Instance, len(r.sets[set]))
	for k, i := range r.sets[set] {
		list[k] = r.instance(i)
	}
	return list
}

// skip ends an instance, or all of a group, because a condition is false. The answer is kept before it has consequences.
func (r *run) skip(i inst, text string) {
	if r.nodes[r.nodeOf[i]].isGroup() {
		r.refuse(i, cSkipped, func(j inst) { r.skip(j, text) })
		return
	}
	r.finish(i, Ending{Result: Result{Status: event.Skipped}, When: text})
}

// omit ends an instance, or all of a group, because there is no occasion for it.
func (r *run) omit(i inst) {
	if r.nodes[r.nodeOf[i]].isGroup() {
		r.refuse(i, cSkipped, r.omit)
		return
	}
	r.derive(i, Ending{Result: Result{Status: event.Skipped}})
}

// giveUp ends an instance, or all of a group, because the run is stopped: with its last failure if it has tried.
func (r *run) giveUp(i inst) {
	r.cut = true
	if r.nodes[r.nodeOf[i]].isGroup() {
		r.refuse(i, cCancelled, r.giveUp)
		return
	}
	if t := r.trails[i]; t != nil && len(t.failures) > 0 {
		r.finish(i, Ending{Result: t.failures[len(t.failures)-1]})
		return
	}
	r.derive(i, Ending{Result: Result{Status: event.Cancelled, Err: r.stopping}})
}

// loseHost blocks what has not started on the host of an instance that has found it lost.
func (r *run) loseHost(i inst) {
	h := r.host(i)
	if _, known := r.lost[h]; known {
		return
	}
	set := r.one(i)
	r.lost[h] = set
	for k := range r.nodes {
		if n := &r.nodes[k]; n.remote || n.isGroup() {
			continue
		}
		if j := r.on(int32(k), h); j != None && r.fresh(j) {
			r.blockLost(j, set)
		}
	}
}

// blockLost blocks an instance because of its host. Where its task tolerates failures, this counts as one.
func (r *run) blockLost(i inst, set int32) {
	k := r.nodeOf[i]
	n, ns := &r.nodes[k], &r.node[k]
	switch {
	case n.allow:
		r.flags[i] |= fAllowed
	case ns.failures < n.maxFailures:
		ns.failures++
		r.flags[i] |= fAllowed | fCounted
	}
	r.block(i, set)
}

// stopHost keeps everything from starting on the host of an instance of which nobody knows whether it was done. What has
// started goes on, and what has not been decided yet is asked for its condition first: whatever is found to be done by an
// earlier session, or not wanted, needs no host. So it does not matter for the results when the host was stopped.
func (r *run) stopHost(i inst) {
	h := r.host(i)
	set := r.one(i)
	if before, known := r.stopped[h]; known {
		set = r.join(before, set)
	}
	r.stopped[h] = set
	for k := range r.nodes {
		if r.nodes[k].isGroup() {
			continue
		}
		j := r.on(int32(k), h)
		if j == None || !r.fresh(j) {
			continue
		}
		if s := r.state[j]; s == sSlot || s == sLock || s == sReady {
			r.blockLost(j, set)
		}
	}
}

// mayStart tells whether a stop lets instances of a node start.
func (r *run) mayStart(n *node) bool {
	return r.level == running || r.level == finishing && (n.finally || n.run == OnDemand)
}

// halt stops the run as far as the level says. What waits is ended here; what is under way finds out by mayStart.
func (r *run) halt(to level, cause error) {
	if to <= r.level {
		return
	}
	r.level = to
	if r.stopping == nil {
		r.stopping = cause
	}
	for i := range inst(len(r.state)) {
		if s := r.state[i]; !s.notStarted() && s != sRetry || r.mayStart(&r.nodes[r.nodeOf[i]]) {
			continue
		}
		if r.state[i] == sRetry && r.nodes[r.nodeOf[i]].isGroup() {
			r.cut = true
			r.leave(i)
			continue
		}
		r.giveUp(i)
	}
}
