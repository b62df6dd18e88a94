package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memConn is one end of a connection in memory, with a buffer as the kernel has (SSH peers both write first).
type memConn struct {
	in, out *half
	addr    memAddr
}

type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }

// half is one direction.
type half struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	err    error // for readers, once buf is empty, and for writers
	frozen bool  // takes everything, gives nothing: a cut cable
	rate   int   // bytes a second; 0 = as fast as it goes
}

const halfSize = 1 << 20

func newHalf() *half {
	h := &half{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

func memPipe(addr string) (client, server *memConn) {
	a, b := newHalf(), newHalf()
	return &memConn{a, b, memAddr(addr)}, &memConn{b, a, memAddr("client")}
}

func (h *half) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for (len(h.buf) == 0 || h.frozen) && h.err == nil {
		h.cond.Wait()
	}
	if len(h.buf) == 0 || h.frozen {
		return 0, h.err
	}
	if h.rate > 0 {
		p = p[:min(len(p), max(1, h.rate/4))]
	}
	n := copy(p, h.buf)
	h.buf = h.buf[n:]
	h.cond.Broadcast()
	if h.rate > 0 {
		h.mu.Unlock()
		time.Sleep(time.Duration(n) * time.Second / time.Duration(h.rate))
		h.mu.Lock()
	}
	return n, nil
}

func (h *half) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) > halfSize && h.err == nil && !h.frozen {
		h.cond.Wait()
	}
	if h.err != nil {
		return 0, syscall.EPIPE
	}
	if !h.frozen {
		h.buf = append(h.buf, p...)
		h.cond.Broadcast()
	}
	return len(p), nil
}

func (h *half) close(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	h.cond.Broadcast()
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *memConn) Close() error {
	c.out.close(io.EOF)
	c.in.close(net.ErrClosed)
	return nil
}

// freeze makes the connection carry nothing any more, without ending it.
func (c *memConn) freeze() {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		h.frozen = true
		h.mu.Unlock()
	}
}

func (c *memConn) LocalAddr() net.Addr              { return memAddr("here") }
func (c *memConn) RemoteAddr() net.Addr             { return c.addr }
func (c *memConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *memConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *memConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// network dials servers by address.
type network struct {
	mu      sync.Mutex
	servers map[string]*sshd
	dials   int
}

func newNetwork() *network { return &network{servers: map[string]*sshd{}} }

var errRefused = errors.New("connection refused")

func (n *network) dial(_ context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	s := n.servers[addr]
	n.dials++
	n.mu.Unlock()
	if s == nil {
		return nil, errRefused
	}
	return s.connect()
}
