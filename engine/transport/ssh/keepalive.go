package ssh

import (
	"fmt"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// missesAllowed is how many signs of life may fail to come before a connection counts as lost.
const missesAllowed = 3

// keepAlive asks the other side for a sign of life every interval (any answer is one, also a refusal), and closes the
// connection when none came for missesAllowed intervals. lost is told why. The function returned stops it.
func keepAlive(c *gossh.Client, interval time.Duration, lost func(error)) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-time.After(interval):
			case <-done:
				return
			}
			if !alive(c, interval*missesAllowed, done) {
				lost(fmt.Errorf("no sign of life for %v", interval*missesAllowed))
				c.Close()
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// alive waits for an answer. A connection that has ended needs no verdict: its readers know.
func alive(c *gossh.Client, limit time.Duration, done <-chan struct{}) bool {
	answered := make(chan struct{})
	go func() {
		_, _, _ = c.SendRequest("keepalive@openssh.com", true, nil)
		close(answered)
	}()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-answered:
		return true
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
