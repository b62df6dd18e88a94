package run

import (
	"context"
	"fmt"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/transport"
)

// signals turns the first signal into a soft stop and the second into the end of what runs. While hosts are still being
// dialled nothing was started, so that the first ends it at once.
func (s *Session) signals(ctx context.Context, cancel context.CancelCauseFunc) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-s.Signals:
		}
		switch {
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
			s.sayWaiting()
		}
	}
}

func (s *Session) sayWaiting() {
	if hosts := s.dialling(); hosts != "" {
		s.bus.emit(event.Event{Type: event.Waiting, Line: "still connecting to " + hosts})
		return
	}
	in, since, n := s.longest()
	if n == 0 {
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
