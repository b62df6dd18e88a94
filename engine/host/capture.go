package host

import (
	"bytes"
	"fmt"
	"sync"
)

// maxLine is the longest line shown while a program runs; a longer one is shown in pieces.
const maxLine = 4 << 10

// capture keeps the beginning and the end of an output, and hands complete lines to emit.
type capture struct {
	mu       sync.Mutex
	head     []byte
	tail     []byte // ring of the last bytes, once head is full
	half     int
	at       int   // next place in tail
	total    int64 // bytes seen
	line     []byte
	emit     func(string)
	finished bool
}

func newCapture(max int, emit func(string)) *capture {
	if max <= 0 {
		max = defaultMaxBytes
	}
	return &capture{half: (max + 1) / 2, emit: emit}
}

// Write never fails. It may be called after finish by what a program left behind; that is dropped.
func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return len(p), nil
	}
	c.keep(p)
	if c.emit != nil {
		c.lines(p)
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

// lines cuts at line ends; a carriage return, as progress bars use it, is one.
func (c *capture) lines(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		end := i
		if i < 0 {
			end = len(p)
		}
		c.line = append(c.line, p[:end]...)
		for len(c.line) >= maxLine {
			c.emit(string(c.line[:maxLine]))
			c.line = append(c.line[:0], c.line[maxLine:]...)
		}
		if i < 0 {
			return
		}
		c.flush()
		p = p[i+1:]
	}
}

func (c *capture) flush() {
	if len(c.line) > 0 {
		c.emit(string(c.line))
		c.line = c.line[:0]
	}
}

// finish returns what was kept.
func (c *capture) finish() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = true
	c.flush()
	tail := append(bytes.Clone(c.tail[c.at:]), c.tail[:c.at]...)
	cut := c.total - int64(len(c.head)+len(tail))
	if cut <= 0 {
		return string(c.head) + string(tail)
	}
	return fmt.Sprintf("%s\n... %d bytes cut ...\n%s", c.head, cut, tail)
}
