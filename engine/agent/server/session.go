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

const (
	// takeOverLimit is how long an agent of an earlier connection may take to end; it gives its programs a grace period. After
	// that it is killed (it was stopped, or hangs), and what it leaves running is ended by its successor.
	takeOverLimit = 30 * time.Second
	takeOverPoll  = 100 * time.Millisecond
)

// takeOver makes this agent the only one of its session. kflow may have lost a connection whose agent does not know it
// yet, or may have been killed and started again: what that agent runs must have ended before kflow looks at the host
// anew. The lock is one of the kernel: it ends with the process that holds it, however that ends.
func takeOver(ctx context.Context, o Options, out io.Writer) (release func(), err error) {
	if o.Session == "" || o.sessions() == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(o.sessions(), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(o.sessions(), filepath.Base(o.Session)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(ctx, f, takeOverLimit, o.Nonce, out); err != nil {
		f.Close()
		return nil, err
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid()))); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// sessions is the directory of sessions; "" = none. It is best in memory: an agent must start on a full disk, to tell of it.
func (o Options) sessions() string {
	switch {
	case o.RunDir != "":
		return filepath.Join(o.RunDir, "sessions")
	case o.Dir != "":
		return filepath.Join(o.Dir, "sessions")
	}
	return ""
}

// programs are those of the session, where it has a place to note them.
func (o Options) programs() programs {
	if o.Session == "" || o.sessions() == "" {
		return programs{}
	}
	dir := filepath.Join(o.sessions(), filepath.Base(o.Session)+".programs")
	if os.MkdirAll(dir, 0o700) != nil {
		return programs{}
	}
	return programs{dir}
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// lock locks f, ending the agent that holds it, which has so long for that.
func lock(ctx context.Context, f *os.File, limit time.Duration, nonce string, out io.Writer) error {
	begin, told := time.Now(), time.Time{}
	for asked, killed := 0, false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		pid := holder(f)
		if pid != asked && isAgentOf(pid, filepath.Base(f.Name())) {
			asked = pid
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		if time.Since(told) > time.Second { // so that kflow does not take us for hanging
			told = time.Now()
			if _, err := io.WriteString(out, wire.Marker(nonce, "busy")); err != nil {
				return err
			}
		}
		past := time.Since(begin)
		if past > limit && !killed && isAgentOf(pid, filepath.Base(f.Name())) {
			killed = true
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if past > limit+killWait || ctx.Err() != nil {
			return fmt.Errorf("the agent of an earlier connection (pid %d) does not end", pid)
		}
		select {
		case <-time.After(takeOverPoll):
		case <-ctx.Done(): // said above
		}
	}
}

// holder is the process that wrote its number into f.
func holder(f *os.File) int {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid
}

// isAgentOf tells whether a process is an agent of a session: the number in the file could be an old one that another
// process has now.
func isAgentOf(pid int, session string) bool {
	if pid <= 1 || pid == os.Getpid() {
		return false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(cmdline), "\x00"+session)
}

// pruneSessions removes what sessions of long ago have left.
func pruneSessions(dir string, age time.Duration) {
	if dir == "" {
		return
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		if st, err := os.Stat(file); err == nil && time.Since(st.ModTime()) > age {
			os.Remove(file)
		}
	}
}
