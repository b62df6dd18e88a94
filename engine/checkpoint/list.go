package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// RunStatus is how a run stands.
type RunStatus string

// The statuses of a run.
const (
	Running     RunStatus = "running"     // a process works on it
	Interrupted RunStatus = "interrupted" // it ended without a last word, or a person stopped it: can be resumed
	Succeeded   RunStatus = "ok"
	FailedRun   RunStatus = "failed"     // can be resumed
	Incomplete  RunStatus = "incomplete" // its last session ended well, and has left out something that is not done: can be resumed
)

// exitInterrupted is the exit code of a run that a person stopped (DESIGN section 8).
const exitInterrupted = 130

// Summary is a run in a list.
type Summary struct {
	ID        string
	Status    RunStatus
	Playbook  string
	Name      string
	Inventory string
	Info      map[string]any // options of its first session
	Hosts     int
	Tasks     int
	Started   time.Time
	Last      time.Time // of the last event, where one was found
	Exit      int
	Counts    map[event.Status]int // nil until the run ended
	Owner     Owner                // of a running one
	Problem   string               // why the log can't be read; "" = it can
}

// Resumable tells whether `resume` has something to go on with: a run that ended before it began has nothing.
func (s Summary) Resumable() bool {
	return (s.Status == Interrupted || s.Status == FailedRun || s.Status == Incomplete) && s.Playbook != ""
}

// List returns all runs, newest first. It reads the two ends of each log only. A log that can't be read is listed with
// its Problem.
func (s *Store) List() ([]Summary, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	slices.Reverse(ids)
	all := make([]Summary, len(ids))
	for i, id := range ids {
		all[i] = s.Summary(id)
	}
	return all, nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Summary describes one run.
func (s *Store) Summary(id string) Summary {
	sum := Summary{ID: id, Status: Interrupted}
	owner, held := alive(s.runLock(id))
	first, last, err := s.ends(id)
	if err != nil {
		sum.Problem = err.Error()
	}
	sum.Playbook, sum.Name, sum.Inventory, sum.Info = first.Playbook, first.Name, first.Inventory, first.Info
	sum.Hosts, sum.Tasks, sum.Started, sum.Last = first.Hosts, first.Tasks, first.Time, last.Time
	if last.Type == event.RunEnded {
		sum.Exit, sum.Counts = last.Exit, last.Counts
		sum.Status = endStatus(last)
	}
	if held {
		sum.Status, sum.Owner = Running, owner
	}
	return sum
}

func endStatus(e event.Event) RunStatus {
	switch {
	case e.Exit == 0 && e.Left > 0:
		return Incomplete
	case e.Exit == 0:
		return Succeeded
	case e.Exit == exitInterrupted:
		return Interrupted
	}
	return FailedRun
}

// tail is how much of the end of a log is read to find out how the run ended, at first: a last event that names many
// failures is longer.
const tail = 64 << 10

// ends returns the first event of a log, and the one that says how it ended: the run_ended behind the last run_started
// if there is one, else the last event.
func (s *Store) ends(id string) (first, last event.Event, err error) {
	f, err := s.Log(id)
	if err != nil {
		return first, last, err
	}
	defer f.Close()
	for rec, err := range Records(f) {
		if err != nil && !errors.As(err, new(*TornError)) {
			return first, last, s.locate(err, id)
		}
		first = rec.Event
		break
	}
	for n := int64(tail); ; n *= 8 {
		lines, all, err := lastLines(f, n)
		if last = lastOf(lines); err != nil || all || last.Type != "" {
			return first, last, err
		}
	}
}

// lastOf is the event that says how a run ended, among the last lines of its log.
func lastOf(lines [][]byte) (last event.Event) {
	for _, line := range lines {
		e, bad := decode(line)
		if bad != nil {
			continue // a torn end, or the half line the tail begins with
		}
		if last.Type != event.RunEnded || e.Type == event.RunStarted {
			last = e
		}
	}
	return last
}

// lastLines are those in the last n bytes, the first of which may be half a line; all tells that this is the whole log.
func lastLines(f *os.File, n int64) (lines [][]byte, all bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	from := max(0, info.Size()-n)
	b, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	return bytes.Split(b, []byte("\n")), from == 0, err
}
