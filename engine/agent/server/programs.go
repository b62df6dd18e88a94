package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/agent/wire"
)

// programs are those that an agent runs, one file each in a directory of the session, named by process group. An agent
// ends its programs itself; where it is killed (out of memory, by hand) they go on without it, and the next agent of the
// session finds them here.
type programs struct{ dir string }

// killWait is how long what was killed may take to be gone.
const killWait = 5 * time.Second

// started notes a program, by the process that leads its group, until the function it returns is called. Where the note
// can't be kept (a full disk) there is none.
func (p programs) started(pid int) (ended func()) {
	if p.dir == "" {
		return func() {}
	}
	file := filepath.Join(p.dir, strconv.Itoa(pid))
	_ = os.WriteFile(file, []byte(note(pid)), 0o600)
	return func() { os.Remove(file) }
}

// close takes the directory away, unless a program of this agent still runs.
func (p programs) close() {
	if p.dir != "" {
		os.Remove(p.dir) // only where it is empty
	}
}

// abandoned are the programs of all sessions but this one whose agent is no more.
func (o Options) abandoned() (all []programs) {
	if o.sessions() == "" {
		return nil
	}
	dirs, _ := filepath.Glob(filepath.Join(o.sessions(), "*.programs"))
	for _, dir := range dirs {
		p, session := programs{dir}, strings.TrimSuffix(dir, ".programs")
		if filepath.Base(session) != filepath.Base(o.Session) && len(p.left()) > 0 && unlocked(session) {
			all = append(all, p)
		}
	}
	return all
}

// unlocked tells whether no agent has the lock of a session. Where that can't be told one may have it.
func unlocked(session string) bool {
	f, err := os.Open(session)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
}

// leftOf are the groups that still run.
func leftOf(all []programs) (groups []int) {
	for _, p := range all {
		groups = append(groups, p.left()...)
	}
	return groups
}

// endLeft ends what agents before this one have left running. It tells kflow meanwhile that it is busy.
func endLeft(ctx context.Context, all []programs, grace time.Duration, nonce string, out io.Writer) error {
	left := leftOf(all)
	if len(left) == 0 {
		return nil
	}
	begin, told := time.Now(), time.Time{}
	signalAll(left, syscall.SIGTERM)
	for killed := false; len(left) > 0; left = leftOf(all) {
		if past := time.Since(begin); !killed && past > grace {
			killed = true
			signalAll(left, syscall.SIGKILL)
		} else if past > grace+killWait {
			return fmt.Errorf("a program of an earlier agent does not end (process group %d)", left[0])
		}
		if time.Since(told) > time.Second {
			told = time.Now()
			if _, err := io.WriteString(out, wire.Marker(nonce, "busy")); err != nil {
				return err
			}
		}
		select {
		case <-time.After(takeOverPoll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func signalAll(groups []int, s syscall.Signal) {
	for _, group := range groups {
		_ = syscall.Kill(-group, s) // it may have ended
	}
}

// left are the groups that were noted and still run. Notes of others are taken away.
func (p programs) left() (groups []int) {
	if p.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		group, err := strconv.Atoi(e.Name())
		if err != nil || group <= 1 {
			continue // not ours
		}
		file := filepath.Join(p.dir, e.Name())
		if text, err := os.ReadFile(file); err == nil && runs(group, string(text)) {
			groups = append(groups, group)
			continue
		}
		os.Remove(file)
	}
	return groups
}

// runs tells whether a process group still is the one that was noted: its leader is the same process, or has ended, and
// while others of the group are there the kernel gives its number to nobody else.
func runs(group int, noted string) bool {
	boot, start, _ := strings.Cut(noted, " ")
	if now := startOf(group); boot != bootID() || now != "" && now != start {
		return false
	}
	if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		return false
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // it may be that all have ended, and nobody has noticed yet
	for _, file := range files {
		if f := statOf(file); f != nil && f[0] != "Z" && f[2] == strconv.Itoa(group) {
			return true
		}
	}
	return false
}

// note is what tells a process from another of the same number: when it began, and in which life of the machine.
func note(pid int) string { return bootID() + " " + startOf(pid) }

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}

// startOf is when a process began, in the kernel's own measure; "" = there is none, or it has ended and waits to be noticed.
func startOf(pid int) string {
	f := statOf(fmt.Sprintf("/proc/%d/stat", pid))
	if f == nil || f[0] == "Z" {
		return ""
	}
	return f[19]
}

// statOf is what the kernel says of a process, from its state on; nil = there is none.
func statOf(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	end := strings.LastIndex(string(b), ") ") // a name may hold anything
	if f := strings.Fields(string(b[end+1:])); end > 0 && len(f) >= 20 {
		return f
	}
	return nil
}
