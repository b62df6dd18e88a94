package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Store is a directory of content, each file named by its SHA-256. A file is checked against its name when this process
// opens it first; secret content is never kept. Safe for concurrent use, also by several processes.
type Store struct {
	dir string

	mu       sync.Mutex
	busy     map[string]chan struct{} // hash being fetched; closed when it is done
	verified map[string]os.FileInfo   // as it was when its content was checked
}

// NewStore returns the store in dir, which is made when something is stored, readable by its owner alone.
func NewStore(dir string) *Store {
	return &Store{dir: dir, busy: map[string]chan struct{}{}, verified: map[string]os.FileInfo{}}
}

// Open opens content, which it gets from src unless it is here.
func (s *Store) Open(ctx context.Context, c task.Content, src Source) (io.ReadCloser, error) {
	if !isHash(c.SHA256) {
		return nil, fmt.Errorf("content %s: %q is no SHA-256", c.Name, c.SHA256)
	}
	if c.Secret {
		return s.fetch(ctx, c, src, false)
	}
	unlock, err := s.lock(ctx, c.SHA256)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if f := s.have(c.SHA256); f != nil {
		return f, nil
	}
	return s.fetch(ctx, c, src, true)
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// lock lets one caller at a time fetch a hash.
func (s *Store) lock(ctx context.Context, sum string) (unlock func(), err error) {
	for {
		s.mu.Lock()
		wait, held := s.busy[sum]
		if !held {
			done := make(chan struct{})
			s.busy[sum] = done
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.busy, sum)
				s.mu.Unlock()
				close(done)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *Store) path(sum string) string { return filepath.Join(s.dir, sum) }

// have opens what is stored; nil when it is not there or not what its name says (then it is removed).
func (s *Store) have(sum string) *os.File {
	f, err := os.Open(s.path(sum))
	if err != nil {
		return nil
	}
	st, err := f.Stat()
	if err != nil || (!s.isVerified(sum, st) && !s.verify(f, sum, st)) {
		f.Close()
		os.Remove(s.path(sum))
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(s.path(sum), now, st.ModTime()) // the access time is what Prune looks at
	return f
}

func (s *Store) isVerified(sum string, st os.FileInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.verified[sum]
	return ok && os.SameFile(v, st) && v.ModTime().Equal(st.ModTime()) && v.Size() == st.Size()
}

func (s *Store) verify(f *os.File, sum string, st os.FileInfo) bool {
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil || hex.EncodeToString(h.Sum(nil)) != sum {
		return false
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verified[sum] = st
	return true
}

// fetch gets content into a file, which is kept under its name or has none at all.
func (s *Store) fetch(ctx context.Context, c task.Content, src Source, keep bool) (io.ReadCloser, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, explain("write", s.dir, err)
	}
	r, err := src.Fetch(ctx, c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := os.CreateTemp(s.dir, ".fetch-*")
	if err != nil {
		return nil, explain("write", s.dir, err)
	}
	defer os.Remove(f.Name()) // no longer there once it is kept
	err = s.receive(ctx, f, r, c)
	if err == nil && keep {
		err = os.Rename(f.Name(), s.path(c.SHA256))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if st, err := f.Stat(); err == nil && keep {
		s.mu.Lock()
		s.verified[c.SHA256] = st
		s.mu.Unlock()
	}
	return f, nil
}

func (s *Store) receive(ctx context.Context, f *os.File, r io.Reader, c task.Content) error {
	_, err := io.Copy(f, &ctxReader{ctx, verifying(io.NopCloser(r), c.SHA256)})
	if err != nil {
		return explainWrite(s.dir, err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// Prune removes what nobody has opened for longer than age, and what transfers that were cut off have left.
func (s *Store) Prune(age time.Duration) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		st, err := e.Info()
		if err == nil && time.Since(accessed(st)) > age {
			os.Remove(filepath.Join(s.dir, e.Name()))
		}
	}
}

// verifying is r with an error in place of EOF when its content does not have the hash.
func verifying(r io.ReadCloser, sum string) io.ReadCloser {
	return &verifyReader{r, sha256.New(), sum}
}

type verifyReader struct {
	io.ReadCloser
	h   hash.Hash
	sum string
}

func (v *verifyReader) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.h.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(v.h.Sum(nil)); got != v.sum {
			return n, task.Failf("content arrived damaged: SHA-256 %s instead of %s", got, v.sum).Retryable()
		}
	}
	return n, err
}

// accessed is when a file was opened last, as far as the file system says.
func accessed(st os.FileInfo) time.Time {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return st.ModTime()
	}
	return time.Unix(sys.Atim.Unix())
}
