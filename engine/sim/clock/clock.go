// Package clock is the time of simulated runs: it stands still while anything is under way, and leaps to the next moment
// at which something is to happen when all that runs is waiting for it.
//
// # How it knows
//
// It counts. Hold says that something is under way, Release that it has ended or waits for time to pass. Sleep, Turn and
// the wait for a Timer give their hold back while they wait; whoever the clock wakes holds again from that very moment, so
// that there is no gap in which time could slip through. When the count is zero the clock takes the earliest of what is
// planned, sets the time, and wakes it.
//
// # One at a time
//
// What is planned for the same moment is woken one after the other, each only when the one before has come to rest again,
// in an order that does not depend on how goroutines happen to be scheduled: by moment, then by the order that Turn was
// given, then by when it was planned. So a run is the same run each time. With Parallel all that is planned for a moment,
// or shortly after it, is woken together: faster on several cores, and not repeatable. And who does much that takes little
// time may run ahead of the clock for a while (Ahead), instead of waiting for it, and for a core, each time.
//
// # Contexts
//
// A timeout (Within) ends its context at its moment. Whoever sleeps under a context that has ended is woken by the clock
// itself, in the same turn: nothing depends on when a goroutine notices.
package clock

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/sched"
)

// Options of a Clock.
type Options struct {
	Start    time.Time // zero = a fixed day
	Parallel bool      // wake together what is planned for about the same moment
	Speed    float64   // simulated seconds per real one; 0 = as fast as it goes
}

// Clock is a simulated clock. It implements sched.Clock.
type Clock struct {
	o Options

	mu      sync.Mutex
	now     time.Time
	held    int
	seq     int64
	planned queue
	idle    []*moment // of sleepers that have woken
	pausing bool      // the real time of a leap is being waited for
}

var _ sched.Clock = (*Clock)(nil)

// New returns a clock that nothing holds.
func New(o Options) *Clock {
	if o.Start.IsZero() {
		o.Start = time.Date(2024, time.June, 10, 9, 0, 0, 0, time.UTC)
	}
	return &Clock{o: o, now: o.Start}
}

// Now is the time of the simulation.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Hold implements sched.Clock.
func (c *Clock) Hold() {
	c.mu.Lock()
	c.held++
	c.mu.Unlock()
}

// Release implements sched.Clock.
func (c *Clock) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held--
	c.advance()
}

// Pass lets time go by while nothing runs: between two sessions of a run.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// first is the order of what is planned without one: before every Turn.
const first = -1

// Sleep waits until d has passed or ctx ends; the error is the cause then. Whoever calls it holds.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	p, _ := ctx.Value(paceKey{}).(*pace)
	if p != nil && ctx.Err() == nil {
		d = p.owed(d)
	}
	return c.sleep(ctx, d, p)
}

// sleep is Sleep, and notes how late it woke.
func (c *Clock) sleep(ctx context.Context, d time.Duration, p *pace) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	late := c.await(moment{in: d, order: first, ctx: ctx})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p != nil {
		p.by.Add(-int64(late))
	}
	return nil
}

// Turn implements sched.Clock.
func (c *Clock) Turn(order int) {
	if !c.o.Parallel {
		c.await(moment{order: order})
	}
}

// Enter is Turn for those that have a name instead of a number.
func (c *Clock) Enter(name string) {
	if !c.o.Parallel {
		c.await(moment{name: name})
	}
}

// await plans what, a while after now, gives the hold of the caller back, and waits. It returns how late it is then.
func (c *Clock) await(what moment) (late time.Duration) {
	c.mu.Lock()
	p := c.sleeper()
	what.wake = p.wake
	*p = what
	p.at = c.now.Add(p.in)
	c.add(p)
	c.held--
	c.advance()
	c.mu.Unlock()
	<-p.wake
	c.mu.Lock()
	defer c.mu.Unlock()
	late, p.ctx = c.now.Sub(p.at), nil
	c.idle = append(c.idle, p)
	return late
}

// sleeper is a moment that is nobody's. c.mu is held.
func (c *Clock) sleeper() *moment {
	if n := len(c.idle); n > 0 {
		p := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return p
	}
	return &moment{wake: make(chan struct{}, 1)}
}

