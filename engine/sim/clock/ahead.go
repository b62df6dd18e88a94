package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// lead is how far somebody may get ahead of the clock.
const lead = 5 * time.Second

type aheadKey struct{}

// ahead is the time that somebody is ahead of the clock.
type ahead struct{ by atomic.Int64 }

// owed adds d to what is owed to the clock. It is what has to be slept now: nothing, or all.
func (a *ahead) owed(d time.Duration) time.Duration {
	if by := a.by.Add(int64(d)); by < int64(lead) {
		return 0
	}
	return time.Duration(a.by.Swap(0))
}

// Ahead lets whoever sleeps under the context that it returns run ahead with Parallel: short sleeps take no turn of the
// clock, but are owed to it. CatchUp pays what is still owed at the end.
func (c *Clock) Ahead(ctx context.Context) context.Context {
	if !c.o.Parallel {
		return ctx
	}
	return context.WithValue(ctx, aheadKey{}, new(ahead))
}

// CatchUp sleeps for as long as whoever ran under the context is ahead. The error is that of Sleep.
func (c *Clock) CatchUp(ctx context.Context) error {
	if a, ok := ctx.Value(aheadKey{}).(*ahead); ok {
		return c.sleep(ctx, time.Duration(a.by.Swap(0)))
	}
	return nil
}
