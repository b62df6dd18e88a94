// Package controller is the machine kflow runs on, as far as hosts may use it: it holds the content that requests refer
// to by hash, keeps files that tasks fetch, and downloads for hosts.
//
// Content is announced before a request refers to it (AddFile, AddText, Announce) and opened by its hash, by the agents'
// connections (transport.Contents). A file is not copied: that it changes during a run is found when it is opened, and
// is an error.
//
// A download is made once per run, however many hosts want it, and kept in a cache by its hash, so that a later run whose
// playbook names the hash needs no network.
package controller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/host/whole"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// maxInline is the size in bytes up to which text travels within its request; more is worth asking whether the host has
// it already.
const maxInline = 64 << 10

// Options of a Controller.
type Options struct {
	Dir      string            // of the playbook: where relative paths begin
	CacheDir string            // of downloads; "" = kflow/downloads in the user's cache directory
	HTTP     http.RoundTripper // nil = a usual one, with proxies of the environment
	Wait     time.Duration     // longest pause between two attempts of a download; 0 = 30 s
}

// Controller implements task.Controller and transport.Contents. It is safe for concurrent use.
type Controller struct {
	o    Options
	life context.Context // of downloads, which several hosts wait for
	end  context.CancelCauseFunc

	mu      sync.Mutex
	content map[string]source // by hash
	hashed  map[string]hashed // by path
	flights map[string]*flight
}

var (
	_ task.Controller    = (*Controller)(nil)
	_ transport.Contents = (*Controller)(nil)
)

// source is where content is: in memory, or in a file as it was when it was hashed.
type source struct {
	text []byte
	path string
	stat fs.FileInfo
}

type hashed struct {
	stat fs.FileInfo
	sum  string
}

// New returns a Controller.
func New(o Options) *Controller {
	if o.CacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			o.CacheDir = filepath.Join(dir, "kflow", "downloads")
		} else {
			o.CacheDir = filepath.Join(os.TempDir(), fmt.Sprintf("kflow-downloads-%d", os.Getuid()))
		}
	}
	if o.Wait == 0 {
		o.Wait = 30 * time.Second
	}
	c := &Controller{o: o, content: map[string]source{}, hashed: map[string]hashed{}, flights: map[string]*flight{}}
	c.life, c.end = context.WithCancelCause(context.Background())
	return c
}

// Close ends the downloads that are under way.
func (c *Controller) Close() error {
	c.end(errors.New("the run is over"))
	return nil
}

func (c *Controller) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.o.Dir, path)
}

// AddFile announces a file, relative to the playbook, as content. It is hashed once, unless it changes.
func (c *Controller) AddFile(path string) (task.Content, error) {
	sum, stat, err := c.hash(c.abs(path))
	if err != nil {
		return task.Content{}, err
	}
	c.mu.Lock()
	c.content[sum] = source{path: c.abs(path), stat: stat}
	c.mu.Unlock()
	return task.Content{Name: path, SHA256: sum, Size: stat.Size()}, nil
}

// Announce makes content known whose hash is known already. A file is checked against it only where it arrives.
func (c *Controller) Announce(sha256, path string) error {
	stat, err := os.Stat(c.abs(path))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.content[sha256] = source{path: c.abs(path), stat: stat}
	return nil
}

// AddText makes content of a text: inline, or announced where it is large. name is for people.
func (c *Controller) AddText(name, text string) task.Content {
	sum := sha256.Sum256([]byte(text))
	is := task.Content{Name: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
	if len(text) <= maxInline {
		is.Inline, is.Text = true, text
		return is
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.content[is.SHA256] = source{text: []byte(text)}
	return is
}

// hash is the SHA-256 of a file, from memory while the file is as it was.
func (c *Controller) hash(path string) (string, fs.FileInfo, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	if !stat.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%s is not a file", path)
	}
	c.mu.Lock()
	known, ok := c.hashed[path]
	c.mu.Unlock()
	if ok && same(known.stat, stat) {
		return known.sum, stat, nil
	}
	sum, err := hashFile(path)
	if err != nil {
		return "", nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hashed[path] = hashed{stat, sum}
	return sum, stat, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hashOf(f)
}

func hashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// OpenContent implements transport.Contents.
func (c *Controller) OpenContent(_ context.Context, sha256 string) (transport.Blob, error) {
	c.mu.Lock()
	s, ok := c.content[sha256]
	c.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("content %.12s: %w", sha256, fs.ErrNotExist)
	}
	if s.path == "" {
		return memory{bytes.NewReader(s.text)}, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err == nil && !same(stat, s.stat) {
		err = fmt.Errorf("%s was changed during the run: run again", s.path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return file{f, stat.Size()}, nil
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }

// Stat implements task.Controller.
func (c *Controller) Stat(_ context.Context, path string) (string, error) {
	sum, _, err := c.hash(c.abs(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return sum, err
}

// Save implements task.Controller.
func (c *Controller) Save(ctx context.Context, path string, mode fs.FileMode, r io.Reader) error {
	path = c.abs(path)
	if mode == 0 {
		mode = 0o600
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	whole.Sweep(dir)
	f, err := whole.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	_, err = io.Copy(f, r)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Commit()
	}
	return err
}
