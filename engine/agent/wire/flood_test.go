package wire

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// An agent in other hands calls without end, and reads nothing: that costs kflow no more than a fixed number of goroutines.
func TestAFloodOfCallsEndsTheConnection(t *testing.T) {
	a, b := net.Pipe()
	var began atomic.Int64
	p := NewPeer(NewReader(a), a, func(ctx context.Context, _ *Request) (any, []byte, error) {
		began.Add(1)
		<-ctx.Done()
		return nil, nil, context.Cause(ctx)
	})
	calls := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			call, err := Append(nil, Frame{Type: "save", ID: uint64(n + 1)})
			if err == nil {
				_, err = b.Write(call)
			}
			if err != nil {
				break
			}
		}
		calls <- n
	}()
	err := p.Serve(t.Context())
	b.Close()
	p.Wait()
	if n := <-calls; err == nil || !strings.Contains(err.Error(), "calls without end") || began.Load() != maxServing || n > 3*maxServing {
		t.Errorf("after %d calls, of which %d began: %v", n, began.Load(), err)
	}
}

// Whoever reads the refusals may go on.
func TestTooManyCallsAtOnceAreRefused(t *testing.T) {
	l, r, end := pair(t, nil, func(ctx context.Context, _ *Request) (any, []byte, error) {
		<-ctx.Done()
		return nil, nil, context.Cause(ctx)
	})
	defer end()
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2*maxServing)
	call := func(n int) {
		for range n {
			go func() {
				_, err := l.Call(ctx, "save", nil, CallOptions{})
				errs <- err
			}()
		}
	}
	call(maxServing)
	for range 20 {
		call(maxServing / 4)
		for range maxServing / 4 {
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "too many calls") {
				t.Fatal(err)
			}
		}
	}
	if r.Err() != nil {
		t.Error(r.Err())
	}
	cancel()
	for range maxServing {
		<-errs
	}
}
