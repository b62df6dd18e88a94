package server

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// program starts a shell that leads a group of its own.
func program(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return cmd
}

func gone(pid int) bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }

func TestWhatAKilledAgentLeftRunningIsEnded(t *testing.T) {
	p := programs{t.TempDir()}
	soft := program(t, "sleep 600; true")
	hard := program(t, "trap '' TERM; while :; do sleep 600; done")
	ended := program(t, "sleep 600; true")
	earlier := program(t, "sleep 600; true") // noted before the machine was started anew
	reused := program(t, "sleep 600; true")  // by now the number of another
	for _, cmd := range []*exec.Cmd{soft, hard, ended, reused, earlier} {
		end := p.started(cmd.Process.Pid)
		if cmd == ended {
			end()
		}
	}
	if err := os.WriteFile(filepath.Join(p.dir, strconv.Itoa(reused.Process.Pid)), []byte(bootID()+" 12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, strconv.Itoa(earlier.Process.Pid)), []byte("another "+startOf(earlier.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(p.dir, "notes")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := endLeft(t.Context(), []programs{p}, 300*time.Millisecond, "N", io.Discard); err != nil {
		t.Fatal(err)
	}
	for what, cmd := range map[string]*exec.Cmd{"one that ends when it is asked": soft, "one that does not": hard} {
		if runs(cmd.Process.Pid, note(cmd.Process.Pid)) {
			t.Errorf("%s still runs", what)
		}
	}
	if gone(ended.Process.Pid) || gone(reused.Process.Pid) || gone(earlier.Process.Pid) {
		t.Error("a program was ended that was not left by an agent")
	}
	if p.close(); len(p.left()) > 0 {
		t.Error("something is left")
	}
	if left, _ := os.ReadDir(p.dir); len(left) != 1 || left[0].Name() != filepath.Base(foreign) {
		t.Errorf("in the directory: %v", left)
	}
}

func TestAgentsWithoutASessionNoteNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("4711", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := Options{}.programs()
	p.started(os.Getpid())()
	if err := endLeft(t.Context(), []programs{p}, time.Second, "N", io.Discard); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("4711"); err != nil {
		t.Error("what is not ours was taken away")
	}
}

// An agent that has the host for its run alone ends what killed agents of other runs have left, not what others run.
func TestProgramsOfOtherSessions(t *testing.T) {
	o := Options{RunDir: t.TempDir(), Session: "mine"}
	alive := Options{RunDir: o.RunDir, Session: "alive"}
	release, err := takeOver(t.Context(), alive, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	groups := map[string]int{}
	for _, session := range []string{"mine", "alive", "killed", "unknown"} {
		p := Options{RunDir: o.RunDir, Session: session}.programs()
		cmd := program(t, "sleep 600; true")
		p.started(cmd.Process.Pid)
		groups[session] = cmd.Process.Pid
	}
	if err := os.WriteFile(filepath.Join(o.sessions(), "killed"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := endLeft(t.Context(), o.abandoned(), time.Second, "N", io.Discard); err != nil {
		t.Fatal(err)
	}
	for session, want := range map[string]bool{"mine": true, "alive": true, "killed": false, "unknown": true} {
		if pid := groups[session]; runs(pid, note(pid)) != want {
			t.Errorf("of session %s it runs: %v", session, !want)
		}
	}
}
