package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/kflow/kflow/engine/event"
)

// logFile is what a Run needs of its log; tests put a full disk here.
type logFile interface {
	io.WriteCloser
	Truncate(size int64) error
	datasync() error // data, and the size of the file, have reached the disk
}

type osFile struct{ *os.File }

func (f osFile) datasync() error { return fdatasync(f.File) }

// spill is the number of buffered bytes at which Append writes, without a sync.
const spill = 1 << 20

// Run is a run that this process works on: its log, open for appending. It is safe for concurrent use.
type Run struct {
	id   string
	path string
	lock *heldLock

	mu      sync.Mutex
	idle    sync.Cond // no commit is writing
	busy    bool
	file    logFile
	size    int64 // bytes of whole lines in the file
	buf     bytes.Buffer
	seq     int64
	count   int64 // events appended by this process
	durable int64 // the count at the last durable one of them
	written int64 // events in the file
	synced  int64 // events on disk
	broken  error // a sync failed: what is on disk is not known, so nothing more can be promised
	closing bool
}

// Create makes a new run and locks it.
func (s *Store) Create() (*Run, error) {
	for range 100 {
		id, err := s.newID()
		if err != nil {
			return nil, err
		}
		err = os.Mkdir(s.runDir(id), 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, explain("create a run", err)
		}
		run, err := s.createIn(id)
		if err != nil {
			_ = os.RemoveAll(s.runDir(id)) // there is nothing in it, and it would be in the way
		}
		return run, err
	}
	return nil, errors.New("create a run: no free id")
}

func (s *Store) createIn(id string) (*Run, error) {
	lock, err := s.lockRun(id)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.LogPath(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		err = errors.Join(syncDir(s.runDir(id)), syncDir(s.runs()))
	}
	if err != nil {
		lock.release()
		return nil, explain("create a run", err)
	}
	return newRun(id, s.LogPath(id), lock, osFile{f}), nil
}

// Open locks a run and opens its log to go on, after cutting off a torn end (see State.Torn). Errors: ErrNoRun,
// *LockedError when another process works on it, *DamageError.
func (s *Store) Open(id string) (*Run, *State, error) {
	if err := s.exists(id); err != nil {
		return nil, nil, err
	}
	lock, err := s.lockRun(id)
	if err != nil {
		return nil, nil, err
	}
	run, state, err := s.openLocked(id, lock)
	if err != nil {
		lock.release()
		return nil, nil, err
	}
	return run, state, nil
}

func (s *Store) openLocked(id string, lock *heldLock) (*Run, *State, error) {
	state, err := s.Read(id)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(s.LogPath(id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, explain("open run "+id, err)
	}
	if state.Torn > 0 {
		if err := errors.Join(f.Truncate(state.Bytes), f.Sync()); err != nil {
			f.Close()
			return nil, nil, explain("cut off the torn end of run "+id, err)
		}
	}
	run := newRun(id, s.LogPath(id), lock, osFile{f})
	run.size, run.seq = state.Bytes, state.Seq
	return run, state, nil
}

func newRun(id, path string, lock *heldLock, f logFile) *Run {
	r := &Run{id: id, path: path, lock: lock, file: f}
	r.idle.L = &r.mu
	return r
}

// ID is the id of the run.
func (r *Run) ID() string { return r.id }

// Path is the path of the log.
func (r *Run) Path() string { return r.path }

// Seq is the number of the last event in the log.
func (r *Run) Seq() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq
}

// Append adds events to the log. They are on disk after the next Commit. An event without Seq gets the next one.
// Errors: an event that can't be written as JSON, and those of Commit when the buffer had to be written.
func (r *Run) Append(events ...event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		if !stored(e.Type) {
			continue
		}
		if e.Seq == 0 {
			e.Seq = r.seq + 1
		}
		if err := encode(&r.buf, e); err != nil {
			return err
		}
		r.seq = max(r.seq, e.Seq)
		r.count++
		if Durable(e.Type) {
			r.durable = r.count
		}
	}
	if r.buf.Len() < spill {
		return nil
	}
	return r.turn(false)
}

// Commit writes what was appended, and returns when the durable events among it have reached the disk. Commits at the
// same time share one sync. Errors: the disk is full (the log stays whole, and a later Commit tries again), or the
// disk failed (for good: stop starting things, resume later).
func (r *Run) Commit() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	count, durable := r.count, r.durable
	for r.written < count || r.synced < durable {
		if r.busy {
			r.idle.Wait() // perhaps this one writes ours too
		} else if err := r.turn(true); err != nil {
			return err
		}
	}
	return r.broken
}

// turn writes the buffer as the only writer, and syncs if asked to and needed. r.mu is held on entry and on return, not
// in between, so that others can append meanwhile.
func (r *Run) turn(sync bool) error {
	for r.busy {
		r.idle.Wait()
	}
	if r.broken != nil {
		return r.broken
	}
	r.busy = true
	data, count := bytes.Clone(r.buf.Bytes()), r.count
	r.buf.Reset()
	sync = sync && r.synced < r.durable
	r.mu.Unlock()
	written, err := r.write(data, sync)
	if err != nil && !written && isFull(err) {
		if lean, failed := r.write(essential(data), sync); lean { // what tells how things stand may fit
			written, err = lean, failed
		}
	}
	r.mu.Lock()
	r.busy = false
	switch {
	case err != nil && !written:
		r.putBack(data)
	case err != nil:
		r.broken = err
	default:
		r.written = count
		if sync {
			r.synced = count
		}
	}
	r.idle.Broadcast()
	return err
}

// isFull tells whether an error means that there is no space left.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// essential are the lines of data that a resume needs: what programs printed is left out.
func essential(data []byte) []byte {
	var out []byte
	for line := range bytes.Lines(data) {
		if e, err := decode(bytes.TrimSuffix(line, []byte("\n"))); err != nil || Durable(e.Type) {
			out = append(out, line...)
		}
	}
	return out
}

// putBack puts data that could not be written before what was appended since.
func (r *Run) putBack(data []byte) {
	later := bytes.Clone(r.buf.Bytes())
	r.buf.Reset()
	r.buf.Write(data)
	r.buf.Write(later)
}

// write puts data at the end of the file. It is written whole or not at all.
func (r *Run) write(data []byte, sync bool) (written bool, err error) {
	if len(data) > 0 {
		if _, err := r.file.Write(data); err != nil {
			if cut := r.file.Truncate(r.size); cut != nil {
				return true, explain("write "+r.path, errors.Join(err, cut))
			}
			return false, explain("write "+r.path, err)
		}
		r.size += int64(len(data))
	}
	if sync {
		if err := r.file.datasync(); err != nil {
			return true, explain("sync "+r.path, err)
		}
	}
	return true, nil
}

// Close commits, closes the log and releases the run. A second Close does nothing.
func (r *Run) Close() error {
	err := r.Commit()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil
	}
	r.closing = true
	err = errors.Join(err, r.file.Close())
	r.lock.release()
	return err
}

// explain adds what a person can do to an error of the file system.
func explain(what string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s: the disk is full: free some space, then resume (%w)", what, err)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: your disk quota is used up: free some space, then resume (%w)", what, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: the file system is read-only: keep runs elsewhere with --state DIR (%w)", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// syncDir makes new names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
