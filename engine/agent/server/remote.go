package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/task"
)

const (
	chunk    = 256 << 10 // bytes of content asked for at once
	inFlight = 8         // chunks under way: as much as an SSH channel holds
)

// remote is the controller, seen from the agent.
type remote struct {
	peer *wire.Peer

	mu      sync.Mutex
	next    uint64
	streams map[uint64]*stream
}

// stream is something the controller reads from us.
type stream struct {
	mu sync.Mutex
	r  io.Reader
}

var _ task.Controller = (*remote)(nil)

func newRemote() *remote { return &remote{streams: map[uint64]*stream{}} }

func (c *remote) call(ctx context.Context, typ string, body, answer any) error {
	f, err := c.peer.Call(ctx, typ, body, wire.CallOptions{})
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(f.JSON, answer)
}

// Stat implements task.Controller.
func (c *remote) Stat(ctx context.Context, path string) (string, error) {
	var is wire.Content
	err := c.call(ctx, wire.TypeStat, wire.Stat{Path: path}, &is)
	return is.SHA256, err
}

// Download implements task.Controller.
func (c *remote) Download(ctx context.Context, url, sha256 string) (io.ReadCloser, error) {
	var is wire.Content
	if err := c.call(ctx, wire.TypeDownload, wire.Download{URL: url, SHA256: sha256}, &is); err != nil {
		return nil, err
	}
	return c.Fetch(ctx, task.Content{Name: url, SHA256: is.SHA256, Size: is.Size})
}

// Save implements task.Controller: the controller reads r from us while it handles the call.
func (c *remote) Save(ctx context.Context, path string, mode fs.FileMode, r io.Reader) error {
	c.mu.Lock()
	c.next++
	id := c.next
	c.streams[id] = &stream{r: r}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.streams, id)
	}()
	return c.call(ctx, wire.TypeSave, wire.Save{Path: path, Mode: mode, Stream: id}, nil)
}

// read answers a call for the next bytes of a stream.
func (c *remote) read(r *wire.Request) (any, []byte, error) {
	var body wire.Read
	if err := r.Decode(&body); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	s := c.streams[body.Stream]
	c.mu.Unlock()
	if s == nil {
		return nil, nil, fmt.Errorf("there is no stream %d", body.Stream)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	buf := make([]byte, min(max(body.Max, 1), wire.MaxData))
	n, err := io.ReadFull(s.r, buf)
	eof := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !eof {
		return nil, nil, err
	}
	return wire.End{EOF: eof}, buf[:n], nil
}

// Fetch implements host.Source.
func (c *remote) Fetch(ctx context.Context, is task.Content) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &blob{ctx: ctx, cancel: cancel, peer: c.peer, sum: is.SHA256, size: is.Size}
	return b, b.start()
}

// blob reads content in chunks, several of which are under way at once; they are used in order.
type blob struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	peer   *wire.Peer
	sum    string
	size   int64 // of the whole
	next   int64 // offset of the next chunk to ask for
	queue  []chan piece
	rest   []byte // of the chunk that is being read
	err    error
}

type piece struct {
	data []byte
	err  error
}

// start asks for the first chunks. Where the size is not known the first alone is asked for, since its answer says it.
func (b *blob) start() error {
	if b.size > 0 {
		b.ask()
		return nil
	}
	f, err := b.get(0)
	if err != nil {
		b.cancel(nil)
		return err
	}
	var is wire.BlobInfo
	if err := json.Unmarshal(f.JSON, &is); err != nil {
		return err
	}
	b.rest, b.size, b.next = f.Data, is.Size, int64(len(f.Data))
	b.ask()
	return nil
}

func (b *blob) get(offset int64) (wire.Frame, error) {
	f, err := b.peer.Call(b.ctx, wire.TypeBlob, wire.Blob{SHA256: b.sum, Offset: offset, Size: chunk}, wire.CallOptions{})
	if err != nil {
		return f, fmt.Errorf("content from the controller: %w", err)
	}
	return f, nil
}

// ask keeps inFlight chunks under way.
func (b *blob) ask() {
	for len(b.queue) < inFlight && b.next < b.size {
		ch, offset := make(chan piece, 1), b.next
		go func() {
			f, err := b.get(offset)
			if err == nil && len(f.Data) == 0 {
				err = io.ErrUnexpectedEOF
			}
			ch <- piece{f.Data, err}
		}()
		b.queue = append(b.queue, ch)
		b.next += chunk
	}
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	if len(b.rest) == 0 && b.err == nil {
		b.advance()
	}
	if len(b.rest) == 0 && b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// advance waits for the next chunk. The calls return when the context or the connection ends, so this does.
func (b *blob) advance() {
	if len(b.queue) == 0 {
		b.err = io.EOF
		return
	}
	got := <-b.queue[0]
	b.queue = b.queue[1:]
	b.rest, b.err = got.data, got.err
	b.ask()
}

// Close gives up what is under way.
func (b *blob) Close() error {
	b.cancel(errors.New("no longer needed"))
	return nil
}
