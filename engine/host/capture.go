package host

import (
	"bytes"
	"sync"

	"github.com/kflow/kflow/engine/job"
)

// capture keeps the beginning and the end of an output, and hands complete lines to a stream.
type capture struct {
	mu       sync.Mutex
	head     []byte
	tail     []byte // ring of the last bytes, once head is full
	half     int
	at       int     // next place in tail
	total    int64   // bytes seen
	stream   *stream // nil: nobody listens
	finished bool
}

func newCapture(limit int, emit func(string)) *capture {
	if limit <= 0 {
		limit = defaultMaxBytes
	}
	c := &capture{half: (limit + 1) / 2}
	if emit != nil {
		c.stream = newStream(emit)
	}
	return c
}

// Write never fails. It may be called after finish by what a program left behind; that is dropped.
func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return len(p), nil
	}
	c.keep(p)
	if c.stream != nil {
		c.stream.write(p)
	}
	return len(p), nil
}

func (c *capture) keep(p []byte) {
	c.total += int64(len(p))
	if room := c.half - len(c.head); room > 0 {
		n := min(room, len(p))
		c.head = append(c.head, p[:n]...)
		p = p[n:]
	}
	if len(p) > c.half {
		p = p[len(p)-c.half:]
	}
	for len(p) > 0 {
		if len(c.tail) < c.half {
			n := min(c.half-len(c.tail), len(p))
			c.tail = append(c.tail, p[:n]...)
			p = p[n:]
			continue
		}
		n := copy(c.tail[c.at:], p)
		c.at = (c.at + n) % c.half
		p = p[n:]
	}
}

// finish returns what was kept.
func (c *capture) finish() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = true
	if c.stream != nil {
		c.stream.end()
	}
	tail := append(bytes.Clone(c.tail[c.at:]), c.tail[:c.at]...)
	if c.total <= int64(len(c.head)+len(tail)) {
		return string(c.head) + string(tail)
	}
	return job.Ends(string(c.head), string(tail), c.total)
}
