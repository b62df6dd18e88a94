package host

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

func machine() *Machine { return New(Options{Grace: 100 * time.Millisecond}) }

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteFileMakesReplacesAndFollows(t *testing.T) {
	m, dir := machine(), t.TempDir()
	path := filepath.Join(dir, "a")
	write := func(path, text string, a task.Attr) {
		t.Helper()
		if err := m.WriteFile(t.Context(), path, strings.NewReader(text), a); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "one", task.Attr{})
	if st, _ := m.Stat(t.Context(), path); st.Mode != 0o644 || read(t, path) != "one" {
		t.Errorf("new file: %v %q", st.Mode, read(t, path))
	}
	os.Chmod(path, 0o600|fs.ModeSetuid)
	write(path, "two", task.Attr{})
	if st, _ := m.Stat(t.Context(), path); st.Mode != 0o600|fs.ModeSetuid || read(t, path) != "two" {
		t.Errorf("kept: %v %q", st.Mode, read(t, path))
	}
	write(path, "three", task.Attr{Mode: 0o755})
	if st, _ := m.Stat(t.Context(), path); st.Mode != 0o755 {
		t.Errorf("given: %v", st.Mode)
	}
	link := filepath.Join(dir, "link")
	os.Symlink("a", link)
	write(link, "four", task.Attr{})
	if st, _ := m.Lstat(t.Context(), link); st.Target != "a" || read(t, path) != "four" {
		t.Errorf("through a link: target %q, %q", st.Target, read(t, path))
	}
	dangling := filepath.Join(dir, "dangling")
	os.Symlink(filepath.Join(dir, "made"), dangling)
	write(dangling, "five", task.Attr{})
	if read(t, filepath.Join(dir, "made")) != "five" {
		t.Error("a dangling link was not followed")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteFileKeepsAndSetsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m, path := machine(), filepath.Join(t.TempDir(), "a")
	os.WriteFile(path, nil, 0o640)
	os.Chown(path, 12, 34)
	if err := m.WriteFile(t.Context(), path, strings.NewReader("x"), task.Attr{}); err != nil {
		t.Fatal(err)
	}
	st, _ := os.Stat(path)
	if sys := st.Sys().(*syscall.Stat_t); sys.Uid != 12 || sys.Gid != 34 {
		t.Errorf("owner %d:%d", sys.Uid, sys.Gid)
	}
	if err := m.WriteFile(t.Context(), path, strings.NewReader("x"), task.Attr{Owner: "root", Group: "0"}); err != nil {
		t.Fatal(err)
	}
	if is, _ := m.Stat(t.Context(), path); is.Owner != "root" || is.Group != "root" {
		t.Errorf("owner %s:%s", is.Owner, is.Group)
	}
	err := m.WriteFile(t.Context(), path, strings.NewReader("y"), task.Attr{Owner: "no-such-user"})
	if err == nil || !strings.Contains(err.Error(), `no user "no-such-user"`) || read(t, path) != "x" {
		t.Errorf("unknown owner: %v, content %q", err, read(t, path))
	}
}

func TestAWriteThatFailsChangesNothing(t *testing.T) {
	m, dir := machine(), t.TempDir()
	path := filepath.Join(dir, "a")
	os.WriteFile(path, []byte("old"), 0o600)
	broken := errors.New("transfer broke off")
	err := m.WriteFile(t.Context(), path, io.MultiReader(strings.NewReader("new"), failing{broken}), task.Attr{})
	if err != broken {
		t.Errorf("error %v", err)
	}
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err = m.WriteFile(ctx, path, strings.NewReader("new"), task.Attr{}); err != cause {
		t.Errorf("error %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || read(t, path) != "old" {
		t.Errorf("%d files, content %q", len(entries), read(t, path))
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestErrorsOfFilesAreForPeopleAndPrograms(t *testing.T) {
	m, dir := machine(), t.TempDir()
	ctx := t.Context()
	_, err := m.ReadFile(ctx, filepath.Join(dir, "nothing"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err = m.WriteFile(ctx, filepath.Join(dir, "no/dir"), strings.NewReader(""), task.Attr{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := m.WriteFile(ctx, dir, strings.NewReader(""), task.Attr{}); !errors.Is(err, syscall.EISDIR) {
		t.Error(err)
	}
	if _, err := m.Stat(ctx, "relative"); err == nil {
		t.Error("a relative path was taken")
	}
	if err := m.Remove(ctx, "/"); err == nil {
		t.Fatal("would have removed /")
	}
	if _, err := m.ReadFile(ctx, dir); !errors.Is(err, syscall.EISDIR) {
		t.Error(err)
	}
	pipe := filepath.Join(dir, "pipe")
	syscall.Mkfifo(pipe, 0o600)
	if _, err := m.ReadFile(ctx, pipe); err == nil {
		t.Error("read a pipe without end")
	}
}

func TestWhatAPersonCanMendSaysHow(t *testing.T) {
	for errno, want := range map[error]string{
		syscall.ENOSPC: "MiB", syscall.EROFS: "read-only", syscall.EACCES: "root", syscall.EPERM: "root",
	} {
		err := explain("write", "/tmp/x", &fs.PathError{Op: "open", Path: "/tmp/.x.kflow-123", Err: errno})
		var f *task.Failure
		if !errors.As(err, &f) || !strings.Contains(f.Hint, want) || !errors.Is(err, errno) || strings.Contains(err.Error(), "kflow-123") {
			t.Errorf("%v: %v, hint %q", errno, err, f.Hint)
		}
	}
}

func TestNoSpaceLeft(t *testing.T) {
	m := machine()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	err := m.WriteFile(t.Context(), "/dev/full", strings.NewReader("x"), task.Attr{})
	var f *task.Failure
	if !errors.As(err, &f) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(f.Hint, "free some space") {
		t.Errorf("%v", err)
	}
}

func TestDirectoriesLinksAndRemoval(t *testing.T) {
	m, dir := machine(), t.TempDir()
	ctx := t.Context()
	deep := filepath.Join(dir, "a/b/c")
	for range 2 {
		if err := m.MkdirAll(ctx, deep, task.Attr{Mode: 0o750}); err != nil {
			t.Fatal(err)
		}
	}
	if st, _ := m.Stat(ctx, filepath.Join(dir, "a")); st.Mode.Perm() != 0o750 {
		t.Errorf("mode of what was made: %v", st.Mode)
	}
	link := filepath.Join(dir, "link")
	for _, to := range []string{"a", "a/b"} {
		if err := m.Symlink(ctx, to, link); err != nil {
			t.Fatal(err)
		}
		if st, _ := m.Lstat(ctx, link); st.Target != to {
			t.Errorf("link to %q, want %q", st.Target, to)
		}
	}
	if err := m.Symlink(ctx, "x", deep); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a directory was replaced by a link: %v", err)
	}
	if err := m.SetAttr(ctx, deep, task.Attr{Mode: 0o700}); err != nil {
		t.Fatal(err)
	}
	if err := m.Rename(ctx, deep, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Remove(ctx, filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := m.ReadDir(ctx, dir)
	if err != nil || len(entries) != 2 || entries[0].Name != "link" || entries[1].Name != "moved" || entries[1].Mode.Perm() != 0o700 {
		t.Errorf("%+v, %v", entries, err)
	}
	if found, _ := m.Glob(ctx, filepath.Join(dir, "m*")); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

func TestRunGivesCodeOutputAndABareEnvironment(t *testing.T) {
	m := machine()
	o, err := m.Run(t.Context(), task.Cmd("sh", "-c", "env | sort; pwd; echo err >&2; exit 3"))
	if err != nil || o.Code != 3 || o.Stderr != "err\n" || !strings.HasSuffix(o.Stdout, "\n/\n") {
		t.Errorf("%+v, %v", o, err)
	}
	for line := range strings.Lines(o.Stdout) {
		k, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.Contains(" HOME LC_ALL PATH PWD USER / _ SHLVL ", " "+k+" ") {
			t.Errorf("environment has %s", line)
		}
	}
	c := task.Cmd("cat").WithStdin("in").WithEnv("A=b")
	if o, err = m.Run(t.Context(), c); err != nil || o.Stdout != "in" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, _ = m.Run(t.Context(), task.Cmd("sh", "-c", "kill -9 $$")); o.Code != 137 {
		t.Errorf("killed: code %d", o.Code)
	}
	if o, err = m.Run(t.Context(), task.Cmd("true").WithStdin(strings.Repeat("x", 1<<20))); err != nil || o.Code != 0 {
		t.Errorf("input nobody read: %+v, %v", o, err)
	}
}

func TestRunOfWhatCannotRun(t *testing.T) {
	m, dir := machine(), t.TempDir()
	for _, argv := range [][]string{{"no-such-program"}, {filepath.Join(dir, "nothing")}} {
		if _, err := m.Run(t.Context(), task.Cmd(argv...)); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%v: %v", argv, err)
		}
	}
	plain := filepath.Join(dir, "plain")
	os.WriteFile(plain, nil, 0o600)
	_, err := m.Run(t.Context(), task.Cmd(plain))
	var f *task.Failure
	if !errors.As(err, &f) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("not executable: %v", err)
	}
	_, err = m.Run(t.Context(), task.Command{Argv: []string{"true"}, Dir: filepath.Join(dir, "nowhere")})
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("no such directory: %v", err)
	}
}

// The whole group goes: also children, and those that ignore SIGTERM.
func TestTheEndOfTheContextEndsTheGroup(t *testing.T) {
	m := machine()
	pidFile := filepath.Join(t.TempDir(), "pid")
	cause := errors.New("timed out")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := task.Cmd("sh", "-c", "trap '' TERM; sleep 60 & echo $! > "+pidFile+"; echo up; wait; sleep 60").Streamed()
	h := m.Bind(func(p job.Progress) {
		if p.Output == "up" {
			cancel(cause)
		}
	})
	_, err := h.Run(ctx, c)
	if err != cause {
		t.Errorf("error %v", err)
	}
	awaitEnd(t, strings.TrimSpace(read(t, pidFile)))
	if _, err := m.Run(ctx, task.Cmd("true")); err != cause {
		t.Errorf("a command under an ended context: %v", err)
	}
}

// A daemon that inherits the output does not hold the command up.
func TestADaemonLeftBehindIsNotWaitedFor(t *testing.T) {
	m := machine()
	start := time.Now()
	o, err := m.Run(t.Context(), task.Cmd("sh", "-c", "echo out; sleep 5 & exit 4"))
	if err != nil || o.Code != 4 || o.Stdout != "out\n" || time.Since(start) > 4*time.Second {
		t.Errorf("%+v, %v after %v", o, err, time.Since(start))
	}
}

func TestOutputIsCappedInTheMiddle(t *testing.T) {
	m := machine()
	c := task.Cmd("sh", "-c", "echo begin; head -c 100000 /dev/zero | tr '\\0' x; echo end")
	c.MaxBytes = 100
	o, err := m.Run(t.Context(), c)
	if err != nil || !strings.HasPrefix(o.Stdout, "begin\n... 99955 bytes cut ...\nxxx") || !strings.HasSuffix(o.Stdout, "xxxend\n") {
		t.Errorf("%q, %v", o.Stdout, err)
	}
}

func TestCaptureAnyPieces(t *testing.T) {
	text := strings.Repeat("0123456789\n", 50)
	for _, size := range []int{1, 3, 7, 64, 1000} {
		for _, cap := range []int{10, 100, 549, 550, 551} {
			var lines []string
			c := newCapture(cap, func(l string) { lines = append(lines, l) })
			for p := []byte(text); len(p) > 0; p = p[min(size, len(p)):] {
				c.Write(p[:min(size, len(p))])
			}
			got := c.finish()
			whole := (cap + 1) / 2 / 11 * 11
			if !strings.HasPrefix(got, text[:whole]) || !strings.HasSuffix(got, text[len(text)-whole:]) || len(lines) != 50 {
				t.Fatalf("pieces of %d, cap %d: %d lines, %q", size, cap, len(lines), got)
			}
			if cap >= len(text) && got != text {
				t.Fatalf("cap %d cut what fits", cap)
			}
		}
	}
}

func TestOnlyStreamingProgramsAreHeard(t *testing.T) {
	var lines []string
	var mu sync.Mutex
	h := machine().Bind(func(p job.Progress) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, p.Output+p.Log)
	})
	script := task.Cmd("sh", "-c", `printf '10%%\r20%%\rdone\nlast'`)
	h.Run(t.Context(), script)
	secret := script.Streamed()
	secret.Secret = true
	h.Run(t.Context(), secret)
	if len(lines) != 0 {
		t.Errorf("heard %q", lines)
	}
	h.Run(t.Context(), script.Streamed())
	h.Log("log")
	if got := strings.Join(lines, "|"); got != "10%|20%|done|last|log" {
		t.Errorf("heard %q", got)
	}
}

func TestNamesFollowTheirFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	os.WriteFile(file, []byte("root:x:0:0::/root:/bin/sh\n"), 0o600)
	n := newNames(file, file)
	if n.users.name(0) != "root" || n.users.name(71) != "71" {
		t.Errorf("%q %q", n.users.name(0), n.users.name(71))
	}
	os.WriteFile(file, []byte("root:x:0:0::/root:/bin/sh\nkube:x:71:71::/:/bin/false\ntoor:x:0:0::/:\n"), 0o600)
	if id, err := n.users.id("kube"); id != 71 || err != nil || n.users.name(71) != "kube" || n.users.name(0) != "root" {
		t.Errorf("%d %v", id, err)
	}
}

func TestProxiesOfTheMachine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "environment")
	os.WriteFile(file, []byte("PATH=/bin\nexport https_proxy=\"http://proxy:3128\"\nno_proxy=10.0.0.0/8\n"), 0o600)
	t.Setenv("https_proxy", "")
	t.Setenv("no_proxy", "mine")
	if err := UseProxies(file); err != nil || os.Getenv("https_proxy") != "http://proxy:3128" || os.Getenv("no_proxy") != "mine" {
		t.Errorf("%v %q %q", err, os.Getenv("https_proxy"), os.Getenv("no_proxy"))
	}
	if err := UseProxies(file + "x"); err != nil {
		t.Error(err)
	}
}
