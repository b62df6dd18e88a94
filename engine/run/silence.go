package run

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/transport"
)

// watch minds signals and long silences, also while what was interrupted comes to its end. What it returns ends that.
func (s *Session) watch(ctx context.Context, cancel context.CancelCauseFunc) (unwatch func()) {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.signals(ctx, cancel) })
	wg.Go(func() { s.breakSilence(ctx) })
	return func() {
		stop(nil)
		wg.Wait()
	}
}

// signals turns the first signal into a soft stop and the second into the end of what runs. While hosts are still being
// dialled nothing was started, so that the first ends it at once. Further ones are told what is waited for: programs that are
// ended have some time for that.
func (s *Session) signals(ctx context.Context, cancel context.CancelCauseFunc) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-s.Signals:
		}
		switch {
		case n > 1:
			s.bus.emit(event.Event{Type: event.Note, Line: "still being stopped: " + s.whatRuns() +
				fmt.Sprintf("; kill -9 %d gives up on that, and nobody knows then what became of it", os.Getpid())})
		case s.dialling() != "":
			s.bus.emit(event.Event{Type: event.Note, Line: "interrupted before anything was touched"})
			cancel(sched.ErrInterrupted)
		case n == 0:
			s.bus.emit(event.Event{Type: event.Note, Line: "interrupted: nothing new is started, what runs may finish; once more stops it at once"})
			s.sched.Stop(sched.ErrInterrupted)
		default:
			s.bus.emit(event.Event{Type: event.Note, Line: "interrupted again: what runs is stopped"})
			cancel(sched.ErrInterrupted)
		}
	}
}

// breakSilence says what is waited for when nothing else was said for a while.
func (s *Session) breakSilence(ctx context.Context) {
	quiet := s.Quiet
	if quiet < 0 {
		return
	}
	if quiet == 0 {
		quiet = 10 * time.Second
	}
	tick := time.NewTicker(quiet / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = s.bus.commit() // what was said meanwhile is in the log, too; an error is that of the next result
		if s.bus.quiet() >= quiet-quiet/4 {
			s.sayWaiting(ctx)
		}
	}
}

func (s *Session) sayWaiting(ctx context.Context) {
	if hosts := s.dialling(); hosts != "" {
		s.bus.emit(event.Event{Type: event.Waiting, Line: "still connecting to " + hosts})
		return
	}
	in, since, n := s.longest()
	if n == 0 {
		s.sayIdle(ctx)
		return
	}
	line := "still running for "
	if s.redialling(in) {
		line = "its host is away, and is dialled again; waiting for "
	}
	line += s.Clock.Now().Sub(since).Round(time.Second).String()
	if n > 1 {
		line += fmt.Sprintf(", and %d more", n-1)
	}
	s.bus.emit(event.Event{Type: event.Waiting, Instance: s.plan.Name(in), Line: line})
}

// sayIdle says what is waited for while nothing runs: a next attempt.
func (s *Session) sayIdle(ctx context.Context) {
	const enough = 1000
	waits := s.sched.Waiting(ctx, enough)
	if len(waits) == 0 {
		return
	}
	line := "waits for " + waits[0].For
	if n := len(waits) - 1; n > 0 {
		line += fmt.Sprintf(", and %d more do", n)
	}
	s.bus.emit(event.Event{Type: event.Waiting, Instance: s.plan.Name(waits[0].Instance), Line: line})
}

// whatRuns names what is running.
func (s *Session) whatRuns() string {
	in, _, n := s.longest()
	switch n {
	case 0:
		return "connections"
	case 1:
		return s.plan.Name(in)
	}
	return fmt.Sprintf("%s and %d more", s.plan.Name(in), n-1)
}

// longest is the instance that has been running for the longest time, since when, and how many are running.
func (s *Session) longest() (longest sched.Instance, since time.Time, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for in, t := range s.running {
		if since.IsZero() || t.Before(since) || t.Equal(since) && s.plan.Name(in) < s.plan.Name(longest) {
			longest, since = in, t
		}
	}
	return longest, since, len(s.running)
}

// redialling tells whether the host that carries an instance out is being dialled once more.
func (s *Session) redialling(in sched.Instance) bool {
	h := s.hosts[in.Host]
	switch place := s.leaves[in.Task].Place; {
	case place.Controller:
		h = s.controller
	case place.Elsewhere:
		return false // which of them it is, only the attempt knows
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	away, ok := h.conn.(transport.Redialler)
	return h.dialling || ok && away.Redialling()
}