// plan adds a moment at which something happens. c.mu is held.
func (c *Clock) plan(at time.Time, order int) *moment { return c.add(&moment{at: at, order: order}) }

func (c *Clock) add(p *moment) *moment {
	c.seq++
	p.seq = c.seq
	heap.Push(&c.planned, p)
	return p
}

// advance lets happen what is next, while nothing is under way. c.mu is held.
func (c *Clock) advance() {
	for c.held == 0 && len(c.planned) > 0 && !c.pausing {
		next := c.planned[0]
		if wait := next.at.Sub(c.now); wait > 0 {
			if c.o.Speed > 0 {
				c.pause(wait)
				return
			}
			c.now = next.at
		}
		c.happen(heap.Pop(&c.planned).(*moment))
		for end := next.at.Add(together); c.o.Parallel && len(c.planned) > 0 && !c.planned[0].at.After(end); {
			p := heap.Pop(&c.planned).(*moment)
			if p.at.After(c.now) {
				c.now = p.at
			}
			c.happen(p)
		}
	}
}

// together is how far apart moments may be that happen together with Parallel. Hardly any two are planned for the very same
// one: without that, all would be done by one core after the other. It makes what sleeps sleep longer by as much, at most,
// and who runs ahead makes good for that.
const together = 500 * time.Millisecond

// pause lets real time pass for a leap.
func (c *Clock) pause(leap time.Duration) {
	c.pausing = true
	time.AfterFunc(time.Duration(float64(leap)/c.o.Speed), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pausing = false
		c.now = c.now.Add(leap)
		c.advance()
	})
}

// happen wakes a sleeper or rings a timer: both hold from now on. The end of a context holds nothing, but wakes those
// who sleep under it.
func (c *Clock) happen(p *moment) {
	switch {
	case p.wake != nil:
		c.held++
		p.wake <- struct{}{} // there is room: nobody is woken twice
	case p.ring != nil:
		c.held++
		p.ring.rung = true
		p.ring.c <- c.now
	case p.end != nil:
		p.end()
		c.wakeEnded()
	}
}

// wakeEnded plans for this very moment whatever sleeps under a context that has ended.
func (c *Clock) wakeEnded() {
	for _, p := range c.planned {
		if p.ctx != nil && p.ctx.Err() != nil && p.at.After(c.now) {
			p.at = c.now
		}
	}
	heap.Init(&c.planned)
}

// Within implements sched.Clock.
func (c *Clock) Within(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	p := c.plan(c.now.Add(d), first)
	p.end = func() { cancel(cause) }
	c.mu.Unlock()
	return ctx, func() {
		cancel(context.Canceled)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(p)
	}
}

// Cancel ends a context and wakes whoever sleeps under it, in this turn. Whoever calls it holds.
func (c *Clock) Cancel(cancel context.CancelCauseFunc, cause error) {
	cancel(cause)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeEnded()
}

// After calls f when d has passed, unless the returned function is called before. f must not wait for the clock.
func (c *Clock) After(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.plan(c.now.Add(d), first)
	p.end = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(p)
	}
}

// drop takes out what is planned. c.mu is held.
func (c *Clock) drop(p *moment) {
	if p.at0 < len(c.planned) && c.planned[p.at0] == p {
		heap.Remove(&c.planned, p.at0)
	}
}

// Timer implements sched.Clock.
func (c *Clock) Timer() sched.Timer { return &timer{clock: c, c: make(chan time.Time, 1)} }

type timer struct {
	clock *Clock
	c     chan time.Time
	plan  *moment
	rung  bool // and not taken: it holds
}

func (t *timer) C() <-chan time.Time { return t.c }

func (t *timer) Reset(d time.Duration) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.clear()
	t.plan = t.clock.plan(t.clock.now.Add(d), first)
	t.plan.ring = t
}

func (t *timer) Stop() {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.clear()
}

// clear forgets what was set, and what has rung and was not taken.
func (t *timer) clear() {
	if t.plan != nil {
		t.clock.drop(t.plan)
		t.plan = nil
	}
	select {
	case <-t.c:
		t.rung = false
		t.clock.held--
	default:
	}
}

func (t *timer) Taken() {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.rung {
		t.rung = false
		t.clock.held--
		t.clock.advance()
	}
}
