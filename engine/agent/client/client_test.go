package client_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/agent/client"
	"github.com/kflow/kflow/engine/agent/server"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport/controller"
)

// probe is a kind that does with its host what a test wants.
type probe struct {
	Path    string       `json:"path"`
	URL     string       `json:"url"`
	Content task.Content `json:"content"`
	do      func(ctx context.Context, p *probe, h task.Host) error
}

func (p *probe) Action() bool { return true }

func (p *probe) Changes(context.Context, task.Host) ([]task.Change, error) {
	return []task.Change{{Summary: "probe", Apply: func(ctx context.Context, h task.Host) error { return p.do(ctx, p, h) }}}, nil
}

// agent is a real agent, connected to a real controller by pipes.
type agent struct {
	*client.Conn
	dir  string // of the agent
	ctl  *controller.Controller
	home string // of the controller
	stop func()
}

func start(t *testing.T, do func(context.Context, *probe, task.Host) error) *agent {
	t.Helper()
	a := &agent{dir: t.TempDir(), home: t.TempDir()}
	a.ctl = controller.New(controller.Options{Dir: a.home, CacheDir: filepath.Join(a.home, "cache"), Wait: time.Millisecond})
	toAgent, fromUs, _ := os.Pipe()
	toUs, fromAgent, _ := os.Pipe()
	ended := make(chan error, 1)
	reg := task.NewRegistry(task.Kind{Name: "probe", New: func() task.Task { return &probe{do: do} }})
	go func() {
		err := server.Serve(context.Background(), server.Options{Registry: reg, Nonce: "N", Dir: a.dir, Grace: time.Millisecond}, toAgent, fromAgent)
		fromAgent.Close()
		ended <- err
	}()
	br := bufio.NewReader(toUs)
	if words, _, err := wire.ReadMarker(br, "N"); err != nil || words[0] != "ready" {
		t.Fatal(words, err)
	}
	c, err := client.New(br, fromUs, client.Options{Version: "test", Controller: a.ctl, Contents: a.ctl, Linger: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	a.Conn = c
	a.stop = sync.OnceFunc(func() {
		fromUs.Close()
		if err := <-ended; err != nil {
			t.Errorf("the agent ended with %v", err)
		}
		<-c.Done()
		c.Wait()
		a.ctl.Close()
		toAgent.Close()
		toUs.Close()
	})
	t.Cleanup(a.stop)
	return a
}

func (a *agent) run(t *testing.T, params any) *job.Outcome {
	t.Helper()
	p, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	req := &job.Request{Kind: "probe", Mode: job.Apply, Items: []json.RawMessage{p}}
	if named, ok := params.(map[string]any); ok {
		if path, ok := named["path"].(string); ok {
			req.Uses.Files = []string{path}
		}
		if url, ok := named["url"].(string); ok {
			req.Uses.URLs = []string{url, ""} // a checksum may have a URL, too
		}
	}
	out, err := a.Do(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestContentComesInPiecesOnceAndWhole(t *testing.T) {
	big := make([]byte, 5<<20+17)
	rand.Read(big)
	a := start(t, func(ctx context.Context, p *probe, h task.Host) error {
		r, err := h.Open(ctx, p.Content)
		if err != nil {
			return err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(got, big) {
			err = fmt.Errorf("%d bytes that differ", len(got))
		}
		return err
	})
	os.WriteFile(filepath.Join(a.home, "big"), big, 0o600)
	is, err := a.ctl.AddFile("big")
	if err != nil {
		t.Fatal(err)
	}
	unsized := is
	unsized.Size = 0
	secret := is
	secret.Secret = true
	for _, c := range []task.Content{secret, unsized, is} {
		if out := a.run(t, map[string]any{"content": c}); out.Failure != nil {
			t.Errorf("%+v", out.Failure)
		}
	}
	if kept, _ := filepath.Glob(filepath.Join(a.dir, "content", "*")); len(kept) != 1 || filepath.Base(kept[0]) != is.SHA256 {
		t.Errorf("kept: %v", kept)
	}
	os.Remove(filepath.Join(a.home, "big"))
	if out := a.run(t, map[string]any{"content": is}); out.Failure != nil {
		t.Errorf("content the host has was asked for again: %+v", out.Failure)
	}
	is.SHA256 = strings.Repeat("0", 64)
	if out := a.run(t, map[string]any{"content": is}); out.Failure == nil || !strings.Contains(out.Failure.Summary, "000000") {
		t.Errorf("content nobody announced: %+v", out.Failure)
	}
}

func TestFilesGoToTheController(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	a := start(t, func(ctx context.Context, p *probe, h task.Host) error {
		if sum, err := h.Controller().Stat(ctx, p.Path); err != nil || sum != "" {
			return fmt.Errorf("before: %q, %w", sum, err)
		}
		if err := h.Controller().Save(ctx, p.Path, 0o640|fs.ModeSetuid, bytes.NewReader(big)); err != nil {
			return err
		}
		sum, err := h.Controller().Stat(ctx, p.Path)
		h.Log("sum " + sum)
		return err
	})
	if out := a.run(t, map[string]any{"path": "out/dir/file"}); out.Failure != nil {
		t.Fatalf("%+v", out.Failure)
	}
	got, err := os.ReadFile(filepath.Join(a.home, "out/dir/file"))
	st, _ := os.Stat(filepath.Join(a.home, "out/dir/file"))
	if err != nil || !bytes.Equal(got, big) || st.Mode() != 0o640 {
		t.Errorf("%d bytes, %v, %v", len(got), st.Mode(), err)
	}
}

func TestASaveThatFailsOnTheHostLeavesNothing(t *testing.T) {
	a := start(t, func(ctx context.Context, p *probe, h task.Host) error {
		return h.Controller().Save(ctx, p.Path, 0o600, io.MultiReader(strings.NewReader("begin"), broken{}))
	})
	out := a.run(t, map[string]any{"path": "file"})
	if out.Failure == nil || !strings.Contains(out.Failure.Summary, "disk broke") {
		t.Errorf("%+v", out.Failure)
	}
	if left, _ := filepath.Glob(filepath.Join(a.home, "*file*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("disk broke") }

// An agent in other hands asks for what no task names.
func TestTheControllerGivesOnlyWhatTasksName(t *testing.T) {
	var path, url string
	a := start(t, func(ctx context.Context, p *probe, h task.Host) error {
		_, err1 := h.Controller().Stat(ctx, path)
		err2 := h.Controller().Save(ctx, path, 0o600, strings.NewReader("evil"))
		_, err3 := h.Controller().Download(ctx, url, "")
		for _, err := range []error{err1, err2, err3} {
			if err == nil || !strings.Contains(err.Error(), "names") {
				return fmt.Errorf("not refused: %v", err)
			}
		}
		return nil
	})
	for _, path = range []string{"/etc/shadow", "../x", "out/../../x", "outside", "/", "", "out/below", "/etc/hosts"} {
		for _, url = range []string{"http://169.254.169.254/", "file:///etc/shadow", "https://example.co", "https://example.com.evil.org/", "https://example.com/more", ""} {
			params := map[string]any{"path": "out", "url": "https://example.com", "content": task.Content{Name: "/etc/hosts"}}
			if out := a.run(t, params); out.Failure != nil {
				t.Errorf("%s %s: %v", path, url, out.Failure)
			}
		}
	}
}

func TestDownloadsAreMadeOnceForAllHosts(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		io.WriteString(w, "artifact")
	}))
	defer web.Close()
	a := start(t, func(ctx context.Context, p *probe, h task.Host) error {
		r, err := h.Controller().Download(ctx, p.URL, "")
		if err != nil {
			return err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if string(b) != "artifact" {
			err = fmt.Errorf("got %q, %w", b, err)
		}
		return err
	})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if out := a.run(t, map[string]any{"url": web.URL + "/a"}); out.Failure != nil {
				t.Error(out.Failure)
			}
		})
	}
	wg.Wait()
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestRequestsRunAtOnceAndAreCancelledOneByOne(t *testing.T) {
	var here sync.WaitGroup
	here.Add(2)
	a := start(t, func(ctx context.Context, p *probe, h task.Host) error {
		h.Log("here " + p.Path)
		here.Done()
		here.Wait()
		if p.Path == "stay" {
			return nil
		}
		_, err := h.Run(ctx, task.Cmd("sleep", "60"))
		return err
	})
	req := func(p string) *job.Request {
		return &job.Request{Kind: "probe", Mode: job.Apply, Items: []json.RawMessage{json.RawMessage(`{"path":"` + p + `"}`)}}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan *job.Outcome)
	go func() {
		out, err := a.Do(ctx, req("go"), nil)
		if err != nil {
			t.Error(err)
		}
		done <- out
	}()
	var logs []string
	out, err := a.Do(t.Context(), req("stay"), func(p job.Progress) { logs = append(logs, p.Log) })
	if err != nil || out.Failure != nil || len(logs) != 2 || logs[1] != "here stay" {
		t.Errorf("%+v, %v, %q", out, err, logs)
	}
	cancel(errors.New("Ctrl-C twice"))
	if out := <-done; out == nil || out.Failure == nil || !out.Failure.Cancelled || out.Failure.Summary != "Ctrl-C twice" {
		t.Errorf("%+v", out)
	}
	if err := a.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheAgentEndsWithItsConnection(t *testing.T) {
	stopped := make(chan error, 1)
	up := make(chan struct{})
	a := start(t, func(ctx context.Context, p *probe, h task.Host) error {
		close(up)
		_, err := h.Run(ctx, task.Cmd("sleep", "60"))
		stopped <- err
		return err
	})
	failed := make(chan error)
	go func() {
		_, err := a.Do(t.Context(), &job.Request{Kind: "probe", Mode: job.Apply, Items: []json.RawMessage{nil}}, nil)
		failed <- err
	}()
	<-up
	a.stop() // returns when the agent has ended
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "connection") {
		t.Errorf("the program ended with %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request has an outcome")
	}
}

func TestHelloHasFacts(t *testing.T) {
	a := start(t, nil)
	if h := a.Hello(); h.Facts.BootID == "" || h.PID != os.Getpid() || h.Protocol != wire.Protocol {
		t.Errorf("%+v", h)
	}
}
