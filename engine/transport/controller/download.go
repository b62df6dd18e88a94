package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/kflow/kflow/engine/host/whole"
	"github.com/kflow/kflow/engine/task"
)

const (
	maxBodies = 5                // times a body that broke off is asked for again
	stall     = 60 * time.Second // without a byte: the body has broken off
)

// flight is a download that several hosts wait for. done is closed when the rest is set.
type flight struct {
	done chan struct{}
	sum  string
	size int64
	err  error
}

// Download implements task.Controller.
func (c *Controller) Download(ctx context.Context, url, sha256 string) (io.ReadCloser, error) {
	sum, size, err := c.DownloadContent(ctx, url, sha256)
	if err != nil {
		return nil, err
	}
	b, err := c.OpenContent(ctx, sum)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(b, 0, size), b}, nil
}

// DownloadContent gets url, once per run, checks it against sha256 (unless ""), and makes it content. A download that
// failed is tried again by the next one who asks.
func (c *Controller) DownloadContent(ctx context.Context, url, sha256 string) (sum string, size int64, err error) {
	sha256 = strings.ToLower(sha256)
	key := url + "\x00" + sha256
	c.mu.Lock()
	f := c.flights[key]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		c.flights[key] = f
		go c.fly(f, key, url, sha256)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.sum, f.size, f.err
	case <-ctx.Done():
		return "", 0, context.Cause(ctx)
	}
}

func (c *Controller) fly(f *flight, key, url, want string) {
	defer close(f.done)
	f.sum, f.size, f.err = c.get(c.life, url, want)
	if f.err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, key)
	}
}

// get returns content from the cache, or from the network into the cache.
func (c *Controller) get(ctx context.Context, url, want string) (string, int64, error) {
	if want != "" {
		if is, err := c.AddFile(filepath.Join(c.o.CacheDir, want)); err == nil && is.SHA256 == want {
			return want, is.Size, nil
		}
	}
	if err := os.MkdirAll(c.o.CacheDir, 0o700); err != nil {
		return "", 0, err
	}
	whole.Sweep(c.o.CacheDir)
	f, err := whole.Create(filepath.Join(c.o.CacheDir, "download"))
	if err != nil {
		return "", 0, err
	}
	defer f.Discard()
	t := transfer{c: c, url: url, to: f.File}
	if err := t.run(ctx); err != nil {
		return "", 0, err
	}
	sum, err := hashOf(io.NewSectionReader(f, 0, t.have))
	if err != nil {
		return "", 0, err
	}
	if want != "" && sum != want {
		return "", 0, task.Failf("%s has SHA-256 %s, not %s as asked for", redact(url), sum, want).
			WithHint("either the file at that address was replaced, or the checksum in the playbook is not that of this file")
	}
	path := filepath.Join(c.o.CacheDir, sum)
	f.Aim(path)
	if err := f.Commit(); err != nil {
		return "", 0, err
	}
	is, err := c.AddFile(path)
	return sum, is.Size, err
}

// redact takes a password out of a URL.
func redact(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return raw
}

// transfer is one download. A body that breaks off is continued where it broke off, if the server can and the file is
// still the same one.
type transfer struct {
	c    *Controller
	url  string
	to   *os.File
	have int64
	etag string // of what we have; "" = it cannot be continued
}

func (t *transfer) run(ctx context.Context) error {
	var last error
	for range maxBodies {
		err := t.once(ctx)
		var broken *brokenOff
		if !errors.As(err, &broken) {
			return err
		}
		last = err
	}
	return task.Failf("%s: %w", redact(t.url), last).Retryable()
}

// brokenOff is the error of a body that did not come to its end.
type brokenOff struct{ err error }

func (b *brokenOff) Error() string { return "the download broke off: " + b.err.Error() }
func (b *brokenOff) Unwrap() error { return b.err }

func (t *transfer) once(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return err
	}
	if t.have > 0 && t.etag != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.have))
		req.Header.Set("If-Range", t.etag)
	}
	resp, err := t.c.client().Do(req)
	if err != nil {
		return task.Failf("%w", err).Retryable()
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK:
		if err := t.restart(); err != nil {
			return err
		}
	default:
		return statusError(t.url, resp)
	}
	t.etag = resp.Header.Get("ETag")
	return t.body(resp.Body, cancel)
}

func (t *transfer) restart() error {
	t.have = 0
	if _, err := t.to.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return t.to.Truncate(0)
}

func (t *transfer) body(r io.Reader, cancel context.CancelCauseFunc) error {
	clock := time.AfterFunc(stall, func() { cancel(fmt.Errorf("no data for %v", stall)) })
	defer clock.Stop()
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		clock.Reset(stall)
		if n > 0 {
			if _, werr := t.to.Write(buf[:n]); werr != nil {
				return werr
			}
			t.have += int64(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &brokenOff{err}
		}
	}
}

func statusError(url string, resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
	f := task.Failf("GET %s: %s", redact(url), resp.Status)
	f.Output = strings.TrimSpace(string(b))
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return f.Retryable()
	}
	return f
}

// client retries what fails before the body. A server that asks for patience (Retry-After) gets it within limits.
func (c *Controller) client() *retryablehttp.Client {
	h := retryablehttp.NewClient()
	h.Logger = nil
	h.ErrorHandler = retryablehttp.PassthroughErrorHandler
	h.RetryWaitMax = c.o.Wait
	h.RetryWaitMin = min(h.RetryWaitMin, c.o.Wait)
	h.Backoff = func(low, high time.Duration, attempt int, resp *http.Response) time.Duration {
		return min(retryablehttp.DefaultBackoff(low, high, attempt, resp), high)
	}
	if c.o.HTTP != nil {
		h.HTTPClient.Transport = c.o.HTTP
	}
	return h
}
