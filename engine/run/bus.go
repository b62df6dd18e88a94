package run

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/sched"
)

// Journal is where the events of a run are kept: a checkpoint.Run, or nothing (Forget).
type Journal interface {
	ID() string
	Seq() int64
	Append(events ...event.Event) error // keeps no hold of the slice
	Commit() error
}

// Forget is a Journal that keeps nothing: a plan leaves no record.
type Forget struct{}

// ID implements Journal.
func (Forget) ID() string { return "plan" }

// Seq implements Journal.
func (Forget) Seq() int64 { return 0 }

// Append implements Journal.
func (Forget) Append(...event.Event) error { return nil }

// Commit implements Journal.
func (Forget) Commit() error { return nil }

// bus gives events their number, masks them, and hands them to the log and the display, one at a time.
type bus struct {
	mu     sync.Mutex
	log    Journal
	mask   *mask.Masker
	sink   event.Sink
	seq    int64
	clock  sched.Clock
	last   time.Time // of the last event: a long silence is broken
	broken error     // the log can't take more
	one    [1]event.Event
}

func newBus(log Journal, m *mask.Masker, sink event.Sink, clock sched.Clock) *bus {
	return &bus{log: log, mask: m, sink: sink, seq: log.Seq(), clock: clock, last: clock.Now()}
}

func (b *bus) emit(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	e.Seq, e.Time = b.seq, b.clock.Now()
	b.last = e.Time
	e = b.mask.Event(e)
	e.Line = shortLine(e.Line)
	b.one[0] = e
	if err := b.log.Append(b.one[:]...); err != nil && b.broken == nil {
		b.broken = err
	}
	b.sink.Emit(e)
}

// maxLine is how much of a line is shown and kept, in bytes.
const maxLine = 4 << 10

// shortLine cuts a line that was masked: before that half a secret could be left.
func shortLine(line string) string {
	if len(line) <= maxLine {
		return line
	}
	return fmt.Sprintf("%s ... %d bytes more", strings.ToValidUTF8(line[:maxLine], ""), len(line)-maxLine)
}

// commit makes durable what was emitted.
func (b *bus) commit() error {
	b.mu.Lock()
	broken := b.broken
	b.mu.Unlock()
	if broken != nil {
		return broken
	}
	return b.log.Commit()
}

// quiet tells how long nothing was emitted.
func (b *bus) quiet() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock.Now().Sub(b.last)
}
