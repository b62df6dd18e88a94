package hold

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/agent/wire"
)

// TestMain lets the test program play another agent: it takes the lock for the run of its second argument, says what came
// of it, and holds it until its input ends.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "again" {
		againAndAgain(os.Args[2], os.Args[3])
	}
	if len(os.Args) < 4 || os.Args[1] != "hold" {
		os.Exit(m.Run())
	}
	h, err := Take(context.Background(), Options{Dir: os.Args[2], Claim: claim(os.Args[3])})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	h.Release()
}

func claim(run string) wire.Claim {
	return wire.Claim{Key: "key-" + run, Run: run, Playbook: "site", User: "ops", Host: "admin1", PID: 4711,
		Since: time.Date(2026, 11, 21, 20, 0, 0, 0, time.Local)}
}

// agent is another process that holds the lock.
type agent struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func start(t *testing.T, dir, run string) *agent {
	t.Helper()
	a := &agent{cmd: exec.Command("/proc/self/exe", "hold", dir, run)}
	a.cmd.Stderr = os.Stderr
	var err1, err2 error
	var out io.Reader
	a.in, err1 = a.cmd.StdinPipe()
	out, err2 = a.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, a.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.in.Close(); a.cmd.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("another agent: %s", line)
	}
	return a
}

func take(t *testing.T, dir, run string) (*Hold, error) {
	t.Helper()
	return Take(t.Context(), Options{Dir: dir, Claim: claim(run), Patience: 200 * time.Millisecond})
}

func must(t *testing.T, dir, run string) *Hold {
	t.Helper()
	h, err := take(t, dir, run)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func refused(t *testing.T, dir, run string) *wire.Held {
	t.Helper()
	h, err := take(t, dir, run)
	var held *wire.Held
	if !errors.As(err, &held) {
		if h != nil {
			h.Release()
		}
		t.Fatalf("run %s was not refused: %v", run, err)
	}
	return held
}

func TestAnotherRunIsRefusedAndToldWhoIsThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "run", "kflow")
	start(t, dir, "20261121-200000-aaaa")
	held := refused(t, dir, "20261121-210000-bbbb")
	if want := "run 20261121-200000-aaaa of site (ops, process 4711 on admin1) since 2026-11-21 20:00:00"; held.Error() != want {
		t.Errorf("%s", held)
	}
	if held.Ending || held.Silent > time.Minute {
		t.Errorf("%+v", held)
	}
}

func TestAgentsOfTheSameRunHoldItTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := must(t, dir, "a")
	other := start(t, dir, "a")
	first.Release()
	refused(t, dir, "b") // the second one is there
	third := must(t, dir, "a")
	other.in.Close()
	other.cmd.Wait()
	refused(t, dir, "b")
	third.Release()
	must(t, dir, "b").Release()
}

// TestAKilledAgentHoldsNothing: neither does what it has left running.
func TestAKilledAgentHoldsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, dir, "a")
	a.cmd.Process.Kill()
	a.cmd.Wait()
	must(t, dir, "b").Release()
}

func TestARunThatEndsIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := must(t, dir, "a")
	h.Ending(t.Context())
	busy := make(chan struct{}, 100)
	go func() {
		for range 3 { // longer than a run that goes on is waited for
			<-busy
		}
		h.Release()
	}()
	begin := time.Now()
	next, err := Take(t.Context(), Options{Dir: dir, Claim: claim("b"), Patience: time.Millisecond, Busy: func() error { busy <- struct{}{}; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Release()
	if took := time.Since(begin); took < 3*time.Second {
		t.Errorf("after %v", took)
	}
}

// TestTheEndOfAnAgentIsNoEndWhereTheNextOneIsThere: a connection was lost, and its agent finds out late.
func TestTheEndOfAnAgentIsNoEndWhereTheNextOneIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	late, next := must(t, dir, "a"), must(t, dir, "a")
	defer next.Release()
	late.Ending(t.Context())
	late.Release()
	if held := refused(t, dir, "b"); held.Ending {
		t.Error("the run is said to end")
	}
	next.Ending(t.Context())
	again := must(t, dir, "a")
	defer again.Release()
	if held := refused(t, dir, "b"); held.Ending {
		t.Error("the run has come back, and is said to end")
	}
}

// TestARunThatIsResumedIsThatOfItsLastProcess: of the one before it nothing is left to stop.
func TestARunThatIsResumedIsThatOfItsLastProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	killed := must(t, dir, "a")
	c := claim("a")
	c.PID = 4712
	resumed, err := Take(t.Context(), Options{Dir: dir, Claim: c})
	if err != nil {
		t.Fatal(err)
	}
	defer resumed.Release()
	killed.Release()
	if held := refused(t, dir, "b"); held.PID != 4712 {
		t.Errorf("%v", held)
	}
}

