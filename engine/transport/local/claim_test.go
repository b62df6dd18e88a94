package local

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/transport"
)

// dialAs dials this machine for a run.
func dialAs(t *testing.T, run string, shared bool) (transport.Conn, error) {
	t.Helper()
	d := New(Options{Registry: registry(), Agent: agent(), Session: t.Name() + run, RunDir: os.Getenv("TEST_LOCKS"),
		Claim: &wire.Claim{Key: run, Run: run, User: "ops", Host: "here"}})
	c, err := d.Dial(t.Context(), transport.Target{Name: "h1", Shared: shared})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestThisMachineIsOfOneRunAtATime(t *testing.T) {
	t.Setenv("TEST_LOCKS", t.TempDir())
	first, err := dialAs(t, "one", false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = dialAs(t, "two", false)
	if u, ok := transport.AsUnreachable(err); !ok || u.Stage != transport.Locked || !strings.Contains(err.Error(), "h1: in use by run one (ops, ") {
		t.Errorf("%v", err)
	}
	if _, err := dialAs(t, "two", true); err != nil {
		t.Errorf("as the controller: %v", err)
	}
	again, err := dialAs(t, "one", false) // the agent of first is ended, as that of a killed kflow
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	again.Close()
	if _, err := dialAs(t, "two", false); err != nil {
		t.Error(err)
	}
}

// TestWhatAKilledAgentOfAnotherRunHasLeft: its lock is free, and its program must not go on beside those of the next run.
func TestWhatAKilledAgentOfAnotherRunHasLeft(t *testing.T) {
	t.Setenv("TEST_LOCKS", t.TempDir())
	file := filepath.Join(t.TempDir(), "pid")
	c, err := dialAs(t, "one", false)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Do(context.Background(), request("hold", map[string]string{"file": file}), nil)
	}()
	var pid string
	eventually(t, "its program runs, and is noted", func() bool {
		b, _ := os.ReadFile(file)
		pid = strings.TrimSpace(string(b))
		notes, _ := filepath.Glob(filepath.Join(os.Getenv("TEST_LOCKS"), "sessions", "*.programs", pid))
		return pid != "" && len(notes) == 1
	})
	c.(*agentConn).live.kill()
	<-done
	if _, err := dialAs(t, "two", false); err != nil {
		t.Fatal(err)
	}
	group, err := strconv.Atoi(pid)
	if left := runningIn(t, group); err != nil || len(left) > 0 {
		t.Errorf("another run works on the host, and of the killed agent's programs still run %v (%v)", left, err)
	}
}
