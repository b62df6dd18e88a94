package sched

// slots bound how much runs at once. There are two sorts. Short ones (total, host, class) are taken together when an
// attempt starts and given back when it ends. Long ones (the slot of a task or group, then its lock) are taken before
// any short one and kept until the result is durable, over retries and demands. Whoever holds a short one never waits for
// a long one, and whoever holds a lock waits for no slot: so nobody waits in a circle.
type slots struct {
	ready   readySet // may start as soon as there is room
	free    int
	perHost int32
	onHost  []int32       // running, by host
	parked  []queue       // could start, but the host is full
	inClass []bool        // by class and host: one is running
	behind  map[int]queue // could start, but the class is busy
}

func newSlots(g *graph) slots {
	return slots{
		ready: newReadySet(len(g.nodeOf)), free: g.limits.Total, perHost: int32(g.limits.PerHost),
		onHost: make([]int32, g.spec.Hosts), parked: make([]queue, g.spec.Hosts),
		inClass: make([]bool, g.class*g.spec.Hosts), behind: map[int]queue{},
	}
}

// dispatch starts what can be started.
func (r *run) dispatch() {
	for r.free > 0 && !r.ready.empty() {
		r.admit(r.ready.pop())
	}
}

// admit starts an instance, or parks it where it will be found when there is room.
func (r *run) admit(i inst) {
	n := &r.nodes[r.nodeOf[i]]
	h := n.hosts.hosts[i-n.base]
	s := r.state[i]
	if s != sCondQ && s != sReady && s != sResume { // it was ended in the meantime: the room is for the next
		r.wakeHost(h)
		return
	}
	if r.onHost[h] >= r.perHost {
		r.parked[h].push(i)
		return
	}
	if n.class > 0 && s != sCondQ {
		c := r.classOf(n, h)
		if r.inClass[c] {
			q := r.behind[c]
			q.push(i)
			r.behind[c] = q
			r.wakeHost(h)
			return
		}
		r.inClass[c] = true
		r.flags[i] |= fClass
	}
	r.free--
	r.onHost[h]++
	r.flags[i] |= fShort
	r.launch(n, i, h)
}

func (r *run) classOf(n *node, host int32) int { return int(n.class)*r.spec.Hosts + int(host) }

// giveBack returns the short slots of an instance.
func (r *run) giveBack(i inst) {
	if r.flags[i]&fShort == 0 {
		return
	}
	r.flags[i] &^= fShort
	n := &r.nodes[r.nodeOf[i]]
	h := n.hosts.hosts[i-n.base]
	r.free++
	r.onHost[h]--
	r.wakeHost(h)
	if r.flags[i]&fClass != 0 {
		r.flags[i] &^= fClass
		c := r.classOf(n, h)
		r.inClass[c] = false
		if q := r.behind[c]; len(q) > 0 {
			r.ready.add(q.pop())
			r.behind[c] = q
		}
	}
}

// wakeHost lets the first that is parked at a host try again. One call for each slot that is found free is enough: one
// that can't use it after all calls again.
func (r *run) wakeHost(h int32) {
	if len(r.parked[h]) > 0 && r.onHost[h] < r.perHost {
		r.ready.add(r.parked[h].pop())
	}
}

// acquire takes the long slots of an instance and lets it go on; if one is taken it waits for it, holding the others.
func (r *run) acquire(i inst) {
	k := r.nodeOf[i]
	n, ns := &r.nodes[k], &r.node[k]
	if n.slots > 0 && r.flags[i]&fSlot == 0 {
		if ns.used >= n.slots {
			r.state[i] = sSlot
			ns.waiting.push(i)
			return
		}
		ns.used++
		r.flags[i] |= fSlot
	}
	if n.lock != None && r.flags[i]&fLock == 0 {
		l := &r.lock[n.lock]
		if l.held {
			r.state[i] = sLock
			l.waiting.push(i)
			return
		}
		l.held, l.holder = true, i
		r.flags[i] |= fLock
	}
	if n.isGroup() {
		r.enter(i)
		return
	}
	r.state[i] = sReady
	r.ready.add(i)
}

// release gives the long slots of an instance to those that wait for them.
func (r *run) release(i inst) {
	f := r.flags[i] & (fLock | fSlot)
	if f == 0 {
		return
	}
	r.flags[i] &^= f
	k := r.nodeOf[i]
	if f&fLock != 0 {
		l := &r.lock[r.nodes[k].lock]
		l.held = false
		if next := r.first(&l.waiting, sLock); next != None {
			r.acquire(next)
		}
	}
	if f&fSlot != 0 {
		r.node[k].used--
		if next := r.first(&r.node[k].waiting, sSlot); next != None {
			r.acquire(next)
		}
	}
}

// first takes the first instance out of a queue that still waits there.
func (r *run) first(q *queue, s state) inst {
	for len(*q) > 0 {
		if i := q.pop(); r.state[i] == s {
			return i
		}
	}
	return None
}
