package sched

import (
	"container/heap"
	"time"
)

// timers wake what waits for its next attempt.
type timers struct {
	timer    Timer
	schedule schedule
}

func newTimers(c Clock) timers { return timers{timer: c.Timer()} }

// begin counts an attempt.
func (r *run) begin(i inst) int {
	t := r.trails[i]
	if t == nil { // most instances need one attempt, and no trail
		return 1
	}
	t.attempt++
	return t.attempt
}

// trail returns what is kept of an instance whose current attempt has failed.
func (r *run) trail(i inst) *trail {
	t := r.trails[i]
	if t == nil {
		t = &trail{attempt: 1}
		r.trails[i] = t
	}
	return t
}

// attempted takes the result of an attempt: another one follows, or it is the end.
func (r *run) attempted(i inst, res Result) {
	c := codeOf(res.Status)
	if !c.bad() {
		r.finish(i, Ending{Result: res})
		return
	}
	t := r.trail(i)
	t.failures = append(t.failures, res)
	if n := &r.nodes[r.nodeOf[i]]; r.mayRetry(n, c, res, t.attempt) {
		wait := n.retry.after(t.attempt)
		r.obs.AttemptFailed(r.instance(i), t.attempt, res, wait)
		r.dirty = true
		r.state[i] = sRetry
		r.wakeIn(wait, i)
		return
	}
	r.finish(i, Ending{Result: res})
}

func (r *run) mayRetry(n *node, c code, res Result, attempt int) bool {
	again := c.failure() && c != cUnknown && attempt < n.retry.Attempts && (n.asked || res.Retryable)
	return again && r.mayGoOn(n)
}

// mayGoOn tells whether a stop lets instances of a node be tried again, and keeps in mind that it does not.
func (r *run) mayGoOn(n *node) bool {
	if r.mayStart(n) {
		return true
	}
	r.cut = true
	return false
}

func (r *run) wakeIn(wait time.Duration, i inst) {
	now := r.clock.Now()
	heap.Push(&r.schedule, alarm{at: now.Add(wait), i: i})
	r.timer.Reset(r.schedule[0].at.Sub(now))
}

// fire lets go on whatever has waited long enough.
func (r *run) fire(now time.Time) {
	for len(r.schedule) > 0 && !r.schedule[0].at.After(now) {
		a := heap.Pop(&r.schedule).(alarm)
		if r.state[a.i] != sRetry { // the run was stopped
			continue
		}
		if r.nodes[r.nodeOf[a.i]].isGroup() {
			r.restart(a.i)
			continue
		}
		r.state[a.i] = sReady
		r.ready.add(a.i)
	}
	if len(r.schedule) > 0 {
		r.timer.Reset(r.schedule[0].at.Sub(now))
	}
}

// alarm is the time of a next attempt.
type alarm struct {
	at time.Time
	i  inst
}

type schedule []alarm

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(a, b int) bool {
	if s[a].at.Equal(s[b].at) {
		return s[a].i < s[b].i
	}
	return s[a].at.Before(s[b].at)
}
func (s schedule) Swap(a, b int) { s[a], s[b] = s[b], s[a] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(alarm)) }
func (s *schedule) Pop() any {
	last := len(*s) - 1
	a := (*s)[last]
	*s = (*s)[:last]
	return a
}
