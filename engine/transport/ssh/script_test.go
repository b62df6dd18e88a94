package ssh

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/agent/server"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
)

// TestMain lets this test program be the agent: the script of the dialer installs and starts it under the agent's name.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "agent-") {
		actAsAgent(os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

func actAsAgent(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := server.Options{Registry: task.NewRegistry(task.Kind{Name: "copy", New: func() task.Task { return &copyKind{} }})}
	for i := 0; i+1 < len(args); i += 2 {
		switch args[i] {
		case "--nonce":
			o.Nonce = args[i+1]
		case "--sha256":
			o.SHA256 = args[i+1]
		case "--dir":
			o.Dir, o.LockDir = args[i+1], args[i+1]
		case "--session":
			o.Session = args[i+1]
		case "--claim":
			o.Claim = &wire.Claim{}
			if wire.ParseWord(args[i+1], o.Claim) != nil {
				os.Exit(2)
			}
		}
	}
	if err := server.Serve(ctx, o, os.Stdin, os.Stdout); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// copyKind writes content into a file.
type copyKind struct {
	Path    string       `json:"path"`
	Content task.Content `json:"content"`
}

func (c *copyKind) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if st, err := h.Stat(ctx, c.Path); err == nil && st.Size == c.Content.Size {
		return nil, nil
	}
	return []task.Change{{Summary: "write " + c.Path, Apply: func(ctx context.Context, h task.Host) error {
		r, err := h.Open(ctx, c.Content)
		if err != nil {
			return err
		}
		defer r.Close()
		return h.WriteFile(ctx, c.Path, r, task.Attr{})
	}}}, nil
}

// selfAgent is this test program as an agent, packed once, and not compressed since that takes long.
var selfAgent = sync.OnceValues(func() (binaries.Binary, error) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return binaries.Binary{}, err
	}
	var buf bytes.Buffer
	sum := sha256.Sum256(program)
	w, err := gzip.NewWriterLevel(&buf, gzip.NoCompression)
	if err != nil {
		return binaries.Binary{}, err
	}
	w.Comment = hex.EncodeToString(sum[:])
	w.Write(program)
	err = w.Close()
	return binaries.Binary{SHA256: w.Comment, Data: buf.Bytes()}, err
})

// realShell runs commands of sessions in a real shell whose PATH and HOME are of the test.
func realShell(shell, home, path string) func(string, gossh.Channel) int {
	return func(command string, ch gossh.Channel) int {
		cmd := exec.Command(shell, "-c", command)
		cmd.Env = []string{"HOME=" + home, "PATH=" + path}
		cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
		in, err := cmd.StdinPipe()
		if err != nil || cmd.Start() != nil {
			return 255
		}
		go func() { io.Copy(in, ch); in.Close() }()
		if cmd.Wait() == nil {
			return 0
		}
		return cmd.ProcessState.ExitCode()
	}
}

const fakeSudo = `#!/bin/sh
echo "$@" >> "$HOME/sudo.log"
case $1 in
-n) [ -e "$HOME/nopasswd" ] || { echo "sudo: a password is required" >&2; exit 1; }; shift 2;;
-S) p=$3; shift 4
	if [ ! -e "$HOME/nopasswd" ]; then
		printf %s "$p" >&2; read -r pw
		[ "$pw" = "it's \"me\"" ] || { echo "Sorry, try again." >&2; printf %s "$p" >&2; read -r pw; exit 1; }
	fi;;
esac
exec "$@"
`

