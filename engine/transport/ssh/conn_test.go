package ssh

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/transport"
)

func dial(t *testing.T, d *Dialer, tg transport.Target) transport.Conn {
	t.Helper()
	c, err := d.Dial(t.Context(), tg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wait runs a request that does not end, and what calls when the host has begun with it.
func wait(t *testing.T, c transport.Conn, when func()) (*job.Outcome, error) {
	return c.Do(t.Context(), request("do", "wait"), func(p job.Progress) {
		if p.Log == "waiting" {
			when()
		}
	})
}

func TestALostConnectionIsDialledAgainByTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		for n := 1; n <= 3; n++ {
			_, err := wait(t, c, func() { go s.drop() })
			if u := unreachable(t, err, transport.Lost, "web: connection lost"); !u.Transient {
				t.Error("a lost connection is not transient")
			}
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if out, err := c.Do(t.Context(), request("do", "x"), nil); err != nil || out.Failure != nil {
						t.Errorf("after the loss: %+v, %v", out, err)
					}
				})
			}
			wg.Wait()
			if s.dials != n+1 {
				t.Errorf("after loss %d: %d dials", n, s.dials)
			}
		}
	})
}

func TestAHostThatStaysAwayIsGivenUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		s.onDial = func(int) error { return errSilent }
		s.drop()
		synctest.Wait()
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(20 * time.Second)
			if !c.(transport.Redialler).Redialling() {
				t.Error("it does not say that it dials")
			}
		})
		for range 10 {
			wg.Go(func() {
				_, err := c.Do(t.Context(), request("do", "x"), nil)
				if _, ok := transport.AsUnreachable(err); !ok {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("ten requests gave up after %v", took)
		}
		if c.(transport.Redialler).Redialling() {
			t.Error("it has given up, and says that it dials")
		}
		s.onDial = nil
		if _, err := c.Do(t.Context(), request("do", "x"), nil); err != nil {
			t.Errorf("the host is back, and: %v", err)
		}
	})
}

// A cable that is cut ends nothing: keepalives find out.
func TestADeadConnectionIsFoundByKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		var cut time.Time
		_, err := wait(t, c, func() {
			cut = time.Now()
			for _, conn := range s.conns {
				conn.freeze()
			}
		})
		unreachable(t, err, transport.Lost, "no sign of life for 45s")
		if after := time.Since(cut); after > time.Minute+5*time.Second {
			t.Errorf("found after %v", after)
		}
	})
}

func TestAQuietConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		time.Sleep(2 * time.Hour)
		if _, err := c.Do(t.Context(), request("do", "x"), nil); err != nil || s.dials != 1 {
			t.Errorf("%v after %d dials", err, s.dials)
		}
	})
}

func TestARebootIsFollowedThrough(t *testing.T) {
	for _, early := range []bool{false, true} { // the connection ends before the outcome has come
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			s := l.server("web")
			d := l.dialer()
			defer l.end(d)
			c := dial(t, d, target(s, l.key))
			defer c.Close()
			down := make(chan struct{})
			go func() { // the machine: goes down, refuses, lets nobody in yet, is up
				<-down
				if !early {
					time.Sleep(3 * time.Second)
				}
				s.mu.Lock()
				s.onDial = func(int) error { return errDrop }
				s.mu.Unlock()
				s.drop()
				time.Sleep(90 * time.Second)
				s.mu.Lock()
				s.boot, s.onDial = "boot-2", nil
				s.mu.Unlock()
			}()
			what := "x"
			if early {
				what = "wait"
			}
			var logs []string
			out, err := c.Do(t.Context(), request("reboot", what), func(p job.Progress) {
				if p.Change != nil {
					close(down)
				}
				if p.Reconnect != nil {
					t.Error("what the transport uses came through")
				}
				logs = append(logs, p.Log)
			})
			if err != nil || out.Failure != nil || !out.Applied || len(out.Changes) != 1 || out.Reconnect.BootID != "boot-2" {
				t.Fatalf("%+v, %v", out, err)
			}
			if c.Facts().BootID != "boot-2" || !strings.Contains(strings.Join(logs, "\n"), "waiting for it to come back") {
				t.Errorf("boot id %s, logs %q", c.Facts().BootID, logs)
			}
			if _, err := c.Do(t.Context(), request("do", "x"), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAHostThatDoesNotComeBackHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		start := time.Now()
		out, err := c.Do(t.Context(), request("reboot", "x"), nil) // it only says so: the boot id stays
		if err != nil || out.Failure == nil || !out.Failure.TimedOut || !strings.Contains(out.Failure.Summary, "did not come back within 2m") {
			t.Fatalf("%+v, %v", out, err)
		}
		if took := time.Since(start); took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("after %v", took)
		}
	})
}

func TestCancelEndsTheRequestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(errors.New("interrupted")) })
		out, err := c.Do(ctx, request("do", "wait"), nil)
		if err != nil || out.Failure == nil || !out.Failure.Cancelled || out.Failure.Summary != "interrupted" {
			t.Errorf("%+v, %v", out, err)
		}
		if _, err := c.Do(t.Context(), request("do", "x"), nil); err != nil || s.dials != 1 {
			t.Errorf("%v, %d dials", err, s.dials)
		}
	})
}

func TestAClosedConnectionStaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		_, err := wait(t, c, func() { go c.Close() })
		if !errors.Is(err, errClosed) {
			t.Errorf("under way: %v", err)
		}
		if _, err := c.Do(t.Context(), request("do", "x"), nil); !errors.Is(err, errClosed) || s.dials != 1 {
			t.Errorf("after: %v, %d dials", err, s.dials)
		}
		c.Close()
	})
}

func TestOneJumpHostConnectionForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		jump := l.server("bastion", hostECDSA)
		inner := l.server("inner", hostRSA)
		d := l.dialer()
		defer l.end(d)
		tg := target(inner, l.key)
		tg.Jump = []transport.Target{target(jump, l.key)}
		var wg sync.WaitGroup
		conns := make(chan transport.Conn, 20)
		for range 20 {
			wg.Go(func() { conns <- dial(t, d, tg) })
		}
		wg.Wait()
		close(conns)
		if jump.dials != 1 || inner.dials != 20 || l.net.dials != 21 {
			t.Errorf("%d dials to the jump host, %d behind it", jump.dials, inner.dials)
		}
		for c := range conns {
			c.Close()
		}
		synctest.Wait()
		c := dial(t, d, tg) // all had left: a new one
		if jump.dials != 2 {
			t.Errorf("%d dials", jump.dials)
		}
		jump.drop() // all behind it are lost with it, and come back through a new one
		synctest.Wait()
		if _, err := c.Do(t.Context(), request("do", "x"), nil); err != nil || jump.dials != 3 {
			t.Errorf("%v, %d dials", err, jump.dials)
		}
		c.Close()
	})
}

func TestEachHopIsVerifiedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		first, second, inner := l.server("first"), l.server("second"), l.server("inner")
		d := l.dialer()
		defer l.end(d)
		tg := target(inner, l.key)
		tg.Jump = []transport.Target{target(first, l.key), target(second, l.key)}
		dial(t, d, tg).Close()
		if first.dials != 1 || second.dials != 1 {
			t.Errorf("%d, %d dials", first.dials, second.dials)
		}
		second.cfg.AddHostKey(otherKey) // of the same type: replaces the known one
		_, err := d.Dial(t.Context(), tg)
		unreachable(t, err, transport.HostKey, "inner: jump host second", "HAS CHANGED")
		tg.Jump = tg.Jump[:1]
		delete(l.net.servers, net.JoinHostPort("inner", "22"))
		_, err = d.Dial(t.Context(), tg)
		unreachable(t, err, transport.Dial, "jump host does not reach it")
		first.net = nil
		_, err = d.Dial(t.Context(), tg)
		unreachable(t, err, transport.Dial, "AllowTcpForwarding")
		l.net.servers["inner:22"] = inner
	})
}
