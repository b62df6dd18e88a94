package wire

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// maxServing is how many calls of the other side are carried out at once; more are refused. Whoever goes on calling then, and
// does not read the refusals, gets no more.
const maxServing = 1024

// keepBuffer is the largest buffer in bytes that a connection keeps for its next frame: a run has thousands of connections.
const keepBuffer = 16 << 10

// ErrClosed is the cause of the end of a Peer that was closed on this side.
var ErrClosed = errors.New("the connection was closed")

// Request is a call of the other side.
type Request struct {
	Frame
	// Progress sends a progress frame to the caller.
	Progress func(v any) error
}

// Decode reads the JSON of the call.
func (r *Request) Decode(v any) error {
	if err := json.Unmarshal(r.JSON, v); err != nil {
		return fmt.Errorf("call %s: %w", r.Type, err)
	}
	return nil
}

// Handler carries out calls of the other side, each in its own goroutine. ctx ends when the other side cancels the call
// or the connection ends. v becomes the JSON of the answer. For a type it does not know it returns ErrUnknown.
type Handler func(ctx context.Context, r *Request) (v any, data []byte, err error)

// ErrUnknown is what a Handler returns for a call it does not know.
var ErrUnknown = &Error{Message: "unknown call", Code: CodeUnknown}

// Peer is one end of a connection. Use NewPeer, then Serve.
type Peer struct {
	r       *Reader
	handler Handler

	wmu sync.Mutex // held while a frame is written
	w   io.Writer
	buf []byte

	mu      sync.Mutex
	next    uint64
	calls   map[uint64]*call                   // ours, not answered yet
	serving map[uint64]context.CancelCauseFunc // theirs
	refused int                                // of theirs, and not told yet
	err     error                              // why the connection ended
	done    chan struct{}                      // closed when it has
	wg      sync.WaitGroup                     // handlers
}

// call is one of ours. Frames for it go through ch; gone is closed when nobody reads them any more.
type call struct {
	ch   chan Frame
	gone chan struct{}
}

// NewPeer returns a Peer that reads r and writes w. handler may be nil.
func NewPeer(r *Reader, w io.Writer, handler Handler) *Peer {
	return &Peer{r: r, w: w, handler: handler, calls: map[uint64]*call{}, serving: map[uint64]context.CancelCauseFunc{},
		done: make(chan struct{})}
}

// Done is closed when the connection has ended; Err tells why then.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Err is why the connection ended; nil before.
func (p *Peer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// SendHello sends the first frame, and grease behind it.
func (p *Peer) SendHello(h Hello) error {
	if err := p.send(TypeHello, 0, h, nil); err != nil {
		return err
	}
	return p.send("grease-"+letters(6), 0, map[string]string{"ignore": rand.Text()}, []byte(rand.Text()))
}

func letters(n int) string {
	return strings.Map(func(c rune) rune { return 'a' + c%26 }, rand.Text()[:n])
}

// ReadHello reads the first frame of the other side. It must be read before Serve.
func ReadHello(r *Reader) (Hello, error) {
	var h Hello
	f, err := r.Next()
	if err != nil {
		return h, err
	}
	return h, decodeHello(f, &h)
}

func decodeHello(f Frame, h *Hello) error {
	if f.Type != TypeHello {
		return fmt.Errorf("the first frame is %s, not hello", f.Type)
	}
	if err := json.Unmarshal(f.JSON, h); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	if h.Protocol != Protocol {
		return fmt.Errorf("the other side speaks protocol %d, this one %d", h.Protocol, Protocol)
	}
	return nil
}

// Serve reads until the connection ends, and returns why: io.EOF is a regular end. Calls in both directions have ended
// then; handlers have been told to, and Wait waits for them.
func (p *Peer) Serve(ctx context.Context) error {
	for {
		f, err := p.r.Next()
		if err == nil {
			err = p.dispatch(ctx, f)
		}
		if err != nil {
			p.end(err)
			return p.Err()
		}
	}
}

// end records the first reason and tells everybody.
func (p *Peer) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	close(p.done)
	for _, cancel := range p.serving {
		cancel(fmt.Errorf("the connection to kflow ended: %w", err))
	}
}

// Close ends the Peer on this side, for the reason given. It does not close the streams.
func (p *Peer) Close(why error) { p.end(why) }

// Notify sends a message that wants no answer.
func (p *Peer) Notify(typ string) error { return p.send(typ, 0, nil, nil) }

// Wait waits for the handlers.
func (p *Peer) Wait() { p.wg.Wait() }

func (p *Peer) dispatch(ctx context.Context, f Frame) error {
	switch f.Type {
	case TypeProgress, TypeDone, TypeError:
		p.deliver(f)
	case TypeCancel:
		p.cancelServing(f)
	case TypeHello:
		var h Hello
		return decodeHello(f, &h)
	default:
		if f.ID != 0 {
			return p.serve(ctx, f)
		}
	}
	return nil
}

func (p *Peer) deliver(f Frame) {
	p.mu.Lock()
	c := p.calls[f.ID]
	if f.Type != TypeProgress {
		delete(p.calls, f.ID)
	}
	p.mu.Unlock()
	if c == nil {
		return // nobody waits for it any more
	}
	select {
	case c.ch <- f:
	case <-c.gone:
	case <-p.done:
	}
}