// The whole way: the real script in a real shell, the real agent code in a process of its own, real files.
func TestTheWholeWay(t *testing.T) {
	if testing.Short() {
		t.Skip("packs and starts this program several times")
	}
	l := newLab(t)
	self, err := selfAgent() // before any clock runs: it takes long
	if err != nil {
		t.Fatal(err)
	}
	home, bin := filepath.Join(l.dir, "home of ops"), filepath.Join(l.dir, "bin")
	for _, d := range []string{home, bin} {
		os.Mkdir(d, 0o700)
	}
	os.WriteFile(filepath.Join(bin, "sudo"), []byte(fakeSudo), 0o700)
	s := l.server("web")
	s.exec = realShell("/bin/sh", home, bin+":"+os.Getenv("PATH"))
	ctl := controller.New(controller.Options{Dir: l.dir})
	defer ctl.Close()
	source := strings.Repeat("kflow ", 100_000)
	os.WriteFile(filepath.Join(l.dir, "source"), []byte(source), 0o600)
	is, err := ctl.AddFile("source")
	if err != nil {
		t.Fatal(err)
	}
	d := l.dialer(func(o *Options) {
		o.Agents = func(string) (binaries.Binary, error) { return selfAgent() }
		o.Controller, o.Contents = ctl, ctl
	})
	defer d.Close()
	tg := target(s, l.key)
	tg.User = "ops"
	file := filepath.Join(home, "copy")
	item, _ := json.Marshal(map[string]any{"path": file, "content": is})
	req := &job.Request{Kind: "copy", Mode: job.Apply, Items: []json.RawMessage{item}}

	c := dial(t, d, tg)
	out, err := c.Do(t.Context(), req, nil)
	if err != nil || out.Failure != nil || !out.Applied {
		t.Fatalf("%+v, %v", out, err)
	}
	if b, _ := os.ReadFile(file); string(b) != source {
		t.Error("the file differs")
	}
	if out, err = c.Do(t.Context(), req, nil); err != nil || out.Applied || out.Failure != nil {
		t.Errorf("second time: %+v, %v", out, err)
	}
	c.Close()

	agents, _ := filepath.Glob(filepath.Join(home, ".cache/kflow/*"))
	if len(agents) != 3 || filepath.Base(agents[0]) != "agent-"+self.SHA256 {
		t.Fatalf("on the host: %v", agents)
	}
	before, _ := os.Stat(agents[0])
	left, fresh, old := filepath.Join(home, ".cache/kflow/.new-1"), filepath.Join(home, ".cache/kflow/.new-2"), time.Now().AddDate(0, 0, -3)
	os.WriteFile(left, []byte("half an agent"), 0o700)
	os.WriteFile(fresh, []byte("half an agent"), 0o700)
	os.Chtimes(left, old, old)
	dial(t, d, tg).Close()
	if after, _ := os.Stat(agents[0]); !os.SameFile(before, after) || before.Mode() != 0o700 {
		t.Errorf("the agent was sent again, or has mode %v", before.Mode())
	}
	if err := errors.Join(os.Remove(agents[0]), os.WriteFile(agents[0], []byte("#!/bin/sh\necho evil\n"), 0o700)); err != nil {
		t.Fatal(err) // (not written over: the agent before may still run)
	}
	dial(t, d, tg).Close()
	if after, _ := os.Stat(agents[0]); after.Size() != before.Size() {
		t.Error("an agent that had been changed was started")
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what a start of days ago has left is still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("what another start is about to use was taken away")
	}
}

// A connection is lost without the agent knowing. The next agent of the session ends it, and what it runs, before it
// is ready; an agent of another session is left alone.
func TestTheNextAgentEndsTheOneBefore(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	if _, err := selfAgent(); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	s := l.server("web")
	var mu sync.Mutex
	var shells []*os.Process
	s.exec = func(command string, ch gossh.Channel) int { // its processes keep their input when the connection ends
		cmd := exec.Command("/bin/sh", "-c", command)
		cmd.Env = []string{"HOME=" + l.dir, "PATH=" + os.Getenv("PATH")}
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if cmd.Start() != nil {
			return 255
		}
		mu.Lock()
		shells = append(shells, cmd.Process)
		mu.Unlock()
		go io.Copy(in, ch)
		io.Copy(ch, out)
		cmd.Wait()
		return 0
	}
	d := l.dialer(func(o *Options) { o.Agents = func(string) (binaries.Binary, error) { return selfAgent() } })
	other := l.dialer(func(o *Options) { o.Agents = d.o.Agents })
	defer d.Close()
	defer other.Close()
	tg := target(s, l.key)
	tg.User = "ops"
	bystander := dial(t, other, tg)
	defer bystander.Close()
	first := dial(t, d, tg)
	pid := shells[1].Pid
	s.drop()
	<-first.(*conn).live.agent.Done()
	if syscall.Kill(pid, 0) != nil {
		t.Fatal("the agent has ended by itself: nothing to test")
	}
	out, err := first.Do(t.Context(), &job.Request{Kind: "nonsense", Items: []json.RawMessage{nil}}, nil)
	if err != nil || out.Failure == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	if shells[1].Signal(syscall.Signal(0)) == nil && holds(pid) {
		t.Error("the agent of the lost connection lives on")
	}
	if !holds(shells[0].Pid) {
		t.Error("the agent of another session was ended")
	}
	first.Close()
	for _, p := range shells {
		p.Kill()
	}
}

