package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// lead is how far somebody may get ahead of the clock.
const lead = 5 * time.Second

// pace is the time that somebody is ahead of the clock; below zero, behind it: who is woken together with others wakes a
// little late, and has that to its credit.
type pace struct{ by atomic.Int64 }

type paceKey struct{}

// owed adds d to what is owed to the clock. It is what has to be slept now: nothing, or all.
func (p *pace) owed(d time.Duration) time.Duration {
	if by := p.by.Add(int64(d)); by < int64(lead) {
		return 0
	}
	return time.Duration(p.by.Swap(0))
}

// Ahead lets whoever sleeps under the context that it returns run ahead with Parallel: short sleeps take no turn of the
// clock, but are owed to it. It begins with what it has to its credit. CatchUp pays what is still owed at the end.
func (c *Clock) Ahead(ctx context.Context, credit time.Duration) context.Context {
	if !c.o.Parallel {
		return ctx
	}
	p := new(pace)
	p.by.Store(-int64(credit))
	return context.WithValue(ctx, paceKey{}, p)
}

// CatchUp sleeps for as long as whoever ran under the context is ahead, and returns what it has to its credit then. The error
// is that of Sleep.
func (c *Clock) CatchUp(ctx context.Context) (credit time.Duration, err error) {
	p, ok := ctx.Value(paceKey{}).(*pace)
	if !ok {
		return 0, nil
	}
	if p.by.Load() > 0 {
		err = c.sleep(ctx, time.Duration(p.by.Swap(0)), p)
	}
	return time.Duration(-p.by.Load()), err
}
