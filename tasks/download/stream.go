package download

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
)

const (
	attempts  = 6                // in a row without a byte
	waitFirst = time.Second      // between attempts, doubled each time
	waitMost  = 30 * time.Second // also the most a server's Retry-After may ask for
	reportGap = 1 << 20          // bytes between two reports of progress
)

// stream is the body of a URL that goes on where a broken connection ended. It keeps its context because an io.Reader is
// given none.
type stream struct {
	ctx    context.Context
	h      task.Host
	client *retryablehttp.Client
	url    string

	body      io.ReadCloser
	validator string // ETag or Last-Modified of the first answer
	total     int64  // -1 = unknown
	offset    int64
	reported  int64
	failures  int
}

// newStream opens a URL. The first answer decides whether there is anything to read.
func newStream(ctx context.Context, h task.Host, address string) (*stream, error) {
	s := &stream{ctx: ctx, h: h, client: newClient(ctx, h), url: address, total: -1}
	return s, s.connect()
}

// newClient is a client that tries again until an answer has begun (connection errors, 429, 5xx). The library's waits are
// replaced by the host's Sleep, and a server's Retry-After has a limit.
func newClient(ctx context.Context, h task.Host) *retryablehttp.Client {
	// Not NewClient: it makes a transport of its own.
	c := &retryablehttp.Client{HTTPClient: &http.Client{Transport: h.HTTP()}, RetryMax: attempts - 1,
		CheckRetry: retryablehttp.DefaultRetryPolicy, ErrorHandler: retryablehttp.PassthroughErrorHandler}
	c.Backoff = func(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
		_ = h.Sleep(ctx, min(waitMost, retryablehttp.DefaultBackoff(waitFirst, waitMost, attempt, resp)))
		return 0
	}
	return c
}

// connect asks for what is not read yet.
func (s *stream) connect() error {
	req, err := retryablehttp.NewRequestWithContext(s.ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if s.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", s.offset))
		if s.validator != "" {
			req.Header.Set("If-Range", s.validator)
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return s.unreachable(err)
	}
	if err := s.accept(resp); err != nil {
		_ = resp.Body.Close()
		return err
	}
	s.body = resp.Body
	return nil
}

// accept looks at an answer before its body is read.
func (s *stream) accept(resp *http.Response) error {
	first := s.offset == 0
	switch {
	case resp.StatusCode == http.StatusPartialContent && !first:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != s.offset {
			return task.Failf("GET %s: the server sent another part than it was asked for (%s)", s.url, resp.Header.Get("Content-Range")).Retryable()
		}
		return nil
	case resp.StatusCode != http.StatusOK:
		return s.refused(resp)
	case first:
		s.total, s.validator = resp.ContentLength, validator(resp)
		return s.page(resp)
	case s.validator != validator(resp):
		return task.Failf("GET %s: the file changed while it was downloaded", s.url).Retryable().WithHint("resume: the download starts again")
	}
	_, err := io.CopyN(io.Discard, resp.Body, s.offset) // no ranges here: read over what we have
	return err
}

func validator(resp *http.Response) string {
	if tag := resp.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return resp.Header.Get("Last-Modified")
}

// page refuses a web page where a file was asked for: the login of a proxy, an error with status 200.
func (s *stream) page(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "text/html" || strings.HasPrefix(path.Ext(resp.Request.URL.Path), ".htm") {
		return nil
	}
	return task.Failf("GET %s: the server sent a web page instead of a file", s.url).
		WithHint("open the URL in a browser: it is the page of a login, a proxy or a project, not the file itself")
}

func (s *stream) refused(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 2048))
	f := task.Failf("GET %s: %s", s.url, resp.Status)
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/html" {
		f = f.WithOutput(task.Output{Stdout: string(b)})
	}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return f.WithHint("there is no such file on the server: check version and architecture in the URL")
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		return f.WithHint("the server or a proxy on the way refuses this host; try via: controller, or a mirror")
	case code >= 500 || code == http.StatusTooManyRequests:
		return f.Retryable().WithHint("the server has trouble; resume later, or use a mirror")
	}
	return f
}

func (s *stream) unreachable(err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err // the address is said already
	}
	return task.Failf("GET %s: %w", s.url, err).Retryable().
		WithHint("this host does not reach the server: check DNS, proxy (http_proxy) and firewall, or use via: controller")
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		n, err := s.body.Read(p)
		s.advance(n)
		if n > 0 || err == nil {
			return n, nil
		}
		if errors.Is(err, io.EOF) && (s.total < 0 || s.offset >= s.total) {
			return 0, io.EOF
		}
		if err := s.resume(err); err != nil {
			return 0, err
		}
	}
}

func (s *stream) advance(n int) {
	if n == 0 {
		return
	}
	s.offset += int64(n)
	s.failures = 0
	if s.offset-s.reported >= reportGap || s.offset == s.total {
		s.reported = s.offset
		s.h.Progress("download "+path.Base(s.url), s.offset, max(s.total, 0))
	}
}

// resume connects again after the connection broke.
func (s *stream) resume(cause error) error {
	_ = s.body.Close()
	if s.failures++; s.failures >= attempts {
		return task.Failf("GET %s: the connection broke %d times at byte %d: %w", s.url, s.failures, s.offset, cause).Retryable().
			WithHint("resume later, use a mirror, or via: controller")
	}
	s.h.Log(fmt.Sprintf("the connection broke at byte %d (%v), going on from there", s.offset, cause))
	if err := s.h.Sleep(s.ctx, min(waitMost, waitFirst<<(s.failures-1))); err != nil {
		return err
	}
	return s.connect()
}

// Close implements io.Closer.
func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}

// verifier passes a body on and ends in an error unless its SHA-256 is right.
type verifier struct {
	r         io.Reader
	h         hash.Hash
	url, want string
	start     []byte // of the body, to recognise a web page
}

func newVerifier(r io.Reader, url, want string) *verifier {
	return &verifier{r: r, h: sha256.New(), url: url, want: want}
}

func (v *verifier) sum() string { return hostfile.Hex(v.h) }

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.h.Write(p[:n])
	if len(v.start) == 0 {
		v.start = append(v.start, p[:min(n, 64)]...)
	}
	if errors.Is(err, io.EOF) && v.want != "" && v.sum() != v.want {
		return n, v.wrong()
	}
	return n, err
}

func (v *verifier) wrong() error {
	f := task.Failf("%s has SHA-256 %s, not %s", v.url, v.sum(), v.want)
	if webPage(string(v.start)) {
		return f.WithHint("%s", pageHint)
	}
	return f.WithHint("the file on the server is another than was declared, or it was damaged on the way: compare with the hash its project publishes")
}
