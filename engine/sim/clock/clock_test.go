package clock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/sim/clock"
)

// actors runs functions, each of which holds until it returns, and waits for all.
func actors(c *clock.Clock, fs ...func()) {
	var wg sync.WaitGroup
	c.Hold()
	for _, f := range fs {
		c.Hold()
		wg.Go(func() {
			defer c.Release()
			f()
		})
	}
	c.Release()
	wg.Wait()
}

func TestTimeLeapsWhenAllSleep(t *testing.T) {
	c := clock.New(clock.Options{})
	start := c.Now()
	began := time.Now()
	var long, short time.Duration
	actors(c,
		func() { _ = c.Sleep(t.Context(), 100*time.Hour); long = c.Now().Sub(start) },
		func() { _ = c.Sleep(t.Context(), time.Second); short = c.Now().Sub(start) })
	if long != 100*time.Hour || short != time.Second {
		t.Errorf("sleepers woke after %s and %s", long, short)
	}
	if time.Since(began) > 10*time.Second {
		t.Error("simulated time cost real time")
	}
}

func TestTimeStandsStillWhileSomethingIsHeld(t *testing.T) {
	c := clock.New(clock.Options{})
	start := c.Now()
	woken := make(chan struct{})
	c.Hold()
	c.Hold()
	go func() {
		_ = c.Sleep(t.Context(), time.Second)
		close(woken)
		c.Release()
	}()
	select {
	case <-woken:
		t.Error("a sleeper woke while something was under way")
	default:
	}
	if !c.Now().Equal(start) {
		t.Error("time has passed while something was under way")
	}
	c.Release()
	<-woken
}

func TestSameMomentOneAtATimeInOrder(t *testing.T) {
	for range 20 {
		c := clock.New(clock.Options{})
		var mu sync.Mutex
		var order []string
		var fs []func()
		for i := range 8 {
			fs = append(fs, func() {
				c.Turn(i)
				for k := range 3 {
					mu.Lock()
					order = append(order, fmt.Sprint(i, "-", k))
					mu.Unlock()
					_ = c.Sleep(t.Context(), time.Second)
				}
			})
		}
		actors(c, fs...)
		want := ""
		for k := range 3 {
			for i := range 8 {
				want += fmt.Sprint(i, "-", k) + " "
			}
		}
		if got := strings.Join(order, " ") + " "; got != want {
			t.Fatalf("order:\n got %s\nwant %s", got, want)
		}
	}
}

func TestTimeoutEndsSleepAtItsMoment(t *testing.T) {
	c := clock.New(clock.Options{})
	start := c.Now()
	why := errors.New("too long")
	actors(c, func() {
		ctx, stop := c.Within(t.Context(), time.Minute, why)
		defer stop()
		if err := c.Sleep(ctx, time.Hour); !errors.Is(err, why) {
			t.Errorf("Sleep returned %v", err)
		}
		if took := c.Now().Sub(start); took != time.Minute {
			t.Errorf("woken after %s", took)
		}
	})
}

func TestCancelWakesInTheSameTurn(t *testing.T) {
	c := clock.New(clock.Options{})
	start := c.Now()
	why := errors.New("cut")
	ctx, cancel := context.WithCancelCause(t.Context())
	actors(c,
		func() {
			if err := c.Sleep(ctx, time.Hour); !errors.Is(err, why) {
				t.Errorf("Sleep returned %v", err)
			}
			if took := c.Now().Sub(start); took != time.Second {
				t.Errorf("woken after %s", took)
			}
		},
		func() {
			_ = c.Sleep(t.Context(), time.Second)
			c.Cancel(cancel, why)
			_ = c.Sleep(t.Context(), time.Second)
		})
}

func TestTimerRingsAndHoldsUntilTaken(t *testing.T) {
	c := clock.New(clock.Options{})
	start := c.Now()
	c.Hold()
	timer := c.Timer()
	timer.Reset(time.Hour)
	timer.Reset(time.Minute)
	late := make(chan time.Duration, 1)
	c.Hold()
	go func() {
		_ = c.Sleep(t.Context(), 2*time.Minute)
		late <- c.Now().Sub(start)
		c.Release()
	}()
	c.Release()
	at := <-timer.C()
	if at.Sub(start) != time.Minute {
		t.Errorf("rang after %s", at.Sub(start))
	}
	select {
	case d := <-late:
		t.Errorf("time went on to %s before the ring was taken", d)
	default:
	}
	timer.Taken()
	if d := <-late; d != 2*time.Minute {
		t.Errorf("the sleeper woke after %s", d)
	}
}
