package clock_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/sim/clock"
)

// With Parallel, what is planned shortly after a moment is woken with it, so that all cores have work: the first two of these
// can meet while both hold. The third is later, and time stands still for it until they sleep again.
func TestWhatIsCloseTogetherIsWokenTogether(t *testing.T) {
	c := clock.New(clock.Options{Parallel: true})
	start, met := c.Now(), make(chan struct{})
	meet := func() {
		select {
		case met <- struct{}{}:
		case <-met:
		case <-time.After(10 * time.Second):
			t.Error("woken alone")
		}
		if now := c.Now().Sub(start); now > 550*time.Millisecond {
			t.Errorf("it is %s meanwhile", now)
		}
	}
	var late time.Duration
	actors(c,
		func() { _ = c.Sleep(t.Context(), 10*time.Millisecond); meet() },
		func() { _ = c.Sleep(t.Context(), 40*time.Millisecond); meet() },
		func() { _ = c.Sleep(t.Context(), 900*time.Millisecond); late = c.Now().Sub(start) })
	if late != 900*time.Millisecond {
		t.Errorf("the third woke after %s", late)
	}
}

// Nobody sleeps for less than was asked for, and not much longer.
func TestNobodyIsWokenEarly(t *testing.T) {
	c := clock.New(clock.Options{Parallel: true})
	start := c.Now()
	var wg sync.WaitGroup
	c.Hold() // until all have been started
	for i := range 500 {
		c.Hold()
		wg.Go(func() {
			defer c.Release()
			d := time.Duration(i) * time.Millisecond
			if err := c.Sleep(t.Context(), d); err != nil {
				t.Error(err)
			}
			if slept := c.Now().Sub(start); slept < d || slept > d+600*time.Millisecond {
				t.Errorf("slept %s instead of %s", slept, d)
			}
		})
	}
	c.Release()
	wg.Wait()
}

// Who runs ahead waits for the clock when it is far enough before it, and at the end: not a moment is lost.
func TestWhoRunsAheadCatchesUp(t *testing.T) {
	c := clock.New(clock.Options{Parallel: true})
	start := c.Now()
	var early, far, end time.Duration
	actors(c, func() {
		ctx := c.Ahead(t.Context(), 0)
		sleep := func(d time.Duration) time.Duration {
			if err := c.Sleep(ctx, d); err != nil {
				t.Error(err)
			}
			return c.Now().Sub(start)
		}
		early, far = sleep(3*time.Second), sleep(4*time.Second)
		sleep(time.Second)
		if _, err := c.CatchUp(ctx); err != nil {
			t.Error(err)
		}
		end = c.Now().Sub(start)
	})
	if early != 0 || far != 7*time.Second || end != 8*time.Second {
		t.Errorf("3s, 4s and 1s were over at %s, %s and %s", early, far, end)
	}
}

// Who is woken late, together with others, has that to its credit: after many sleeps it is not later than by one.
func TestNobodyFallsBehind(t *testing.T) {
	c := clock.New(clock.Options{Parallel: true})
	start := c.Now()
	turns := func(each time.Duration) func() {
		return func() {
			var credit time.Duration
			for range 50 {
				ctx := c.Ahead(t.Context(), credit)
				if err := c.Sleep(ctx, each); err != nil {
					t.Error(err)
				}
				credit, _ = c.CatchUp(ctx)
			}
			if late := c.Now().Sub(start) - 50*each; late < 0 || late > time.Second {
				t.Errorf("50 times %s ended %s late", each, late)
			}
		}
	}
	actors(c, turns(700*time.Millisecond), turns(910*time.Millisecond), turns(1130*time.Millisecond))
}

// Without Parallel nobody does.
func TestNobodyRunsAheadOfARepeatableClock(t *testing.T) {
	c := clock.New(clock.Options{})
	start := c.Now()
	actors(c, func() { _ = c.Sleep(c.Ahead(t.Context(), 0), time.Second) })
	if took := c.Now().Sub(start); took != time.Second {
		t.Errorf("a second took %s", took)
	}
}

// The end of a context ends the debt with it.
func TestWhoIsAheadIsEndedWithItsContext(t *testing.T) {
	c := clock.New(clock.Options{Parallel: true})
	start := c.Now()
	actors(c, func() {
		timeout, cancel := c.Within(t.Context(), 2*time.Second, errSlow)
		defer cancel()
		ctx := c.Ahead(timeout, 0)
		if err := c.Sleep(ctx, 3*time.Second); err != nil {
			t.Error(err)
		}
		if _, err := c.CatchUp(ctx); !errors.Is(err, errSlow) {
			t.Error(err)
		}
	})
	if took := c.Now().Sub(start); took != 2*time.Second {
		t.Errorf("it ended after %s", took)
	}
}

var errSlow = errors.New("slow")
