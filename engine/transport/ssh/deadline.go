package ssh

import (
	"context"
	"io"
	"sync"
	"time"
)

// deadline closes something after a time, unless it is stopped; it can be paused. A read that has no context of its own
// (an SSH handshake) ends so.
type deadline struct {
	d      time.Duration
	closer io.Closer
	cause  error // what ended it

	mu      sync.Mutex
	timer   *time.Timer
	paused  int
	stopped bool
	unhook  func() bool
}

// newDeadline closes c after d, with cause expired, or when ctx ends, with its cause.
func newDeadline(ctx context.Context, c io.Closer, d time.Duration, expired error) *deadline {
	dl := &deadline{d: d, closer: c}
	dl.mu.Lock() // it may fire at once
	defer dl.mu.Unlock()
	dl.timer = time.AfterFunc(d, func() { dl.fire(expired) })
	dl.unhook = context.AfterFunc(ctx, func() { dl.fire(context.Cause(ctx)) })
	return dl
}

func (dl *deadline) fire(cause error) {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	if dl.stopped {
		return
	}
	dl.stopped, dl.cause = true, cause
	dl.timer.Stop()
	dl.closer.Close()
}

// pause stops the clock; resume starts it afresh.
func (dl *deadline) pause() {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	dl.paused++
	dl.timer.Stop()
}

func (dl *deadline) resume() {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	if dl.paused--; dl.paused == 0 && !dl.stopped {
		dl.timer.Reset(dl.d)
	}
}

// limit sets how long nothing may go on, from now.
func (dl *deadline) limit(d time.Duration) {
	dl.mu.Lock()
	dl.d = d
	dl.mu.Unlock()
	dl.touch()
}

// touch starts the clock afresh: something went on.
func (dl *deadline) touch() {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	if dl.paused == 0 && !dl.stopped {
		dl.timer.Reset(dl.d)
	}
}

// stop ends it and returns what had fired before, if anything.
func (dl *deadline) stop() error {
	dl.unhook()
	dl.mu.Lock()
	defer dl.mu.Unlock()
	dl.stopped = true
	dl.timer.Stop()
	return dl.cause
}