// holds tells whether a process runs (and is no zombie).
func holds(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// Sudo in front of the real script. The directories of root are replaced, as the test may not be root.
func TestSudoInFrontOfTheScript(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	l := newLab(t)
	bin := filepath.Join(l.dir, "bin")
	os.Mkdir(bin, 0o700)
	os.WriteFile(filepath.Join(bin, "sudo"), []byte(fakeSudo), 0o700)
	s := l.server("web")
	run := realShell("/bin/sh", l.dir, bin+":"+os.Getenv("PATH"))
	s.exec = func(command string, ch gossh.Channel) int {
		return run(strings.NewReplacer("/var/lib/kflow", l.dir+"/root1", "/root/.cache/kflow", l.dir+"/root2", "/opt/kflow", l.dir+"/root3").Replace(command), ch)
	}
	d := l.dialer(func(o *Options) { o.Agents = func(string) (binaries.Binary, error) { return selfAgent() } })
	defer d.Close()
	tg := target(s, l.key)
	tg.User, tg.Become = "ops", true
	_, err := d.Dial(t.Context(), tg)
	unreachable(t, err, transport.Sudo, "a password is required")
	tg.BecomePassword = "wrong"
	_, err = d.Dial(t.Context(), tg)
	unreachable(t, err, transport.Sudo, "wrong")
	tg.BecomePassword = `it's "me"`
	dial(t, d, tg).Close()
	os.WriteFile(filepath.Join(l.dir, "nopasswd"), nil, 0o600)
	dial(t, d, tg).Close()
	if b, _ := os.ReadFile(filepath.Join(l.dir, "sudo.log")); strings.Contains(string(b), "me\"") {
		t.Error("the password was in a command line")
	}
}

func TestTheScriptMeansTheSameInEveryShell(t *testing.T) {
	sc := script{nonce: "N", agents: map[string]binaries.Binary{"x86_64": {SHA256: "abc"}}, dirs: append(userDirs("ops"), rootDirs()...),
		addresses: []string{"10.0.0.1", "fe80::1", "$(reboot)", "'; reboot"}}
	text := sc.String()
	if i := strings.IndexAny(text, "'\\!\n"); i >= 0 {
		t.Errorf("%q in the script: %s", text[i], text[i:])
	}
	if strings.Contains(text, "reboot") {
		t.Error("an address that is none got into the script")
	}
	for _, shell := range []string{"sh", "bash", "busybox sh", "zsh", "fish", "tcsh"} {
		argv := strings.Fields(shell)
		if _, err := exec.LookPath(argv[0]); err != nil {
			continue
		}
		cmd := exec.Command(argv[0], append(argv[1:], "-c", sc.command(nil))...)
		cmd.Env = []string{"PATH=/nowhere", "HOME=/nowhere"}
		if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), "@kflow:N arch") {
			t.Errorf("%s: %q, %v", shell, out, err)
		}
	}
}

func TestMessagesOfTheScript(t *testing.T) {
	l := newLab(t)
	s := l.server("web")
	d := l.dialer()
	defer d.Close()
	tools := filepath.Join(l.dir, "tools")
	os.Mkdir(tools, 0o700)
	for _, name := range []string{"uname", "sh"} {
		p, _ := exec.LookPath(name)
		os.Symlink(p, filepath.Join(tools, name))
	}
	tg := target(s, l.key)
	tg.User = "ops"
	s.exec = realShell("/bin/sh", l.dir, tools)
	_, err := d.Dial(t.Context(), tg)
	unreachable(t, err, transport.Agent, "the program head is not there", "coreutils")
	s.exec = func(command string, ch gossh.Channel) int {
		return realShell("/bin/sh", l.dir, os.Getenv("PATH"))(strings.NewReplacer("$(uname -m)", "riscv64").Replace(command), ch)
	}
	_, err = d.Dial(t.Context(), tg)
	unreachable(t, err, transport.Agent, "riscv64", "amd64 and arm64")
	d.o.Agents = func(arch string) (binaries.Binary, error) {
		if arch == "amd64" {
			return binaries.Pack([]byte("x"))
		}
		return binaries.Binary{}, &binaries.MissingError{Arch: arch}
	}
	s.exec = func(command string, ch gossh.Channel) int {
		return realShell("/bin/sh", l.dir, os.Getenv("PATH"))(strings.NewReplacer("$(uname -m)", "aarch64").Replace(command), ch)
	}
	_, err = d.Dial(t.Context(), tg)
	unreachable(t, err, transport.Agent, "without the agent for arm64", "make build")
}
