package host

import (
	"bytes"
	"fmt"
	"time"
)

const (
	// maxLine is how much of a line is kept while its end has not come, in bytes. The rest is dropped: a program may print
	// no line end at all.
	maxLine = 64 << 10
	// A program may print without end, and each line becomes an event that is kept. So lines are shown as long as there is
	// budget, which grows with time; at the end the caller has beginning and end of the output in any case.
	streamBurst = 1 << 20 // bytes
	streamRate  = 4 << 10 // bytes a second
	lineCost    = 128     // of a line besides its text
)

// stream hands the lines of an output on while it comes.
type stream struct {
	emit    func(string)
	now     func() time.Time
	line    []byte
	dropped int // bytes of the line at hand
	hidden  int // lines since one was shown
	budget  float64
	since   time.Time // of the budget
}

func newStream(emit func(string)) *stream {
	return &stream{emit: emit, now: time.Now, budget: streamBurst, since: time.Now()}
}

// write cuts at line ends; a carriage return, as progress bars use it, is one. Lines are handed on whole, so that what
// masks secrets sees them so.
func (s *stream) write(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		end := i
		if i < 0 {
			end = len(p)
		}
		fits := min(end, maxLine-len(s.line))
		s.line = append(s.line, p[:fits]...)
		s.dropped += end - fits
		if i < 0 {
			return
		}
		s.flush()
		p = p[i+1:]
	}
}

// flush hands the line at hand on.
func (s *stream) flush() {
	if len(s.line) > 0 {
		s.show(string(s.line))
	}
	s.line, s.dropped = s.line[:0], 0
}

func (s *stream) show(line string) {
	cost := float64(len(line) + lineCost)
	if s.budget < cost {
		s.refill()
	}
	if s.budget < cost {
		if s.hidden++; s.hidden == 1 {
			s.emit("... too much output: not all of it is shown ...")
		}
		return
	}
	if s.hidden > 0 {
		s.emit(fmt.Sprintf("... %d lines not shown ...", s.hidden))
		s.hidden = 0
	}
	s.budget -= cost
	if s.dropped > 0 {
		line += fmt.Sprintf(" ... %d bytes more", s.dropped)
	}
	s.emit(line)
}

// refill adds what time has given. It waits for a good part of the burst, so that what is shown comes in stretches and
// not one line here and there.
func (s *stream) refill() {
	now := s.now()
	more := now.Sub(s.since).Seconds() * streamRate
	if s.budget+more < streamBurst/16 {
		return
	}
	s.budget, s.since = min(s.budget+more, streamBurst), now
}

// end tells how many lines were not shown.
func (s *stream) end() {
	s.flush()
	if s.hidden > 0 {
		s.emit(fmt.Sprintf("... %d lines not shown ...", s.hidden))
	}
}
