package local

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
)

// put writes content into a file; reboot takes its host down, or wants nothing.
type put struct {
	Path    string       `json:"path"`
	Content task.Content `json:"content"`
}

func (p *put) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if p.Path == "wait" {
		return nil, h.Sleep(ctx, time.Hour)
	}
	if _, err := h.Stat(ctx, p.Path); err == nil {
		return nil, nil
	}
	return []task.Change{{Summary: "write", Apply: func(ctx context.Context, h task.Host) error {
		r, err := h.Open(ctx, p.Content)
		if err != nil {
			return err
		}
		defer r.Close()
		return h.WriteFile(ctx, p.Path, r, task.Attr{})
	}}}, nil
}

type reboot struct {
	Needed bool `json:"needed"`
}

func (*reboot) Action() bool                 { return true }
func (*reboot) RebootTimeout() time.Duration { return time.Minute }
func (r *reboot) Changes(context.Context, task.Host) ([]task.Change, error) {
	if !r.Needed {
		return nil, nil
	}
	return []task.Change{{Summary: "reboot", Apply: func(context.Context, task.Host) error { panic("would reboot") }}}, nil
}

func connect(t *testing.T) (transport.Conn, *controller.Controller, string) {
	t.Helper()
	dir := t.TempDir()
	ctl := controller.New(controller.Options{Dir: dir})
	t.Cleanup(func() { ctl.Close() })
	reg := task.NewRegistry(task.Kind{Name: "put", New: func() task.Task { return &put{} }},
		task.Kind{Name: "reboot", New: func() task.Task { return &reboot{} }})
	c, err := New(Options{Registry: reg, Controller: ctl, Contents: ctl}).Dial(t.Context(), transport.Target{Name: "localhost", Connection: transport.Local})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, ctl, dir
}

func request(kind string, params any) *job.Request {
	b, _ := json.Marshal(params)
	return &job.Request{Kind: kind, Mode: job.Apply, Items: []json.RawMessage{b}}
}

func TestContentOfTheController(t *testing.T) {
	c, ctl, dir := connect(t)
	os.WriteFile(filepath.Join(dir, "source"), []byte("content"), 0o600)
	is, _ := ctl.AddFile("source")
	out, err := c.Do(t.Context(), request("put", map[string]any{"path": filepath.Join(dir, "to"), "content": is}), nil)
	if err != nil || out.Failure != nil || !out.Applied {
		t.Fatalf("%+v, %v", out, err)
	}
	f, _ := os.Open(filepath.Join(dir, "to"))
	defer f.Close()
	if b, _ := io.ReadAll(f); string(b) != "content" || c.Facts().Kernel == "" {
		t.Errorf("%q, %+v", b, c.Facts())
	}
}

func TestTheMachineKflowRunsOnIsNotTakenDown(t *testing.T) {
	c, _, _ := connect(t)
	out, err := c.Do(t.Context(), request("reboot", map[string]bool{"needed": true}), nil)
	if err != nil || out.Failure == nil || !strings.Contains(out.Failure.Summary, "machine it runs on") {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err = c.Do(t.Context(), request("reboot", map[string]bool{}), nil); err != nil || out.Failure != nil {
		t.Errorf("not needed: %+v, %v", out, err)
	}
}

func TestCloseCancelsWhatRuns(t *testing.T) {
	c, _, _ := connect(t)
	done := make(chan *job.Outcome)
	go func() {
		out, _ := c.Do(t.Context(), request("put", map[string]string{"path": "wait"}), nil)
		done <- out
	}()
	for {
		select {
		case out := <-done:
			if out != nil && (out.Failure == nil || !out.Failure.Cancelled) {
				t.Errorf("%+v", out)
			}
			if _, err := c.Do(t.Context(), request("put", nil), nil); !errors.Is(err, errClosed) {
				t.Error(err)
			}
			return
		default:
			c.Close()
		}
	}
}

func TestBecomeNeedsRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("is root")
	}
	_, err := New(Options{}).Dial(t.Context(), transport.Target{Name: "localhost", Become: true})
	if u, ok := transport.AsUnreachable(err); !ok || u.Stage != transport.Sudo {
		t.Error(err)
	}
}
