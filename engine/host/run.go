package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/task"
)

const (
	defaultMaxBytes = 1 << 20
	searchPath      = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// orphanDelay is how long output is awaited from what a program left running behind it.
	orphanDelay = 500 * time.Millisecond
)

// run carries out c. emit gets the output lines of a program that streams.
func (m *Machine) run(ctx context.Context, c task.Command, emit func(string)) (task.Output, error) {
	if ctx.Err() != nil {
		return task.Output{}, context.Cause(ctx)
	}
	if len(c.Argv) == 0 {
		return task.Output{}, errors.New("a command without argv")
	}
	cmd, err := m.command(c)
	if err != nil {
		return task.Output{}, err
	}
	if !c.Stream || c.Secret {
		emit = nil
	}
	stdout, stderr := newCapture(c.MaxBytes, emit), newCapture(c.MaxBytes, emit)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return task.Output{}, startError(c, err)
	}
	ended := func() {}
	if m.o.Started != nil && !c.ReadOnly {
		ended = m.o.Started(cmd.Process.Pid)
	}
	stop := m.killer(ctx, cmd.Process.Pid)
	err = cmd.Wait()
	stop()
	ended()
	out := task.Output{Stdout: stdout.finish(), Stderr: stderr.finish()}
	out.Code, err = exitCode(cmd, err)
	if err == nil && ctx.Err() != nil && out.Code != 0 {
		return out, context.Cause(ctx)
	}
	return out, err
}

func (m *Machine) command(c task.Command) (*exec.Cmd, error) {
	env := append(baseEnv(), c.Env...)
	path, err := lookPath(c.Argv[0], env)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: path, Args: c.Argv, Env: env, Dir: orRoot(c.Dir), Stdin: c.Stdin,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		WaitDelay:   orphanDelay,
	}, nil
}

func orRoot(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}

// baseEnv is the environment of every program: that of the user we run as, in a locale all programs know.
func baseEnv() []string {
	home, user := "/root", "root"
	if os.Geteuid() != 0 {
		home, user = os.Getenv("HOME"), os.Getenv("USER")
	}
	return []string{"PATH=" + searchPath, "HOME=" + home, "USER=" + user, "LC_ALL=C.UTF-8"}
}

// lookPath finds a program in the PATH the program itself will have.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	dirs := searchPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			dirs = v
		}
	}
	for _, dir := range filepath.SplitList(dirs) {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func startError(c task.Command, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if c.Dir != "" {
			if _, serr := os.Stat(c.Dir); serr != nil {
				return fmt.Errorf("run `%s`: directory %s: %w", c, c.Dir, serr)
			}
		}
		return &exec.Error{Name: c.Argv[0], Err: exec.ErrNotFound}
	case errors.Is(err, fs.ErrPermission):
		return task.Failf("run `%s`: %w", c, err).WithHint("is %s executable, and its file system not mounted noexec?", c.Argv[0])
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("run %s: the command line is too long: %w", c.Argv[0], err)
	}
	return fmt.Errorf("run `%s`: %w", c, err)
}

// killer ends the process group of pid when ctx ends; the function it returns stops that and waits for it to stop, so
// that no signal reaches a number that belongs to somebody else.
func (m *Machine) killer(ctx context.Context, pid int) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		_ = syscall.Kill(-pid, syscall.SIGTERM)
		grace := time.NewTimer(m.o.Grace)
		defer grace.Stop()
		select {
		case <-done: // the program is gone; what it left in its group goes too
		case <-grace.C:
		}
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}()
	return func() { close(done); <-stopped }
}

// exitCode makes the code a shell would see of how a program ended.
func exitCode(cmd *exec.Cmd, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		if cmd.ProcessState == nil {
			return -1, err
		}
		// copying input or output failed (the program did not read all its input, for example): its end counts
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
