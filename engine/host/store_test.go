package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// counting is a controller with one content.
type counting struct {
	mu      sync.Mutex
	fetched int
	text    string
}

func (c *counting) Fetch(context.Context, task.Content) (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetched++
	return io.NopCloser(strings.NewReader(c.text)), nil
}

func contentOf(text string) task.Content {
	sum := sha256.Sum256([]byte(text))
	return task.Content{Name: "file", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
}

func open(t *testing.T, h task.Host, c task.Content) (string, error) {
	t.Helper()
	r, err := h.Open(t.Context(), c)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestContentTravelsOnceAndIsVerified(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	src := &counting{text: "content"}
	is := contentOf("content")
	m := New(Options{Source: src, Store: NewStore(dir)})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, err := open(t, m, is); got != "content" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if src.fetched != 1 {
		t.Errorf("fetched %d times", src.fetched)
	}
	// Another process finds it, and finds out when it is damaged.
	m = New(Options{Source: src, Store: NewStore(dir)})
	open(t, m, is)
	os.WriteFile(filepath.Join(dir, is.SHA256), []byte("damage!"), 0o600)
	for _, m := range []*Machine{m, New(Options{Source: src, Store: NewStore(dir)})} {
		if got, err := open(t, m, is); got != "content" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if src.fetched != 2 {
		t.Errorf("fetched %d times", src.fetched)
	}
}

func TestContentThatIsNotWhatItsHashSaysIsRefused(t *testing.T) {
	src := &counting{text: "evil"}
	dir := t.TempDir()
	for _, m := range []*Machine{New(Options{Source: src, Store: NewStore(dir)}), New(Options{Source: src})} {
		if _, err := open(t, m, contentOf("good")); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%v", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
	if _, err := open(t, New(Options{Source: src, Store: NewStore(dir)}), task.Content{SHA256: "../../etc/passwd"}); err == nil {
		t.Error("a hash that is a path was taken")
	}
}

func TestSecretAndInlineContentIsNotKept(t *testing.T) {
	dir := t.TempDir()
	src := &counting{text: "content"}
	m := New(Options{Source: src, Store: NewStore(dir)})
	is := contentOf("content")
	is.Secret = true
	if got, err := open(t, m, is); got != "content" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, _ := open(t, m, task.Content{Inline: true, Text: "inline"}); got != "inline" {
		t.Errorf("%q", got)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
}

func TestPruneRemovesWhatIsOld(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	for _, f := range []string{old, fresh} {
		os.WriteFile(f, nil, 0o600)
	}
	os.Chtimes(old, time.Now().Add(-48*time.Hour), time.Now())
	NewStore(dir).Prune(24 * time.Hour)
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "fresh" {
		t.Errorf("left: %v", left)
	}
}
