package download

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// largest is how large a file may be that is read as manifests; the largest published ones have a few megabytes.
const largest = 32 << 20

// reader passes a body on and ends in an error when it is no manifest. Nothing takes the place of the file then.
type reader struct {
	r    io.Reader
	url  string
	text bytes.Buffer
}

// expect checks a body while it is read, as the task says what it must be.
func (p *Download) expect(r io.Reader) io.Reader {
	if p.Expect != "manifests" {
		return r
	}
	return &reader{r: r, url: p.URL}
}

// Read implements io.Reader.
func (m *reader) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.text.Write(b[:n])
	if m.text.Len() > largest {
		return n, task.Failf("%s is larger than a manifest can be (32 MiB)", m.url)
	}
	if errors.Is(err, io.EOF) {
		if why := m.check(); why != nil {
			return n, why
		}
	}
	return n, err
}

func (m *reader) check() error {
	text := m.text.String()
	if webPage(text) {
		return task.Failf("%s is a web page, not a manifest", m.url).WithHint("%s", pageHint)
	}
	objects, err := kube.ParseManifest(text)
	switch {
	case err != nil:
		return task.Failf("%s is not a manifest: %w", m.url, err).
			WithHint("it was damaged on the way, or is something else; resume gets it again. A checksum would say for certain")
	case len(objects) == 0:
		return task.Failf("%s holds no objects", m.url).WithHint("look at what the URL gives: the file was cut off, or is something else")
	}
	return nil
}

const pageHint = "what came is a web page: the login of a proxy, or an error page. Open the URL in a browser"

func webPage(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text[:min(len(text), 512)]))
	return strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html")
}
