package checkpoint

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// Seconds is how long a task takes on one host, in seconds, by what came of it: installing a package takes minutes,
// finding it installed takes none. 0 = not seen.
type Seconds struct {
	Changed float64 `json:"changed,omitempty"`
	OK      float64 `json:"ok,omitempty"`
}

// Weight is the time to expect: that of a change where one was seen, since order matters most then.
func (s Seconds) Weight() time.Duration {
	if s.Changed > 0 {
		return time.Duration(s.Changed * float64(time.Second))
	}
	return time.Duration(s.OK * float64(time.Second))
}

// historyFile is a file of earlier durations.
type historyFile struct {
	Playbook string             `json:"playbook"`
	Tasks    map[string]Seconds `json:"tasks"` // by task path: runtime/unit
}

// historyPath is the file for a playbook.
func (s *Store) historyPath(playbook string) string {
	hash := sha256.Sum256([]byte(absolute(playbook)))
	return filepath.Join(s.history(), fmt.Sprintf("%.60s-%x.json", filepath.Base(playbook), hash[:6]))
}

// History returns how long the tasks of a playbook took in earlier runs. Without any it is empty. A file that can't be
// read counts as none: durations are a help, not a need.
func (s *Store) History(playbook string) map[string]Seconds {
	b, err := os.ReadFile(s.historyPath(playbook))
	if err != nil {
		return map[string]Seconds{}
	}
	var h historyFile
	if json.Unmarshal(b, &h) != nil || h.Tasks == nil {
		return map[string]Seconds{}
	}
	return h.Tasks
}

// Durations gathers, while a session goes on, how long its tasks take. It is an event.Sink.
type Durations struct {
	mu   sync.Mutex
	seen map[string]*duration
}

// duration is of one task: over the hosts on which it has succeeded.
type duration struct {
	changed, ok   float64 // seconds
	changes, same int
}

// NewDurations returns empty ones.
func NewDurations() *Durations { return &Durations{seen: map[string]*duration{}} }

// Emit implements event.Sink. What was reused or failed teaches nothing.
func (d *Durations) Emit(e event.Event) {
	if e.Type != event.InstanceEnded || e.Status != event.OK && e.Status != event.Changed {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.seen[e.Task]
	if t == nil {
		t = &duration{}
		d.seen[e.Task] = t
	}
	if e.Status == event.Changed {
		t.changed, t.changes = t.changed+e.Duration.Seconds(), t.changes+1
	} else {
		t.ok, t.same = t.ok+e.Duration.Seconds(), t.same+1
	}
}

// Learn mixes the durations of a session into the history of its playbook: half of what is known, half of the mean of its
// hosts.
func (s *Store) Learn(playbook string, d *Durations) error {
	h := historyFile{Playbook: absolute(playbook), Tasks: s.History(playbook)}
	d.mu.Lock()
	defer d.mu.Unlock()
	for task, seen := range d.seen {
		old := h.Tasks[task]
		h.Tasks[task] = Seconds{Changed: mix(old.Changed, seen.changed/float64(max(1, seen.changes))),
			OK: mix(old.OK, seen.ok/float64(max(1, seen.same)))}
	}
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(s.historyPath(playbook), append(b, '\n'))
}

func mix(old, seen float64) float64 {
	switch {
	case seen == 0:
		return old
	case old == 0:
		return seen
	}
	return (old + seen) / 2
}

// replaceFile writes a file so that a reader sees the old or the new content, never a part.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return explain("write "+path, err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if gone := os.Remove(f.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return explain("write "+path, err)
	}
	return nil
}
