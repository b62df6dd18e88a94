package tasktest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// answer is one section http.
type answer struct {
	method, url string
	status      int
	header      http.Header
	body        []byte
	err         string
	cut         int // 0 = whole body
	when        []test
	used        bool
}

// dial is one line of the section dial.
type dial struct {
	network, address string
	results          []string
	when             []test
}

func parseDials(src string) ([]*dial, error) {
	var all []*dial
	for line := range strings.Lines(src) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if len(words) < 3 || (len(words) > 3 && words[3] != "if") {
			return nil, fmt.Errorf("dial: %q is not `tcp ADDRESS ok|refused|timeout[,...] [if key=value]`", line)
		}
		d := &dial{network: words[0], address: words[1], results: strings.Split(words[2], ",")}
		if len(words) > 3 {
			var err error
			if d.when, err = parseTests(words[4:]); err != nil {
				return nil, err
			}
		}
		all = append(all, d)
	}
	return all, nil
}

func (h *Host) dial(network, address string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.dials {
		if d.network != network || d.address != address || !h.holds(d.when) {
			continue
		}
		result := d.results[0]
		if len(d.results) > 1 {
			d.results = d.results[1:]
		}
		return h.dialled(result, network)
	}
	h.t.Errorf("the case does not know this address: add it to its section dial\n\t%s %s", network, address)
	return nil, fmt.Errorf("dial %s %s: not in the case", network, address)
}

func (h *Host) dialled(result, network string) (net.Conn, error) {
	switch result {
	case "ok":
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }() // ends when the task closes its side
		return near, nil
	case "refused":
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case "timeout":
		h.pass(5 * time.Second)
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
	}
	h.t.Errorf("dial: result %q is not ok, refused or timeout", result)
	return nil, errors.New(result)
}

type transport struct{ h *Host }

// RoundTrip implements http.RoundTripper.
func (tr transport) RoundTrip(req *http.Request) (*http.Response, error) {
	a := tr.h.answer(req.Method, req.URL.String())
	switch {
	case a == nil:
		tr.h.t.Errorf("the case does not know this request: add a section\n\t-- http %s %s --", req.Method, req.URL)
		return nil, fmt.Errorf("%s %s: not in the case", req.Method, req.URL)
	case a.err != "":
		return nil, errors.New(a.err)
	}
	w := httptest.NewRecorder()
	for key, values := range a.header {
		w.Header()[key] = values
	}
	if a.status == http.StatusOK {
		http.ServeContent(w, req, path.Base(req.URL.Path), time.Time{}, bytes.NewReader(a.body))
	} else {
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	}
	resp := w.Result()
	resp.Request = req
	if a.cut > 0 {
		resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, int64(a.cut)), broken{}))
	}
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// answer chooses the first section not used yet, else the last one that fits.
func (h *Host) answer(method, url string) *answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	var last *answer
	for _, a := range h.answers {
		if a.method != method || a.url != url || !h.holds(a.when) {
			continue
		}
		last = a
		if !a.used {
			break
		}
	}
	if last != nil {
		last.used = true
	}
	return last
}

// targz packs the files that the lines of src name: path mode=0755 = text, or a directory with a slash at its end.
func targz(src string) ([]byte, error) {
	var buf bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&buf, gzip.NoCompression) // the same bytes with every version of Go
	tw := tar.NewWriter(zw)
	for line := range strings.Lines(src) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		head, content, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
		content += "\n"
		name, attrs, err := parseName(head)
		if err != nil {
			return nil, err
		}
		hdr := &tar.Header{Name: name, Mode: int64(attrs.mode(0o644)), Size: int64(len(content)), Typeflag: tar.TypeReg}
		switch {
		case attrs.target != "":
			hdr.Typeflag, hdr.Linkname, hdr.Size, content = tar.TypeSymlink, attrs.target, 0, ""
		case strings.HasSuffix(name, "/"):
			hdr.Typeflag, hdr.Mode, hdr.Size, content = tar.TypeDir, int64(attrs.mode(0o755)), 0, ""
		}
		if err := tw.WriteHeader(hdr); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(tw, content); err != nil {
			return nil, err
		}
	}
	err := errors.Join(tw.Close(), zw.Close())
	return buf.Bytes(), err
}
