package checkpoint

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Owner is who holds a lock.
type Owner struct {
	Run   string    `json:"run"`
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	User  string    `json:"user,omitempty"`
	Since time.Time `json:"since"`
	What  string    `json:"what"` // what the lock is for, for people
}

func (o Owner) String() string {
	if o.Run == "" {
		return "a process that has not said its name yet"
	}
	return fmt.Sprintf("run %s (%s, process %d on %s)", o.Run, o.User, o.PID, o.Host)
}

// LockedError says that another process works on what this one wants.
type LockedError struct {
	What  []string // "inventory /srv/ha.yaml", "host 10.0.0.11"
	Owner Owner
	Age   time.Duration // since the owner took it
}

func (e *LockedError) Error() string {
	what := e.What[0]
	if more := len(e.What) - 1; more > 0 {
		what = fmt.Sprintf("%s (and %d more)", what, more)
	}
	if e.Owner.Run == "" {
		return fmt.Sprintf("%s is in use by %s; try again", what, e.Owner)
	}
	return fmt.Sprintf("%s is in use by %s since %s, %s ago; wait for it to end, or interrupt it with kill -INT %d",
		what, e.Owner, e.Owner.Since.Local().Format("2006-01-02 15:04:05"), e.Age.Round(time.Second), e.Owner.PID)
}

// Resource is something only one run at a time may work on.
type Resource struct {
	rank int // order of taking: inventories before hosts
	what string
	file string
}

// Inventory is the resource for an inventory file, whatever path leads to it.
func Inventory(path string) Resource {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	return Resource{rank: 0, what: "inventory " + path, file: lockName("inventory", filepath.Base(path), path)}
}

// Host is the resource for the host at an address.
func Host(address string) Resource {
	address = strings.ToLower(address)
	return Resource{rank: 1, what: "host " + address, file: lockName("host", address, address)}
}

// lockName is the name of a lock file: readable, and unique by a hash of key.
func lockName(kind, text, key string) string {
	text = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, text)
	hash := sha256.Sum256([]byte(key))
	return fmt.Sprintf("%s-%.60s-%x.lock", kind, text, hash[:6])
}

// Locks are held until Release, or until the process ends.
type Locks struct {
	held  []*heldLock
	Stale []Owner // owners that died without releasing; their locks are ours now
}

// Lock takes all resources for a run, or none. It never waits: a resource in use is a *LockedError that names all that
// its owner holds of those wanted.
func (s *Store) Lock(run string, want ...Resource) (*Locks, error) {
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.file, b.file))
	})
	want = slices.CompactFunc(want, func(a, b Resource) bool { return a.file == b.file })
	l := &Locks{}
	for i, w := range want {
		h, err := s.take(filepath.Join(s.locks(), w.file), run, w.what)
		if err != nil {
			l.Release()
			return nil, s.alsoHeld(err, want[i+1:])
		}
		l.held = append(l.held, h)
		if h.before.Run != "" {
			l.Stale = append(l.Stale, h.before)
		}
	}
	return l, nil
}

// alsoHeld adds the other wanted resources that the same owner says it holds. Their files are only read: taking them,
// even for a moment, could make a third run fail.
func (s *Store) alsoHeld(err error, rest []Resource) error {
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Owner.Run == "" {
		return err
	}
	for _, w := range rest {
		if b, err := os.ReadFile(filepath.Join(s.locks(), w.file)); err == nil && parseOwner(b).Run == locked.Owner.Run {
			locked.What = append(locked.What, w.what)
		}
	}
	return err
}

// Release gives all locks back. A second Release does nothing.
func (l *Locks) Release() {
	for _, h := range slices.Backward(l.held) {
		h.release()
	}
	l.held = nil
}

// lockRun takes the lock of a run itself.
func (s *Store) lockRun(id string) (*heldLock, error) { return s.take(s.runLock(id), id, "run "+id) }

// heldLock is a lock file with a flock on it.
type heldLock struct {
	file   *os.File
	before Owner // who was named in the file: it died without releasing
}

// take locks the file at path and writes the owner into it. Files are never deleted: a process could be about to lock
// the deleted one.
func (s *Store) take(path, run, what string) (*heldLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain("lock "+what, err)
	}
	if err := flockSoon(f); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %s: %w (does this file system have locks?)", what, path, err)
		}
		o := readOwner(f)
		return nil, &LockedError{What: []string{what}, Owner: o, Age: max(0, s.now().Sub(o.Since))}
	}
	h := &heldLock{file: f, before: readOwner(f)}
	if err := h.name(s.owner(run, what)); err != nil {
		h.release()
		return nil, explain("lock "+what, err)
	}
	return h, nil
}

// orphanWait is how long a lock may outlive its owner: a program that the owner was about to start has the lock, too,
// until it has become that program.
const orphanWait = 2 * time.Second

// flockSoon is flock, and waits a little for the lock of an owner that has died, or that has no name: whoever only asks (see
// alive) has none, and may have been put to sleep by a busy machine.
func flockSoon(f *os.File) error {
	for deadline := time.Now().Add(orphanWait); ; {
		err := flock(f)
		owner := readOwner(f)
		if !errors.Is(err, syscall.EWOULDBLOCK) || owner.Run != "" && !owner.dead() || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // of two seconds in all
	}
}

// dead tells whether the owner was a process of this machine that is no more.
func (o Owner) dead() bool {
	host, err := os.Hostname()
	return err == nil && o.PID > 0 && o.Host == host && errors.Is(syscall.Kill(o.PID, 0), syscall.ESRCH)
}

// flock takes the lock of f without waiting for its owner. It tries a few times, because a process that asks whether a
// run is alive (see alive) holds the lock for a moment.
func flock(f *os.File) error {
	var err error
	for try := range 4 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return nil
		}
		if err != syscall.EINTR {
			time.Sleep(time.Duration(try) * time.Millisecond) //nolint:forbidigo // of 6 ms in all
		}
	}
	return err
}

// alive tells whether a process holds the lock at path, and which.
func alive(path string) (Owner, bool) {
	f, err := os.Open(path)
	if err != nil {
		return Owner{}, false
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		return Owner{}, false
	}
	o := readOwner(f)
	return o, !o.dead()
}

func (s *Store) owner(run, what string) Owner {
	o := Owner{Run: run, PID: os.Getpid(), Since: s.now(), What: what, User: "?"}
	o.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		o.User = u.Username
	}
	return o
}

func readOwner(f *os.File) Owner {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<16))
	if err != nil {
		return Owner{}
	}
	return parseOwner(b)
}

func parseOwner(b []byte) Owner {
	var o Owner
	if json.Unmarshal(b, &o) != nil {
		return Owner{}
	}
	return o
}

func (h *heldLock) name(o Owner) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := h.file.Truncate(0); err != nil {
		return err
	}
	_, err = h.file.WriteAt(append(b, '\n'), 0)
	return err
}

func (h *heldLock) release() {
	if h == nil || h.file == nil {
		return
	}
	_ = h.file.Truncate(0) // no owner; if this fails the next one calls it stale, no harm done
	h.file.Close()
	h.file = nil
}
