package sched

import "context"

// Wait is an instance that could go on if it were not for something else.
type Wait struct {
	Instance
	For    string   // "a lock", "a max_parallel slot", "a free host", "its retry", "what it demands"
	Holder Instance // who has the lock, or what is demanded; Task is None if nobody, or a group, is to be named
}

// Waiting tells what waits at this moment, at most max of them, the most urgent first: for whoever must explain a
// silence. It may be called from any goroutine but the one that calls the Observer, and returns nil if Run has not begun
// before ctx ends, or is over.
func (s *Scheduler) Waiting(ctx context.Context, limit int) []Wait {
	q := waitQuestion{max: limit, reply: make(chan []Wait, 1)}
	select {
	case s.waiting <- q:
		return <-q.reply
	case <-s.over:
	case <-ctx.Done():
	}
	return nil
}

type waitQuestion struct {
	max   int
	reply chan []Wait // has room for the one answer
}

func (r *run) explain(q waitQuestion) {
	var list []Wait
	for k := range r.state {
		if len(list) == q.max {
			break
		}
		if w, waits := r.waitOf(inst(k)); waits {
			list = append(list, w)
		}
	}
	q.reply <- list
}

func (r *run) waitOf(i inst) (Wait, bool) {
	s := r.state[i]
	w := Wait{For: s.String(), Holder: Instance{Task: None}}
	switch s {
	case sLock:
		if l := &r.lock[r.nodes[r.nodeOf[i]].lock]; l.held {
			w.Holder = r.instance(l.holder)
		}
	case sDemand:
		w.Holder = r.instance(r.asks[i].to)
	case sSlot, sReady, sCondQ, sResume, sRetry:
	default:
		return w, false
	}
	w.Instance = r.instance(r.firstIn(i))
	return w, true
}

// firstIn returns the instance itself, or the first one in a group.
func (r *run) firstIn(i inst) inst {
	n, h := &r.nodes[r.nodeOf[i]], r.host(i)
	for _, k := range n.tree {
		if j := r.on(k, h); j != None && !r.nodes[k].isGroup() {
			return j
		}
	}
	return i
}
