package host

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync"
)

// Saved are the files that tasks fetched to the controller of a rehearsal.
type Saved struct {
	mu   sync.Mutex
	sums map[string]string // by path
}

func (s *Saved) sum(path string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, ok := s.sums[path]
	return sum, ok
}

func (s *Saved) put(path string, r io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sums == nil {
		s.sums = map[string]string{}
	}
	s.sums[path] = hex.EncodeToString(h.Sum(nil))
	return nil
}
