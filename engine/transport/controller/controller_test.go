package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/task"
)

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func newController(t *testing.T) (*Controller, string) {
	t.Helper()
	dir := t.TempDir()
	c := New(Options{Dir: dir, CacheDir: filepath.Join(dir, "cache"), Wait: time.Millisecond})
	t.Cleanup(func() { c.Close() })
	return c, dir
}

func content(t *testing.T, c *Controller, sum string) (string, error) {
	t.Helper()
	b, err := c.OpenContent(t.Context(), sum)
	if err != nil {
		return "", err
	}
	defer b.Close()
	all, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	return string(all), err
}

func TestContentOfFilesAndTexts(t *testing.T) {
	c, dir := newController(t)
	os.WriteFile(filepath.Join(dir, "f"), []byte("file"), 0o600)
	is, err := c.AddFile("f")
	if err != nil || is.SHA256 != sumOf("file") || is.Size != 4 || is.Name != "f" {
		t.Fatalf("%+v, %v", is, err)
	}
	if got, err := content(t, c, is.SHA256); got != "file" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	small := c.AddText("t", "small")
	if !small.Inline || small.Text != "small" || small.SHA256 != sumOf("small") {
		t.Errorf("%+v", small)
	}
	large := strings.Repeat("x", maxInline+1)
	is = c.AddText("t", large)
	if got, _ := content(t, c, is.SHA256); is.Inline || is.Text != "" || got != large {
		t.Errorf("%+v", is)
	}
	if _, err := content(t, c, sumOf("never announced")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := c.AddFile("."); err == nil {
		t.Error("a directory was taken for a file")
	}
}

func TestAFileThatChangesDuringTheRun(t *testing.T) {
	c, dir := newController(t)
	file := filepath.Join(dir, "f")
	os.WriteFile(file, []byte("old"), 0o600)
	is, _ := c.AddFile("f")
	os.WriteFile(file, []byte("longer"), 0o600)
	if _, err := content(t, c, is.SHA256); err == nil || !strings.Contains(err.Error(), "changed during the run") {
		t.Errorf("%v", err)
	}
	if is, err := c.AddFile("f"); err != nil || is.SHA256 != sumOf("longer") {
		t.Errorf("%+v, %v", is, err)
	}
	if sum, err := c.Stat(t.Context(), "f"); sum != sumOf("longer") || err != nil {
		t.Errorf("%s, %v", sum, err)
	}
	if sum, err := c.Stat(t.Context(), "nothing"); sum != "" || err != nil {
		t.Errorf("%q, %v", sum, err)
	}
}

func TestSaveIsAtomic(t *testing.T) {
	c, dir := newController(t)
	if err := c.Save(t.Context(), "a/b/f", 0, strings.NewReader("one")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a/b/f")
	if st, _ := os.Stat(file); st.Mode() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	broken := io.MultiReader(strings.NewReader("two"), iotestErr{})
	if err := c.Save(t.Context(), "a/b/f", 0, broken); err == nil {
		t.Error("no error")
	}
	if b, _ := os.ReadFile(file); string(b) != "one" {
		t.Errorf("%q", b)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("broke") }

func download(t *testing.T, c *Controller, url, sum string) (string, error) {
	t.Helper()
	r, err := c.Download(t.Context(), url, sum)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestADownloadIsMadeOnceAndCachedByItsHash(t *testing.T) {
	var asked atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, "artifact")
	}))
	c, dir := newController(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if got, err := download(t, c, web.URL, sumOf("artifact")); got != "artifact" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	web.Close()
	later := New(Options{CacheDir: filepath.Join(dir, "cache")})
	defer later.Close()
	if got, err := download(t, later, web.URL, sumOf("artifact")); got != "artifact" || err != nil {
		t.Errorf("a later run without network: %q, %v", got, err)
	}
}

func TestAWrongChecksumSaysBoth(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "evil") }))
	defer web.Close()
	c, dir := newController(t)
	_, err := download(t, c, strings.Replace(web.URL, "//", "//user:passw0rd@", 1), sumOf("good"))
	var f *task.Failure
	if !errors.As(err, &f) || !strings.Contains(err.Error(), sumOf("evil")) || !strings.Contains(err.Error(), sumOf("good")) || f.Transient || f.Hint == "" {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "passw0rd") {
		t.Errorf("the password of the URL is shown: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "cache")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A body that breaks off is continued, if the server still has the same file; else it begins again.
func TestABodyThatBreaksOffIsContinued(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	for _, etag := range []string{`"v1"`, "", "changes"} {
		asked := 0
		var ranges []string
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			from := 0
			tag := etag
			if etag == "changes" {
				tag = fmt.Sprintf(`"v%d"`, asked)
			}
			if rg := r.Header.Get("Range"); rg != "" {
				ranges = append(ranges, rg)
				if r.Header.Get("If-Range") == tag {
					from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(rg, "bytes="), "-"))
				}
			}
			if tag != "" {
				w.Header().Set("ETag", tag)
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(text)-from))
			if from > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(text)-1, len(text)))
				w.WriteHeader(http.StatusPartialContent)
			}
			end := len(text)
			if asked < 3 {
				end = from + 30_000
			}
			io.WriteString(w, text[from:end]) // fewer bytes than announced: the connection breaks off
		}))
		c, _ := newController(t)
		got, err := download(t, c, web.URL, sumOf(text))
		if got != text || err != nil || asked != 3 {
			t.Errorf("etag %q: %d bytes, %v, asked %d times", etag, len(got), err, asked)
		}
		if want := map[string]int{`"v1"`: 2, "": 0, "changes": 2}[etag]; len(ranges) != want {
			t.Errorf("etag %q: ranges %v", etag, ranges)
		}
		web.Close()
	}
}

func TestErrorsOfServers(t *testing.T) {
	asked := 0
	status := http.StatusNotFound
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Retry-After", "86400") // a server may not park a run for a day
		http.Error(w, "go away", status)
	}))
	defer web.Close()
	c, _ := newController(t)
	for _, status = range []int{404, 503, 429} {
		asked = 0
		_, err := download(t, c, web.URL, "")
		var f *task.Failure
		if !errors.As(err, &f) || !strings.Contains(err.Error(), strconv.Itoa(status)) || f.Output != "go away" || f.Transient != (status != 404) {
			t.Errorf("%d: %v %+v", status, err, f)
		}
		if want := map[bool]int{true: 5, false: 1}[status != 404]; asked != want {
			t.Errorf("%d: asked %d times, want %d", status, asked, want)
		}
	}
}

func TestAWaiterMayLeave(t *testing.T) {
	release := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		io.WriteString(w, "late")
	}))
	defer web.Close()
	c, _ := newController(t)
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := c.Download(ctx, web.URL, ""); err != cause {
		t.Error(err)
	}
	close(release)
	if got, err := download(t, c, web.URL, ""); got != "late" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
