// Package hold keeps runs apart on one host: while agents of a run are there, agents of other runs are refused, whichever
// controller sent them.
//
// The lock is one of the kernel (flock) on a file in a directory that belongs to the user the agent runs as and that
// nobody else can write to. So it ends with the processes that hold it, however they end, and nobody else can hold it or
// say what it says. All agents of a run hold it together: a machine may stand in the inventory twice, and an agent whose
// connection was lost still ends what it runs when the next one is there. The file says which run that is.
//
// Agents of different builds of kflow meet in this file. What holds between them, and must stay:
//
//   - the file is DIR/host-BOOTID.lock, where BOOTID is the kernel's; it is never deleted while its boot lasts. (Without the boot
//     id hosts that share a home directory would lock out each other.)
//   - whoever holds it has LOCK_SH. Whoever can get LOCK_EX is alone, writes a record (JSON; members it does not know are left
//     alone by readers), and goes down to LOCK_SH.
//   - reading, writing and locking are done under LOCK_EX on DIR/host.turn, which nobody keeps.
package hold

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/agent/wire"
)

// How long another run is waited for.
const (
	// defaultPatience is for one that has ended a moment ago, and whose agent has not noticed yet.
	defaultPatience = 2 * time.Second
	// elder is what the run waits besides that began earlier, by its id: of two that were started together, and have each locked
	// out the other on some host, one goes on.
	elder = 4 * time.Second
	// ending is for one whose agent has noticed: it gives its programs a grace period.
	ending = 30 * time.Second

	poll = 10 * time.Millisecond
	// turnLimit is how long a turn may be in coming: nobody keeps it for long.
	turnLimit = 5 * time.Second
	// beatEvery is the least time between two notes that kflow was heard.
	beatEvery = 5 * time.Second
	// keepOld is how long files of earlier boots stay: another host may share the directory.
	keepOld = 60 * 24 * time.Hour
)

// Options of Take.
type Options struct {
	Dir   string // made where it is not there
	Claim wire.Claim
	Busy  func() error // called every second while Take waits; nil = nobody wants to know

	Patience time.Duration // see defaultPatience; 0 = that
}

// Hold is the lock, held.
type Hold struct {
	dir, path string
	name      string // of this agent
	file      *os.File
	beat      time.Time
}

// record is what the file says.
type record struct {
	wire.Claim
	Agent  string `json:"agent,omitempty"` // that came last: the one before it may end
	Ending bool   `json:"ending,omitempty"`
}

// Take takes the lock for a run, or joins the agents that hold it for the same run. The error is a *wire.Held where
// another run holds it; any other means that there can be no lock here.
func Take(ctx context.Context, o Options) (*Hold, error) {
	if err := usable(o.Dir); err != nil {
		return nil, err
	}
	o.Claim = o.Claim.Clean()
	h := &Hold{dir: o.Dir, name: rand.Text(), path: filepath.Join(o.Dir, "host-"+bootID()+".lock")}
	go prune(o.Dir, h.path)
	begin, told := time.Now(), time.Now()
	for {
		held, err := h.try(ctx, o.Claim)
		if err != nil {
			return nil, err
		}
		if held == nil {
			return h, nil
		}
		if time.Since(begin) > o.waitFor(held) {
			return nil, held
		}
		if o.Busy != nil && time.Since(told) >= time.Second {
			told = time.Now()
			if err := o.Busy(); err != nil {
				return nil, err
			}
		}
		if err := sleep(ctx, poll); err != nil {
			return nil, err
		}
	}
}

func (o Options) waitFor(held *wire.Held) time.Duration {
	patience := cmp.Or(o.Patience, defaultPatience)
	switch {
	case held.Ending:
		return ending
	case o.Claim.Run < held.Run:
		return patience + elder
	}
	return patience
}

// try makes one attempt; held is who was there.
func (h *Hold) try(ctx context.Context, mine wire.Claim) (held *wire.Held, err error) {
	done, err := turn(ctx, h.dir)
	if err != nil {
		return nil, err
	}
	defer done()
	f, err := open(h.path)
	if err != nil {
		return nil, err
	}
	switch err = flock(f, syscall.LOCK_EX); {
	case err == nil:
		err = errors.Join(write(f, record{Claim: mine, Agent: h.name}), flock(f, syscall.LOCK_SH))
	case errors.Is(err, syscall.EWOULDBLOCK):
		rec := read(f)
		if rec.Key == "" || rec.Key != mine.Key {
			held, err = rec.held(f), nil
			break
		}
		if err = flock(f, syscall.LOCK_SH); err == nil {
			_ = write(f, record{Claim: mine, Agent: h.name}) // the run may have been resumed by another process; else it says enough
		}
	}
	if err != nil || held != nil {
		f.Close()
		return held, err
	}
	h.file, h.beat = f, time.Now()
	return nil, nil
}

// held is the record as a refusal.
func (r record) held(f *os.File) *wire.Held {
	out := &wire.Held{Claim: r.Clean(), Ending: r.Ending}
	if st, err := f.Stat(); err == nil { // by the wall clock, which may have been set: then it is a wrong hint, no more
		out.Silent = max(0, time.Since(st.ModTime())).Round(time.Second)
	}
	return out
}

// Heard notes that kflow was heard.
func (h *Hold) Heard() {
	if now := time.Now(); now.Sub(h.beat) >= beatEvery {
		h.beat = now
		_ = os.Chtimes(h.path, now, now) // a hint for people who wait
	}
}

// Ending notes that the connection has ended, and that what it runs is being ended: others wait for that. Where another
// agent of the run has come meanwhile there is nothing to wait for.
func (h *Hold) Ending(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errors.New("the lock is looked at by others all the time"))
	defer cancel()
	done, err := turn(ctx, h.dir)
	if err != nil {
		return // a hint, no more
	}
	defer done()
	if rec := read(h.file); rec.Agent == h.name {
		rec.Ending = true
		_ = write(h.file, rec)
	}
}

// Release gives the lock back; the end of the process does the same.
func (h *Hold) Release() { h.file.Close() }

// usable makes the directory, and says why it must not be used: whoever can write there can lock out everybody.
func usable(dir string) error {
	if dir == "" {
		return errors.New("there is no directory for the lock")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !st.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case ok && int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, not to the one the agent runs as (%d)", dir, sys.Uid, os.Geteuid())
	case st.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written to by others (mode %04o)", dir, st.Mode().Perm())
	}
	return nil
}

func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
}

// turn waits until it is our turn to look at the lock.
func turn(ctx context.Context, dir string) (done func(), err error) {
	f, err := open(filepath.Join(dir, "host.turn"))
	if err != nil {
		return nil, err
	}
	for begin := time.Now(); ; {
		switch err := flock(f, syscall.LOCK_EX); {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			f.Close()
			return nil, err
		case time.Since(begin) > turnLimit:
			f.Close()
			return nil, fmt.Errorf("%s: somebody keeps it", f.Name())
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			f.Close()
			return nil, err
		}
	}
}

// flock never waits.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

func read(f *os.File) record {
	var r record
	if json.NewDecoder(io.NewSectionReader(f, 0, 1<<14)).Decode(&r) != nil {
		return record{}
	}
	return r
}

// write replaces the record in its place: on a full disk the space it has is kept.
func write(f *os.File, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(append(b, '\n'), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(b) + 1))
}

// prune removes locks of boots of long ago.
func prune(dir, current string) {
	files, _ := filepath.Glob(filepath.Join(dir, "host-*.lock"))
	for _, file := range files {
		if st, err := os.Stat(file); err == nil && file != current && time.Since(st.ModTime()) > keepOld {
			os.Remove(file)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
