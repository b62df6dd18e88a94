package ssh

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// missesAllowed is how many signs of life may fail to come before a connection counts as lost.
const missesAllowed = 3

// heardConn is a connection that knows whether something came. On a slow link the answer to a question may stand behind
// minutes of other data: what arrives meanwhile is a sign of life as well.
type heardConn struct {
	net.Conn
	reads  atomic.Int64
	onRead atomic.Pointer[func()] // called at each read that brings something
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
		if f := c.onRead.Load(); f != nil {
			(*f)()
		}
	}
	return n, err
}

// keepAlive asks the other side for a sign of life every interval (any answer is one, also a refusal, and anything else that
// comes), and closes the connection when none came for missesAllowed intervals. lost is told why. The function returned
// stops it.
func keepAlive(l *link, interval time.Duration, lost func(error)) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-time.After(interval):
			case <-done:
				return
			}
			if !alive(l, interval*missesAllowed, done) {
				lost(fmt.Errorf("no sign of life for %v", interval*missesAllowed))
				l.Client.Close()
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// alive waits for an answer, as long as anything comes. A connection that has ended needs no verdict: its readers know.
func alive(l *link, limit time.Duration, done <-chan struct{}) bool {
	answered := make(chan struct{})
	go func() {
		_, _, _ = l.SendRequest("keepalive@openssh.com", true, nil)
		close(answered)
	}()
	for {
		before := l.heard.reads.Load()
		t := time.NewTimer(limit)
		select {
		case <-answered:
			t.Stop()
			return true
		case <-done:
			t.Stop()
			return true
		case <-t.C:
			if l.heard.reads.Load() == before {
				return false
			}
		}
	}
}
