package hold

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/agent/wire"
)

// againAndAgain is an agent that takes the lock for a run and gives it back, until it is killed. It says when agents of the
// other run hold it at the same time. A lock on a file of the run is the witness: the kernel releases what was opened first
// before the rest, so that no witness outlives the lock.
func againAndAgain(dir, run string) {
	other := map[string]string{"a": "b", "b": "a"}[run]
	mine, theirs, turn := witness(dir, run), witness(dir, other), witness(dir, "turn")
	for {
		h, err := Take(context.Background(), Options{Dir: filepath.Join(dir, "lock"), Claim: claim(run), Patience: time.Millisecond})
		var held *wire.Held
		if errors.As(err, &held) {
			continue
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		syscall.Flock(int(turn.Fd()), syscall.LOCK_EX) // else two of one run are in each other's way at the other's witness
		for f, how := range map[*os.File]int{mine: syscall.LOCK_SH, theirs: syscall.LOCK_EX} {
			if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
				fmt.Println("at the same time as", other)
			}
		}
		syscall.Flock(int(theirs.Fd()), syscall.LOCK_UN)
		syscall.Flock(int(turn.Fd()), syscall.LOCK_UN)
		time.Sleep(time.Millisecond) // (this is a process of its own)
		syscall.Flock(int(mine.Fd()), syscall.LOCK_UN)
		h.Release()
	}
}

func witness(dir, run string) *os.File {
	f, err := os.OpenFile(filepath.Join(dir, run), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	return f
}

// TestKilledAtAnyMoment: agents of two runs are killed again and again, at whatever they are. Never do both runs hold the
// lock, and always somebody can have it.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	said, err := os.CreateTemp(t.TempDir(), "said")
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	var agents []*exec.Cmd
	begin := func(i int) {
		cmd := exec.Command("/proc/self/exe", "again", dir, string(rune('a'+i%2)))
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		agents[i] = cmd
	}
	agents = make([]*exec.Cmd, 4)
	for i := range agents {
		begin(i)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		<-tick.C
		i := rand.IntN(len(agents))
		agents[i].Process.Kill()
		agents[i].Wait()
		begin(i)
	}
	for _, a := range agents {
		a.Process.Kill()
		a.Wait()
	}
	if text, err := os.ReadFile(said.Name()); err != nil || len(text) > 0 {
		t.Errorf("%s, %v", text, err)
	}
	must(t, filepath.Join(dir, "lock"), "c").Release()
}