// TestOfTwoThatLockEachOtherOutTheElderGoesOn: each holds one of two hosts, and wants the other.
func TestOfTwoThatLockEachOtherOutTheElderGoesOn(t *testing.T) {
	t.Parallel()
	hosts := []string{t.TempDir(), t.TempDir()}
	runs := []string{"20261121-200000-aaaa", "20261121-200000-bbbb"}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	first := []*Hold{must(t, hosts[0], runs[0]), must(t, hosts[1], runs[1])}
	for i, run := range runs {
		wg.Go(func() {
			var second *Hold
			second, errs[i] = take(t, hosts[1-i], run)
			if errs[i] == nil {
				second.Release()
			}
			first[i].Release()
		})
	}
	wg.Wait()
	if errs[0] != nil || errs[1] == nil {
		t.Errorf("the elder: %v; the younger: %v", errs[0], errs[1])
	}
}

// TestManyAtOnce: whatever they do, never are two runs on the host at the same time.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	there := map[string]int{}
	var wg sync.WaitGroup
	for i := range 24 {
		run := string(rune('a' + i%3))
		wg.Go(func() {
			for range 20 {
				h := &Hold{dir: dir, name: fmt.Sprint(i), path: filepath.Join(dir, "host-x.lock")}
				held, err := h.try(t.Context(), claim(run))
				if err != nil {
					t.Error(err)
					return
				}
				if held != nil {
					continue
				}
				mu.Lock()
				there[run]++
				if len(there) > 1 {
					t.Errorf("at the same time: %v", there)
				}
				mu.Unlock()
				h.Ending(t.Context())
				mu.Lock()
				if there[run]--; there[run] == 0 {
					delete(there, run)
				}
				mu.Unlock()
				h.Release()
			}
		})
	}
	wg.Wait()
}

func TestWhereThereCanBeNoLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writable := filepath.Join(dir, "writable")
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "file")
	err := errors.Join(os.Mkdir(writable, 0o700), os.Chmod(writable, 0o777), os.Symlink(t.TempDir(), link), os.WriteFile(file, nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]string{
		"":                          "no directory",
		writable:                    "can be written to by others (mode 0777)",
		link:                        "is no directory",
		file:                        "not a directory",
		filepath.Join(file, "kf"):   "not a directory",
		"/proc/kflow":               "no such file",
		"/dev/null/somewhere/below": "not a directory",
	} {
		h, err := take(t, where, "a")
		var held *wire.Held
		if h != nil || errors.As(err, &held) || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", where, err)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(writable, 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := take(t, writable, "a"); err == nil || !strings.Contains(err.Error(), "belongs to user 1") {
		t.Error(err)
	}
}

// TestALinkInPlaceOfTheLockIsNotFollowed, wherever it leads.
func TestALinkInPlaceOfTheLockIsNotFollowed(t *testing.T) {
	t.Parallel()
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(victim, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"host.turn", "host-" + bootID() + ".lock"} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := take(t, dir, "a"); err == nil || !strings.Contains(err.Error(), "symbolic links") {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(filepath.Join(dir, name))
	}
	if b, _ := os.ReadFile(victim); string(b) != "secret" {
		t.Errorf("%q", b)
	}
}

// TestWhatStandsInTheFileIsNotTrusted: it may be of another build, torn, or of somebody who wants to paint on a terminal.
func TestWhatStandsInTheFileIsNotTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := must(t, dir, "a")
	defer h.Release()
	for text, want := range map[string]string{
		"":           "a run that has not said its name yet",
		`{"key":"x"`: "a run that has not said its name yet",
		`{"key":"x","run":"r\u001b[2J","new":1} rest of a longer one}`: "run r[2J (",
	} {
		if err := os.WriteFile(h.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if held := refused(t, dir, "b"); !strings.HasPrefix(held.Error(), want) {
			t.Errorf("%q: %q", text, held.Error())
		}
	}
	if err := os.WriteFile(h.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if held, err := (&Hold{dir: dir, path: h.path}).try(t.Context(), wire.Claim{}); held == nil {
		t.Errorf("a claim without key joins a run without name: %v", err)
	}
}

func TestASilentKflowIsSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := must(t, dir, "a")
	defer h.Release()
	old := time.Now().Add(-50 * time.Second)
	if err := os.Chtimes(h.path, old, old); err != nil {
		t.Fatal(err)
	}
	if held := refused(t, dir, "b"); held.Silent < 50*time.Second || held.Silent > time.Minute {
		t.Errorf("silent for %v", held.Silent)
	}
	h.beat = old
	h.Heard()
	if held := refused(t, dir, "b"); held.Silent > 10*time.Second {
		t.Errorf("it was heard, and is said to be silent for %v", held.Silent)
	}
}

func TestATurnThatSomebodyKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	done, err := turn(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := take(t, dir, "a"); err == nil || !strings.Contains(err.Error(), "somebody keeps it") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	if _, err := Take(ctx, Options{Dir: dir, Claim: claim("a")}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestLocksOfBootsOfLongAgoAreTakenAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long, lately := filepath.Join(dir, "host-1.lock"), filepath.Join(dir, "host-2.lock")
	current := filepath.Join(dir, "host-3.lock")
	old := time.Now().Add(-2 * keepOld)
	for _, file := range []string{long, lately, current} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if file != lately {
			os.Chtimes(file, old, old)
		}
	}
	prune(dir, current)
	for file, want := range map[string]bool{long: false, lately: true, current: true} {
		if _, err := os.Stat(file); (err == nil) != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}
