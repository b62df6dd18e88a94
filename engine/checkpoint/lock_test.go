package checkpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// TestMain lets the test binary play a second kflow: with LOCK_DIR set it takes locks, says what came of it, and holds
// them until its input ends.
func TestMain(m *testing.M) {
	dir := os.Getenv("LOCK_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := NewStore(Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	in.ReadString('\n')
	l, err := s.Lock(os.Getenv("LOCK_RUN"), hosts(strings.Fields(os.Getenv("LOCK_HOSTS"))...)...)
	if err != nil {
		fmt.Println(err)
		os.Exit(5)
	}
	fmt.Println("locked")
	io.Copy(io.Discard, in)
	l.Release()
	os.Exit(0)
}

func hosts(names ...string) []Resource {
	var r []Resource
	for _, n := range names {
		r = append(r, Host(n))
	}
	return r
}

// other is a second process.
type other struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startOther(t *testing.T, s *Store, run string, hosts ...string) *other {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOCK_DIR="+s.Dir(), "LOCK_RUN="+run, "LOCK_HOSTS="+strings.Join(hosts, " "))
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	o := &other{cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() { o.in.Close(); o.cmd.Wait() })
	if line := o.read(); line != "ready" {
		t.Fatal(line)
	}
	return o
}

func (o *other) read() string {
	line, _ := o.out.ReadString('\n')
	return strings.TrimSpace(line)
}

// lock asks for the locks and returns the answer.
func (o *other) lock() string {
	io.WriteString(o.in, "go\n")
	return o.read()
}

func (o *other) kill() {
	o.cmd.Process.Kill()
	o.cmd.Wait()
}

// TestALockThatOutlivesItsOwnerForAMomentIsWaitedFor: whoever is killed while it starts a program leaves the lock to that
// until it has begun.
func TestALockThatOutlivesItsOwnerForAMomentIsWaitedFor(t *testing.T) {
	s, err := NewStore(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	id := create(t, s)
	if err := id.Append(event.Event{Type: event.RunStarted, Playbook: "p"}); err != nil {
		t.Fatal(err)
	}
	owner := s.owner(id.ID(), "run")
	owner.PID = gone.Process.Pid
	if err := id.lock.name(owner); err != nil {
		t.Fatal(err)
	}
	heir := exec.Command("sleep", "0.3")
	heir.ExtraFiles = []*os.File{id.lock.file}
	if err := errors.Join(id.Commit(), heir.Start()); err != nil {
		t.Fatal(err)
	}
	defer heir.Wait()
	id.lock.file.Close() // as when its process is killed
	if sum := s.Summary(id.ID()); sum.Status != Interrupted {
		t.Errorf("it is %s, and its owner is dead", sum.Status)
	}
	again, _, err := s.Open(id.ID())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestWhoeverAsksWhetherARunIsAliveLocksNobodyOut, however long the machine lets it wait.
func TestWhoeverAsksWhetherARunIsAliveLocksNobodyOut(t *testing.T) {
	s := newStore(t)
	asks, err := os.OpenFile(filepath.Join(s.locks(), Host("h1").file), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(asks.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { asks.Close() })
	l, err := s.Lock("mine", Host("h1"))
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

func TestALockIsNoYoungerThanNowWhateverTheClockSays(t *testing.T) {
	s, err := NewStore(Options{Dir: t.TempDir(), Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	o := startOther(t, s, "20261121-131501-ab3f", "10.0.0.11")
	if got := o.lock(); got != "locked" {
		t.Fatal(got)
	}
	_, err = s.Lock("mine", hosts("10.0.0.11")...)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Age != 0 {
		t.Errorf("%v", err)
	}
}

func TestAHostInUseIsSaidWithItsOwner(t *testing.T) {
	s, err := NewStore(Options{Dir: t.TempDir(), Now: func() time.Time { return time.Now().Add(12 * time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	o := startOther(t, s, "20261121-131501-ab3f", "10.0.0.11", "10.0.0.12")
	if got := o.lock(); got != "locked" {
		t.Fatal(got)
	}
	_, err = s.Lock("mine", append(hosts("10.0.0.9", "10.0.0.11", "10.0.0.12"), Inventory("ha.yaml"))...)
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("got %v", err)
	}
	if locked.Owner.Run != "20261121-131501-ab3f" || locked.Owner.PID != o.cmd.Process.Pid || locked.Age < 12*time.Minute {
		t.Errorf("owner %+v, age %v", locked.Owner, locked.Age)
	}
	for _, part := range []string{"10.0.0.1", "(and 1 more)", "run 20261121-131501-ab3f", "process " + strconv.Itoa(o.cmd.Process.Pid), "12m"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if l, err := s.Lock("mine", hosts("10.0.0.9")...); err != nil {
		t.Errorf("what a failed Lock had taken must be free: %v", err)
	} else {
		l.Release()
	}
}

func TestALockOfADeadProcessIsTakenAndSaid(t *testing.T) {
	s := newStore(t)
	o := startOther(t, s, "dead", "10.0.0.11")
	if got := o.lock(); got != "locked" {
		t.Fatal(got)
	}
	o.kill()
	l, err := s.Lock("mine", hosts("10.0.0.11")...)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Stale) != 1 || l.Stale[0].Run != "dead" || l.Stale[0].PID != o.cmd.Process.Pid {
		t.Errorf("stale: %+v", l.Stale)
	}
	l.Release()
	l, err = s.Lock("mine", hosts("10.0.0.11")...)
	if err != nil || len(l.Stale) != 0 {
		t.Errorf("a released lock is not stale: %v %+v", err, l.Stale)
	}
	l.Release()
}

func TestOfTwoProcessesThatStartTogetherExactlyOneWins(t *testing.T) {
	s := newStore(t)
	for round := range 4 {
		a := startOther(t, s, "a", "h1", "h2", "h3")
		b := startOther(t, s, "b", "h3", "h2", "h1")
		var answers [2]string
		var wg sync.WaitGroup
		wg.Go(func() { answers[0] = a.lock() })
		wg.Go(func() { answers[1] = b.lock() })
		wg.Wait()
		if (answers[0] == "locked") == (answers[1] == "locked") {
			t.Fatalf("round %d: %q", round, answers)
		}
		a.kill()
		b.kill()
	}
}

func TestAnInventoryIsTheSameByEveryPath(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "ha.yaml"), filepath.Join(dir, "link.yaml")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink("ha.yaml", link)); err != nil {
		t.Fatal(err)
	}
	if Inventory(file) != Inventory(link) || Inventory(file) != Inventory(dir+"/../"+filepath.Base(dir)+"/ha.yaml") {
		t.Error("one inventory has two locks")
	}
	if Inventory(file) == Inventory(filepath.Join(dir, "other.yaml")) || Host("a:1") == Host("a_1") {
		t.Error("two resources have one lock")
	}
}

func TestARunThatIsWorkedOnCannotBeOpenedOrRemoved(t *testing.T) {
	s := newStore(t)
	r := create(t, s)
	if _, _, err := s.Open(r.ID()); !errors.As(err, new(*LockedError)) {
		t.Errorf("open: %v", err)
	}
	if err := s.Remove(r.ID()); !errors.As(err, new(*LockedError)) {
		t.Errorf("remove: %v", err)
	}
	r.Close()
	if err := s.Remove(r.ID()); err != nil {
		t.Error(err)
	}
	if ids, _ := s.IDs(); len(ids) != 0 {
		t.Errorf("left: %v", ids)
	}
}
