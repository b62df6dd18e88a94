package sched

import (
	"context"
	"errors"

	"github.com/kflow/kflow/engine/event"
)

// demands are the instances in Do that wait for an OnDemand one.
type demands struct {
	asked   chan question
	asking  int                // busy jobs that wait
	waiters map[inst][]inst    // by what they wait for
	asks    map[inst]*question // by who waits
}

// question is a demand.
type question struct {
	self  inst
	of    Instance
	fresh bool
	to    inst
	reply chan verdict // has room for the one answer
	found verdict      // the answer, while its asker waits for room to go on
}

type verdict struct {
	status event.Status
	err    error
}

// What is wrong with a demand itself.
var (
	errNotOnDemand = errors.New("it is not an on-demand task, or does not run on that host")
	errCircle      = errors.New("it waits for the one that demands it")
	errTwoDemands  = errors.New("an attempt can wait for one demand at a time")
	errNeverStarts = errors.New("it can't start before the one that demands it has ended")
	errStopped     = errors.New("the run is stopped")
)

func newDemands() demands {
	return demands{asked: make(chan question), waiters: map[inst][]inst{}, asks: map[inst]*question{}}
}

// control is the Control of one attempt.
type control struct {
	asked chan<- question
	ended <-chan struct{}
	self  inst
	clock Clock
}

func (c control) Demand(ctx context.Context, in Instance, fresh bool) (event.Status, error) {
	q := question{self: c.self, of: in, fresh: fresh, reply: make(chan verdict, 1)}
	select {
	case c.asked <- q:
	case <-ctx.Done():
		return event.Pending, context.Cause(ctx)
	case <-c.ended:
		return event.Pending, errStopped
	}
	select {
	case v := <-q.reply:
		c.clock.Turn(int(c.self))
		return v.status, v.err
	case <-ctx.Done():
		return event.Pending, context.Cause(ctx)
	}
}

// demand takes a question: it is answered at once, or its asker waits.
func (r *run) demand(q question) {
	q.to = r.find(q.of)
	if err := r.objection(&q); err != nil {
		q.reply <- verdict{err: &DemandError{Name: r.nameOf(q.of), Err: err}}
		return
	}
	if r.state[q.to] == sFinal && !q.fresh {
		q.reply <- r.outcome(q.to)
		return
	}
	if r.state[q.to] == sFinal {
		r.again(q.to)
	}
	r.waiters[q.to] = append(r.waiters[q.to], q.self)
	r.asks[q.self] = &q
	r.state[q.self] = sDemand
	r.asking++
	r.giveBack(q.self)
	r.clock.Release()
	if r.state[q.to] == sIdle {
		r.state[q.to] = sWaiting
		r.remaining++
		if r.pending[q.to] == 0 {
			r.decide(q.to)
		}
	}
}

func (r *run) objection(q *question) error {
	switch {
	case q.to == None || r.nodes[r.nodeOf[q.to]].run != OnDemand:
		return errNotOnDemand
	case r.state[q.self] != sRunning:
		return errTwoDemands
	case r.level == cancelled:
		return errStopped
	}
	for i := q.to; ; { // whoever asks waits for one, which may ask in turn
		if i == q.self {
			return errCircle
		}
		next := r.asks[i]
		if next == nil || r.state[i] != sDemand {
			break
		}
		i = next.to
	}
	if s := r.state[q.to]; s == sFinal && !q.fresh || s != sIdle && s != sFinal {
		return nil
	}
	return r.whyNot(q.to)
}

// whyNot tells why an OnDemand instance can't be started.
func (r *run) whyNot(i inst) error {
	n := &r.nodes[r.nodeOf[i]]
	if set, lost := r.lost[r.host(i)]; lost && !n.remote {
		return &DemandError{Name: r.name(i), Status: event.Blocked, Roots: r.instances(set)}
	}
	if n.parent != None {
		gi := r.beside(n, &r.nodes[n.parent], i)
		if c := r.status[gi]; r.flags[gi]&fStarted == 0 && (r.state[gi] == sFinal || r.state[gi] == sRefused) {
			return &DemandError{Name: r.name(i), Status: c.status(), Roots: r.instances(r.cause[gi])}
		}
	}
	return nil
}

// again makes an OnDemand instance that has ended ready for another execution.
func (r *run) again(i inst) {
	k := r.nodeOf[i]
	if r.flags[i]&fCounted != 0 {
		r.node[k].failures--
	}
	if r.status[i] == cBlocked {
		r.rootSets.count(r.cause[i], -1)
	}
	delete(r.trails, i)
	r.state[i], r.status[i], r.flags[i], r.cause[i] = sIdle, cPending, 0, None
}

// outcome is the answer to a demand for an instance that has ended.
func (r *run) outcome(i inst) verdict {
	c := r.status[i]
	if !c.bad() {
		return verdict{status: c.status()}
	}
	e := &DemandError{Name: r.name(i), Status: c.status()}
	if c == cBlocked {
		e.Roots = r.instances(r.cause[i])
	}
	if t := r.trails[i]; t != nil && len(t.failures) > 0 {
		e.Err = t.failures[len(t.failures)-1].Err
	}
	return verdict{status: c.status(), err: e}
}

// answerDemands lets those go on who wait for an instance, as soon as there is room for them.
func (r *run) answerDemands(i inst) {
	for _, w := range r.waiters[i] {
		if q := r.asks[w]; q != nil && q.to == i && r.state[w] == sDemand {
			q.found = r.outcome(i)
			r.state[w] = sResume
			r.ready.add(w)
		}
	}
	delete(r.waiters, i)
}

// resume gives an instance its answer. It has its short slots again.
func (r *run) resume(i inst) {
	q := r.asks[i]
	delete(r.asks, i)
	r.state[i] = sRunning
	r.asking--
	r.clock.Hold()
	q.reply <- q.found
}

// failDemands ends the demands that can never be satisfied, because everything that is left waits for the ones who ask.
func (r *run) failDemands() bool {
	some := false
	for k := range r.state {
		i := inst(k)
		if r.state[i] != sDemand {
			continue
		}
		q := r.asks[i]
		q.found = verdict{err: &DemandError{Name: r.name(q.to), Err: errNeverStarts}}
		r.state[i] = sResume
		r.ready.add(i)
		r.withdraw(q.to)
		some = true
	}
	return some
}

// withdraw makes an instance that was demanded, and has not started, one that is not demanded.
func (r *run) withdraw(i inst) {
	if !r.fresh(i) {
		return
	}
	r.state[i] = sIdle
	r.remaining--
	r.release(i)
	delete(r.waiters, i)
}

func (r *run) nameOf(in Instance) string {
	if i := r.find(in); i != None {
		return r.name(i)
	}
	return "that instance"
}
