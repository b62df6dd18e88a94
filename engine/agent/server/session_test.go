package server

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// holding is a process that has the lock of a session, as an agent has it, and runs a script then.
func holding(t *testing.T, file, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", `exec 9<>"$1"; flock 9; `+script+`; echo ready; while :; do sleep 0.1; done`, "sh", file, filepath.Base(file))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatal(line, err)
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// An agent of an earlier connection that was stopped, or hangs, does not keep its host from the next one for ever.
func TestAnAgentThatDoesNotEndIsKilled(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("there is no flock here")
	}
	for name, script := range map[string]string{"ends": "true", "ignores": "trap '' TERM"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "0123456789abcdef")
			cmd := holding(t, file, script)
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			begin := time.Now()
			if err := lock(t.Context(), f, time.Second, "N", io.Discard); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); (took > time.Second) != (name == "ignores") {
				t.Errorf("after %v", took)
			}
			cmd.Wait()
		})
	}
}

// A process that has the number of an agent of long ago is left alone.
func TestWhoeverElseHasTheLockIsNotEnded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "0123456789abcdef")
	keeps, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer keeps.Close()
	stranger := program(t, "sleep 600; true")
	if _, err := keeps.WriteString(strconv.Itoa(stranger.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(keeps.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(t.Context(), f, 100*time.Millisecond-killWait, "N", io.Discard); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Error(err)
	}
	if gone(stranger.Process.Pid) || !runs(stranger.Process.Pid, note(stranger.Process.Pid)) {
		t.Error("it was ended")
	}
}
