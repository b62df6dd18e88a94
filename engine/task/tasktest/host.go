package tasktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Host is a host in memory. What a case does not foresee fails the test.
type Host struct {
	t  testing.TB
	mu sync.Mutex

	files      files
	facts      *task.Facts
	state      map[string]string
	timers     []timer
	commands   []*command
	answers    []*answer
	dials      []*dial
	controller map[string][]byte
	saved      map[string]savedFile
	now        time.Time

	ran  []string
	logs []string
}

type timer struct {
	at         time.Time
	key, value string
}

type savedFile struct {
	mode fs.FileMode
	data []byte
}

var _ task.Host = (*Host)(nil)

// NewHost returns a host with an almost empty file system, for tests in Go; cases make their own.
func NewHost(t testing.TB) *Host {
	return &Host{
		t: t, files: newFiles(), facts: defaultFacts(), state: map[string]string{},
		controller: map[string][]byte{}, saved: map[string]savedFile{},
		now: time.Date(2024, 6, 10, 12, 0, 0, 0, time.UTC),
	}
}

// Put makes a file with its directories.
func (h *Host) Put(name, content string, a task.Attr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files.mkdirs(path.Dir(name))
	n := &node{mode: 0o644, owner: "root", group: "root", data: []byte(content), mtime: h.now}
	n.set(a)
	h.files[name] = n
}

// Commands adds programs, in the notation of the section commands.
func (h *Host) Commands(text string) {
	h.t.Helper()
	cs, err := parseCommands(text, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = append(h.commands, cs...)
}

// Ran are the command lines so far that may have changed something.
func (h *Host) Ran() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.ran...)
}

func defaultFacts() *task.Facts {
	return &task.Facts{
		Hostname: "node1", MachineID: "0123456789abcdef0123456789abcdef", ProductUUID: "c0ffee00-0000-4000-8000-000000000001",
		BootID: "b0070000-0000-4000-8000-000000000001", Arch: "amd64", Kernel: "6.1.0-18-amd64", CPUs: 2, MemoryMB: 4096,
		OS: task.OS{
			ID: "debian", Family: "debian", Version: "12", Major: 12, Name: "Debian GNU/Linux 12 (bookworm)", Code: "bookworm",
		},
		Addresses: []string{"10.0.0.11"}, Interface: "eth0", MACs: []string{"52:54:00:00:00:0b"}, Init: "systemd", Cgroup: 2,
		PackageManager: "apt", User: "root",
	}
}

// Facts implements task.Host.
func (h *Host) Facts() *task.Facts { return h.facts }

// Open implements task.Host.
func (h *Host) Open(_ context.Context, c task.Content) (io.ReadCloser, error) {
	if c.Inline {
		return io.NopCloser(strings.NewReader(c.Text)), nil
	}
	for _, b := range h.controller {
		if hash(b) == c.SHA256 {
			return io.NopCloser(bytes.NewReader(b)), nil
		}
	}
	h.t.Errorf("Open of content %q: no section controller/ has this content", c.Name)
	return nil, fmt.Errorf("content %s: %w", c.Name, fs.ErrNotExist)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Dial implements task.Host.
func (h *Host) Dial(_ context.Context, network, address string) (net.Conn, error) {
	return h.dial(network, address)
}

// HTTP implements task.Host.
func (h *Host) HTTP() http.RoundTripper { return transport{h} }

// Now implements task.Host.
func (h *Host) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// Sleep implements task.Host: time passes at once.
func (h *Host) Sleep(ctx context.Context, d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pass(d)
	if h.now.After(time.Date(2024, 6, 20, 0, 0, 0, 0, time.UTC)) {
		h.t.Fatal("the task has slept for more than nine days")
	}
	return context.Cause(ctx)
}

// pass lets time go by.
func (h *Host) pass(d time.Duration) {
	h.now = h.now.Add(d)
	rest := h.timers[:0]
	for _, t := range h.timers {
		if t.at.After(h.now) {
			rest = append(rest, t)
			continue
		}
		h.state[t.key] = t.value
	}
	h.timers = rest
}

// Log implements task.Host.
func (h *Host) Log(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = append(h.logs, line)
}

// Progress implements task.Host.
func (h *Host) Progress(string, int64, int64) {}

// Controller implements task.Host.
func (h *Host) Controller() task.Controller { return controller{h} }

type controller struct{ h *Host }

// controllerDir is where the files of a case are on the fake controller.
const controllerDir = "/controller/"

// Stat implements task.Controller.
func (c controller) Stat(_ context.Context, name string) (string, error) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	name = strings.TrimPrefix(name, controllerDir)
	if s, ok := c.h.saved[name]; ok {
		return hash(s.data), nil
	}
	if b, ok := c.h.controller[name]; ok {
		return hash(b), nil
	}
	return "", nil
}

// Save implements task.Controller.
func (c controller) Save(_ context.Context, name string, mode fs.FileMode, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	c.h.saved[strings.TrimPrefix(name, controllerDir)] = savedFile{mode, b}
	return nil
}

// Download implements task.Controller: the http sections answer.
func (c controller) Download(ctx context.Context, url, sum string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.h.HTTP().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	case sum != "" && hash(b) != sum:
		return nil, fmt.Errorf("GET %s: SHA-256 is %s, not %s", url, hash(b), sum)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}
