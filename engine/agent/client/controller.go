package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/task"
)

// handle carries out a call of the agent.
func (c *Conn) handle(ctx context.Context, r *wire.Request) (any, []byte, error) {
	if r.Type == wire.TypeBlob {
		return c.blob(ctx, r)
	}
	if c.o.Controller == nil {
		return nil, nil, wire.ErrUnknown
	}
	switch r.Type {
	case wire.TypeStat:
		return c.stat(ctx, r)
	case wire.TypeSave:
		return nil, nil, c.save(ctx, r)
	case wire.TypeDownload:
		return c.download(ctx, r)
	}
	return nil, nil, wire.ErrUnknown
}

func (c *Conn) blob(ctx context.Context, r *wire.Request) (any, []byte, error) {
	var q wire.Blob
	if err := r.Decode(&q); err != nil {
		return nil, nil, err
	}
	if c.o.Contents == nil {
		return nil, nil, wire.ErrUnknown
	}
	b, err := c.o.Contents.OpenContent(ctx, q.SHA256)
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	if q.Offset < 0 || q.Offset > b.Size() {
		return nil, nil, fmt.Errorf("content %s has %d bytes, none at %d", q.SHA256, b.Size(), q.Offset)
	}
	buf := make([]byte, min(max(0, int64(q.Size)), wire.MaxData, b.Size()-q.Offset))
	n, err := b.ReadAt(buf, q.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	return wire.BlobInfo{Size: b.Size()}, buf[:n], nil
}

func (c *Conn) stat(ctx context.Context, r *wire.Request) (any, []byte, error) {
	var q wire.Stat
	if err := r.Decode(&q); err != nil {
		return nil, nil, err
	}
	if err := c.allowed(q.Path); err != nil {
		return nil, nil, err
	}
	sum, err := c.o.Controller.Stat(ctx, q.Path)
	return wire.Content{SHA256: sum}, nil, err
}

func (c *Conn) save(ctx context.Context, r *wire.Request) error {
	var q wire.Save
	if err := r.Decode(&q); err != nil {
		return err
	}
	if err := c.allowed(q.Path); err != nil {
		return err
	}
	// Of the mode the permissions alone: a program of another's content that runs as root for all is not for a host to make.
	return c.o.Controller.Save(ctx, q.Path, q.Mode.Perm(), &streamReader{ctx: ctx, c: c, id: q.Stream})
}

// download gets a URL through the controller, whose Contents has it by its hash after that.
func (c *Conn) download(ctx context.Context, r *wire.Request) (any, []byte, error) {
	var q wire.Download
	if err := r.Decode(&q); err != nil {
		return nil, nil, err
	}
	if q.URL == "" || !c.uses(func(u task.ControllerUse) bool { return slices.Contains(u.URLs, q.URL) }) {
		return nil, nil, fmt.Errorf("the agent asked for %q, which no task under way on this host names", q.URL)
	}
	d, ok := c.o.Controller.(Downloader)
	if !ok {
		return nil, nil, errors.New("this controller does not download for hosts")
	}
	sum, size, err := d.DownloadContent(ctx, q.URL, q.SHA256)
	return wire.Content{SHA256: sum, Size: size}, nil, err
}

// Downloader is a task.Controller that can download into its content, so that hosts read it by hash.
type Downloader interface {
	// DownloadContent gets url, checks it against sha256 (unless ""), and returns its hash and size in bytes. Content of
	// that hash can be opened after it.
	DownloadContent(ctx context.Context, url, sha256 string) (sum string, size int64, err error)
}

// allowed tells whether a request under way has to do with a file of the controller.
func (c *Conn) allowed(path string) error {
	clean := filepath.Clean(path)
	same := func(file string) bool { return file != "" && filepath.Clean(file) == clean }
	if !c.uses(func(u task.ControllerUse) bool { return slices.ContainsFunc(u.Files, same) }) {
		return fmt.Errorf("the agent asked for the controller's file %q, which no task under way on this host names", path)
	}
	return nil
}

// uses tells whether what a request under way may ask of the controller satisfies match.
func (c *Conn) uses(match func(task.ControllerUse) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, req := range c.active {
		if match(req.Uses) {
			return true
		}
	}
	return false
}

// streamReader reads a stream of the agent.
type streamReader struct {
	ctx  context.Context
	c    *Conn
	id   uint64
	rest []byte
	eof  bool
}

func (s *streamReader) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.eof {
			return 0, io.EOF
		}
		f, err := s.c.peer.Call(s.ctx, wire.TypeRead, wire.Read{Stream: s.id, Max: wire.MaxData}, wire.CallOptions{})
		if err != nil {
			return 0, err
		}
		var end wire.End
		if err := json.Unmarshal(f.JSON, &end); err != nil {
			return 0, err
		}
		s.rest, s.eof = f.Data, end.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
