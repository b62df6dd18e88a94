package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// pair connects two peers and serves both; end closes the connection and waits for all goroutines.
func pair(t *testing.T, left, right Handler) (l, r *Peer, end func()) {
	t.Helper()
	a, b := net.Pipe()
	l, r = NewPeer(NewReader(a), a, left), NewPeer(NewReader(b), b, right)
	go l.Serve(context.Background())
	go r.Serve(context.Background())
	return l, r, func() {
		a.Close()
		b.Close()
		<-l.Done()
		<-r.Done()
		l.Wait()
		r.Wait()
	}
}

func echo(_ context.Context, r *Request) (any, []byte, error) {
	return json.RawMessage(r.JSON), r.Data, nil
}

func TestBothSidesCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, end := pair(t, echo, echo)
		defer end()
		for _, p := range []*Peer{l, r} {
			f, err := p.Call(t.Context(), "echo", "hi", CallOptions{Data: []byte("data")})
			if err != nil || string(f.JSON) != `"hi"` || string(f.Data) != "data" {
				t.Errorf("%s %s %v", f.JSON, f.Data, err)
			}
		}
	})
}

func TestCallsRunAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, end := pair(t, nil, func(ctx context.Context, r *Request) (any, []byte, error) {
			time.Sleep(time.Second)
			return nil, nil, nil
		})
		defer end()
		start := time.Now()
		errs := make(chan error)
		for range 50 {
			go func() {
				_, err := l.Call(t.Context(), "slow", nil, CallOptions{})
				errs <- err
			}()
		}
		for range 50 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("50 calls of 1 s took %v", d)
		}
	})
}

func TestProgressComesInOrderBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, end := pair(t, nil, func(_ context.Context, r *Request) (any, []byte, error) {
			for i := range 100 {
				r.Progress(i)
			}
			return "end", nil, nil
		})
		defer end()
		var got []string
		f, err := l.Call(t.Context(), "count", nil, CallOptions{Progress: func(f Frame) { got = append(got, string(f.JSON)) }})
		if err != nil || string(f.JSON) != `"end"` || len(got) != 100 || got[99] != "99" {
			t.Errorf("%d pieces of progress, %s, %v", len(got), f.JSON, err)
		}
	})
}

func TestCancelReachesTheOtherSideWithItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, end := pair(t, nil, func(ctx context.Context, r *Request) (any, []byte, error) {
			<-ctx.Done()
			cause := context.Cause(ctx)
			return fmt.Sprint(cause, errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded)), nil, nil
		})
		defer end()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("Ctrl-C")) })
		f, err := l.Call(ctx, "wait", nil, CallOptions{Linger: time.Minute})
		if err != nil || string(f.JSON) != `"Ctrl-C true false"` {
			t.Errorf("%s, %v", f.JSON, err)
		}
		late, stop := context.WithTimeoutCause(t.Context(), time.Second, context.DeadlineExceeded)
		defer stop()
		f, err = l.Call(late, "wait", nil, CallOptions{Linger: time.Minute})
		if err != nil || !strings.HasSuffix(string(f.JSON), `false true"`) {
			t.Errorf("%s, %v", f.JSON, err)
		}
	})
}

