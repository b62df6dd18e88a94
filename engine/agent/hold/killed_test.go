package hold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/agent/wire"
)

// againAndAgain is an agent that takes the lock for a run and gives it back, until it is killed. It says when an agent of the
// other run holds it at the same time: each has a file of its own, locked meanwhile.
func againAndAgain(dir, run string) {
	other := map[string]string{"a": "b", "b": "a"}[run]
	mine, err := os.Create(filepath.Join(dir, run+"-"+strconv.Itoa(os.Getpid())))
	if err != nil {
		panic(err)
	}
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
		syscall.Flock(int(mine.Fd()), syscall.LOCK_EX)
		lookFor(dir, other)
		time.Sleep(time.Millisecond) // (this is a process of its own)
		syscall.Flock(int(mine.Fd()), syscall.LOCK_UN)
		h.Release()
	}
}

// lookFor tells of agents of a run that hold the lock, too.
func lookFor(dir, run string) {
	files, err := filepath.Glob(filepath.Join(dir, run+"-*"))
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			panic(err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		if _, pid, _ := strings.Cut(filepath.Base(file), "-"); err != nil && !dying(pid) {
			fmt.Println("at the same time as", run)
		}
		f.Close()
	}
}

// dying tells whether a process is gone or going: the kernel releases what it had one by one, in an order of its own.
func dying(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true
	}
	const exiting = 4 // PF_EXITING
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	flags, _ := strconv.Atoi(f[6])
	return f[0] == "Z" || f[0] == "X" || flags&exiting != 0
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