func (p *Peer) cancelServing(f Frame) {
	var c Cancel
	if json.Unmarshal(f.JSON, &c) != nil || c.Cause == "" {
		c.Cause = "cancelled"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if cancel := p.serving[f.ID]; cancel != nil {
		cancel(&CancelledError{c})
	}
}

func (p *Peer) serve(ctx context.Context, f Frame) error {
	ctx, cancel := context.WithCancelCause(ctx)
	p.mu.Lock()
	_, twice := p.serving[f.ID]
	refuse := twice || p.handler == nil || len(p.serving) >= maxServing || p.err != nil
	if !refuse {
		p.serving[f.ID] = cancel
		p.wg.Add(1)
	} else {
		p.refused++
	}
	flood := p.refused > maxServing
	p.mu.Unlock()
	if flood {
		cancel(nil)
		return errors.New("the other side calls without end, and reads no answers")
	}
	if refuse {
		cancel(nil)
		go p.refuse(f.ID)
		return nil
	}
	go func() {
		defer p.wg.Done()
		v, data, err := p.handle(ctx, f)
		p.mu.Lock()
		delete(p.serving, f.ID)
		p.mu.Unlock()
		cancel(nil)
		p.answer(f.ID, v, data, err)
	}()
	return nil
}

func (p *Peer) refuse(id uint64) {
	p.tell(TypeError, id, &Error{Message: "too many calls at once", Code: CodeBusy})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused--
}

func (p *Peer) handle(ctx context.Context, f Frame) (v any, data []byte, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = &Error{Message: fmt.Sprintf("panic in call %s: %v", f.Type, x), Output: string(debug.Stack())}
		}
	}()
	if f.Type == TypePing {
		return nil, nil, nil
	}
	return p.handler(ctx, &Request{Frame: f, Progress: func(v any) error { return p.send(TypeProgress, f.ID, v, nil) }})
}

func (p *Peer) answer(id uint64, v any, data []byte, err error) {
	if err == nil {
		err = p.send(TypeDone, id, v, data)
	}
	if err != nil {
		_ = p.send(TypeError, id, toError(err), nil) // a connection that ended has said so to all
	}
}

// send writes one frame. A write that fails ends the Peer.
func (p *Peer) send(typ string, id uint64, v any, data []byte) error {
	f := Frame{Type: typ, ID: id, Data: data}
	if v != nil {
		var err error
		if f.JSON, err = json.Marshal(v); err != nil {
			return fmt.Errorf("%s: %w", typ, err)
		}
	}
	p.wmu.Lock()
	defer p.wmu.Unlock()
	if err := p.Err(); err != nil {
		return err
	}
	buf, err := Append(p.buf[:0], f)
	if err != nil {
		return err
	}
	if cap(buf) <= keepBuffer {
		p.buf = buf // kept for the next frame, unless a rare large one made it so
	}
	if _, err := p.w.Write(buf); err != nil {
		p.end(err)
		return err
	}
	return nil
}

// tell sends what nobody waits for: a write that fails has ended the Peer, which says so to all.
func (p *Peer) tell(typ string, id uint64, v any) { _ = p.send(typ, id, v, nil) }

// CallOptions are of one call.
type CallOptions struct {
	Data     []byte
	Progress func(Frame)   // called in the goroutine of Call, before it returns
	Linger   time.Duration // how long the answer is awaited after ctx has ended and the call was cancelled
}

// Call sends a call and waits for its answer. Errors: *Error of the other side, why the connection ended, ErrTooLarge,
// the cause of ctx.
func (p *Peer) Call(ctx context.Context, typ string, v any, o CallOptions) (Frame, error) {
	if ctx.Err() != nil {
		return Frame{}, context.Cause(ctx)
	}
	c := &call{ch: make(chan Frame, 16), gone: make(chan struct{})}
	defer close(c.gone)
	p.mu.Lock()
	p.next++
	id := p.next
	p.calls[id] = c
	p.mu.Unlock()
	defer p.forget(id)
	if err := p.send(typ, id, v, o.Data); err != nil {
		return Frame{}, err
	}
	return p.await(ctx, id, c, o)
}

func (p *Peer) forget(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, id)
}

func (p *Peer) await(ctx context.Context, id uint64, c *call, o CallOptions) (Frame, error) {
	ended := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case f := <-c.ch:
			if f.Type == TypeProgress {
				if o.Progress != nil {
					o.Progress(f)
				}
				continue
			}
			return answered(f)
		case <-ended:
			ended = nil
			cause := context.Cause(ctx)
			// Not here: a connection that takes nothing any more must not hold up the caller.
			go p.tell(TypeCancel, id, Cancel{cause.Error(), errors.Is(cause, context.DeadlineExceeded)})
			t := time.NewTimer(o.Linger)
			defer t.Stop()
			late = t.C
		case <-late:
			return Frame{}, context.Cause(ctx)
		case <-p.done:
			return p.last(c, o)
		}
	}
}

// last looks for an answer that arrived together with the end of the connection.
func (p *Peer) last(c *call, o CallOptions) (Frame, error) {
	for {
		select {
		case f := <-c.ch:
			if f.Type != TypeProgress {
				return answered(f)
			}
			if o.Progress != nil {
				o.Progress(f)
			}
		default:
			return Frame{}, p.Err()
		}
	}
}

func answered(f Frame) (Frame, error) {
	if f.Type == TypeDone {
		return f, nil
	}
	e := &Error{}
	if err := json.Unmarshal(f.JSON, e); err != nil || e.Message == "" {
		e = &Error{Message: "the other side answered with an error it did not name"}
	}
	return Frame{}, e
}