func TestACallThatIsNotAnsweredAfterACancelEndsWithTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l, _, end := pair(t, nil, func(context.Context, *Request) (any, []byte, error) {
			<-release
			return nil, nil, nil
		})
		defer end()
		defer close(release)
		cause := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if _, err := l.Call(ctx, "stuck", nil, CallOptions{}); err != cause {
			t.Errorf("a call under an ended context: %v", err)
		}
		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		_, err := l.Call(ctx, "stuck", nil, CallOptions{Linger: 10 * time.Second})
		if err != cause || time.Since(start) != 11*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestErrorsKeepWhatPeopleAndProgramsNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, end := pair(t, nil, func(_ context.Context, r *Request) (any, []byte, error) {
			switch r.Type {
			case "missing":
				return nil, nil, fmt.Errorf("blob: %w", fs.ErrNotExist)
			case "failing":
				return nil, nil, task.Failf("no space left").WithHint("free some").Retryable()
			case "panicking":
				panic("oops")
			}
			return nil, nil, ErrUnknown
		})
		defer end()
		_, err := l.Call(t.Context(), "missing", nil, CallOptions{})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing: %v", err)
		}
		_, err = l.Call(t.Context(), "failing", nil, CallOptions{})
		var f *task.Failure
		if !errors.As(err, &f) || f.Hint != "free some" || !f.Transient || err.Error() != "no space left" {
			t.Errorf("failing: %#v", err)
		}
		_, err = l.Call(t.Context(), "panicking", nil, CallOptions{})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, "oops") || !strings.Contains(e.Output, "peer_test.go") {
			t.Errorf("panicking: %v", err)
		}
		_, err = l.Call(t.Context(), "nonsense", nil, CallOptions{})
		if !errors.As(err, &e) || e.Code != CodeUnknown {
			t.Errorf("unknown call: %v", err)
		}
		if _, err = l.Call(t.Context(), TypePing, nil, CallOptions{}); err != nil {
			t.Errorf("ping after all that: %v", err)
		}
	})
}

func TestWhatIsTooLargeFailsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		huge := strings.Repeat("x", MaxJSON)
		l, _, end := pair(t, nil, func(_ context.Context, r *Request) (any, []byte, error) { return huge, nil, nil })
		defer end()
		if _, err := l.Call(t.Context(), "big", huge, CallOptions{}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("call: %v", err)
		}
		_, err := l.Call(t.Context(), "big", nil, CallOptions{})
		if err == nil || !strings.Contains(err.Error(), ErrTooLarge.Error()) {
			t.Errorf("answer: %v", err)
		}
		if _, err := l.Call(t.Context(), TypePing, nil, CallOptions{}); err != nil {
			t.Errorf("the connection did not go on: %v", err)
		}
	})
}

func TestTheEndOfAConnectionEndsAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := make(chan error, 1)
		l, _, end := pair(t, nil, func(ctx context.Context, r *Request) (any, []byte, error) {
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return nil, nil, nil
		})
		failed := make(chan error)
		go func() {
			_, err := l.Call(t.Context(), "wait", nil, CallOptions{Linger: time.Hour})
			failed <- err
		}()
		synctest.Wait()
		go end()
		if err := <-failed; err == nil {
			t.Error("the call did not fail")
		}
		if err := <-stopped; err == nil || !strings.Contains(err.Error(), "connection") {
			t.Errorf("cause for the handler: %v", err)
		}
		if _, err := l.Call(t.Context(), "more", nil, CallOptions{}); err == nil {
			t.Error("a call after the end succeeded")
		}
	})
}

func TestUnknownMessagesAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, end := pair(t, nil, echo)
		defer end()
		for range 3 {
			if err := l.SendHello(Hello{Protocol: Protocol}); err != nil { // each with grease behind it
				t.Fatal(err)
			}
		}
		l.send("done", 4711, nil, nil)     // an answer to nothing
		l.send("cancel", 4711, nil, nil)   // of nothing
		l.send("progress", 4711, nil, nil) // of nothing
		if _, err := l.Call(t.Context(), "echo", 1, CallOptions{}); err != nil {
			t.Error(err)
		}
	})
}

func TestHelloOfAnotherProtocolIsRefused(t *testing.T) {
	wire, _ := Append(nil, Frame{Type: "hello", JSON: []byte(`{"protocol":2}`)})
	_, err := ReadHello(NewReader(strings.NewReader(string(wire))))
	if err == nil || !strings.Contains(err.Error(), "protocol 2") {
		t.Error(err)
	}
	wire, _ = Append(nil, Frame{Type: "ping", ID: 1})
	if _, err = ReadHello(NewReader(strings.NewReader(string(wire)))); err == nil {
		t.Error("a ping was taken for a hello")
	}
	if _, err = ReadHello(NewReader(strings.NewReader(""))); err != io.EOF {
		t.Error(err)
	}
}
