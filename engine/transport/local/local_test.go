package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/agent/program"
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

// hold runs a program that does not end by itself, and says which process it is.
type hold struct {
	File string `json:"file"`
}

func (*hold) Action() bool { return true }
func (p *hold) Changes(context.Context, task.Host) ([]task.Change, error) {
	return []task.Change{{Summary: "hold", Apply: func(ctx context.Context, h task.Host) error {
		_, err := task.Must(ctx, h, task.Cmd("sh", "-c", `echo $$ >"$0.new" && mv "$0.new" "$0" && sleep 600; true`, p.File))
		return err
	}}}, nil
}

func registry() *task.Registry {
	return task.NewRegistry(task.Kind{Name: "put", New: func() task.Task { return &put{} }},
		task.Kind{Name: "reboot", New: func() task.Task { return &reboot{} }}, task.Kind{Name: "hold", New: func() task.Task { return &hold{} }})
}

// TestMain makes this program an agent, or a kflow that carries one task out, when it is called so.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "agent":
		err := program.Run(context.Background(), program.Options{Registry: registry(), Version: "test", LockDir: os.Getenv("TEST_LOCKS")}, os.Args[2:], os.Stdin, os.Stdout)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) > 1 && os.Args[1] == "carrier":
		c, err := New(Options{Registry: registry(), Agent: agent(), Session: os.Args[2]}).Dial(context.Background(), transport.Target{Name: "here"})
		if err == nil {
			_, err = c.Do(context.Background(), request("hold", map[string]string{"file": os.Args[3]}), nil)
		}
		fmt.Fprintln(os.Stderr, err)
	default:
		os.Exit(m.Run())
	}
}

func agent() []string { return []string{"/proc/self/exe", "local.test", "agent"} }

// both runs a test with an agent, and in this process.
func both(t *testing.T, f func(t *testing.T, agent []string)) {
	t.Run("agent", func(t *testing.T) { f(t, agent()) })
	t.Run("in process", func(t *testing.T) { f(t, nil) })
}

func connect(t *testing.T, agent []string) (transport.Conn, *controller.Controller, string) {
	t.Helper()
	dir := t.TempDir()
	ctl := controller.New(controller.Options{Dir: dir})
	t.Cleanup(func() { ctl.Close() })
	c, err := New(Options{Registry: registry(), Controller: ctl, Contents: ctl, Agent: agent, Session: t.Name()}).
		Dial(t.Context(), transport.Target{Name: "localhost", Connection: transport.Local})
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
	both(t, func(t *testing.T, agent []string) {
		c, ctl, dir := connect(t, agent)
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
	})
}

func TestTheMachineKflowRunsOnIsNotTakenDown(t *testing.T) {
	both(t, func(t *testing.T, agent []string) {
		c, _, _ := connect(t, agent)
		out, err := c.Do(t.Context(), request("reboot", map[string]bool{"needed": true}), nil)
		if err != nil || out.Failure == nil || !strings.Contains(out.Failure.Summary, "machine it runs on") {
			t.Errorf("%+v, %v", out, err)
		}
		if out, err = c.Do(t.Context(), request("reboot", map[string]bool{}), nil); err != nil || out.Failure != nil {
			t.Errorf("not needed: %+v, %v", out, err)
		}
	})
}

func TestCloseCancelsWhatRuns(t *testing.T) {
	both(t, func(t *testing.T, agent []string) {
		c, _, _ := connect(t, agent)
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
	})
}

// TestWhatRunsEndsWithItsKflow: killed, it leaves nothing running beside the kflow that goes on.
func TestWhatRunsEndsWithItsKflow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	carrier := exec.Command("/proc/self/exe", "carrier", t.Name(), file)
	carrier.Stderr = os.Stderr
	if err := carrier.Start(); err != nil {
		t.Fatal(err)
	}
	defer carrier.Process.Kill()
	var pid int
	eventually(t, "its program runs", func() bool {
		b, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		return err == nil
	})
	carrier.Process.Kill()
	carrier.Wait()
	next, err := New(Options{Registry: registry(), Agent: agent(), Session: t.Name()}).Dial(t.Context(), transport.Target{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if left := runningIn(t, pid); len(left) > 0 {
		t.Errorf("the next kflow has begun, and of the one before still runs %v", left)
	}
}

func TestAnAgentThatIsKilledIsStartedAgain(t *testing.T) {
	c, _, dir := connect(t, agent())
	file := filepath.Join(dir, "pid")
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(t.Context(), request("hold", map[string]string{"file": file}), nil)
		done <- err
	}()
	var pid string
	eventually(t, "its program runs, and is noted", func() bool {
		b, _ := os.ReadFile(file)
		pid = strings.TrimSpace(string(b))
		notes, _ := filepath.Glob(filepath.Join(runDir(), "sessions", "*.programs", pid))
		return pid != "" && len(notes) == 1
	})
	c.(*agentConn).live.kill()
	err := <-done
	if u, ok := transport.AsUnreachable(err); !ok || u.Stage != transport.Lost || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v", err)
	}
	if out, err := c.Do(t.Context(), request("put", map[string]string{"path": "/etc/hostname"}), nil); err != nil || out.Failure != nil {
		t.Errorf("%+v, %v", out, err)
	}
	group, err := strconv.Atoi(pid)
	if left := runningIn(t, group); err != nil || len(left) > 0 {
		t.Errorf("another agent works on the host, and of the killed one's programs still run %v (%v)", left, err)
	}
}

func TestAProgramThatIsNoAgent(t *testing.T) {
	_, err := New(Options{Registry: registry(), Agent: []string{"/bin/sh", "sh", "-c", "echo no such thing >&2; exit 3"}}).Dial(t.Context(), transport.Target{Name: "here"})
	if u, ok := transport.AsUnreachable(err); !ok || u.Stage != transport.Agent || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("error %v", err)
	}
}

// runningIn are the processes of a group that have not ended.
func runningIn(t *testing.T, group int) (left []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		name, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 2 && f[0] != "Z" && f[2] == strconv.Itoa(group) {
			left = append(left, name+")")
		}
	}
	return left
}

// eventually waits until something is so, in real time: it is about processes.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); ; {
		if is() {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("after 30s still not: %s", what)
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
