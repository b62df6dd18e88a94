package clock_test

import (
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
		if now := c.Now().Sub(start); now > 100*time.Millisecond {
			t.Errorf("it is %s meanwhile", now)
		}
	}
	var late time.Duration
	actors(c,
		func() { _ = c.Sleep(t.Context(), 10*time.Millisecond); meet() },
		func() { _ = c.Sleep(t.Context(), 40*time.Millisecond); meet() },
		func() { _ = c.Sleep(t.Context(), 300*time.Millisecond); late = c.Now().Sub(start) })
	if late != 300*time.Millisecond {
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
			if slept := c.Now().Sub(start); slept < d || slept > d+100*time.Millisecond {
				t.Errorf("slept %s instead of %s", slept, d)
			}
		})
	}
	c.Release()
	wg.Wait()
}
