package checkpoint

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Learn mixes the durations of a run into the history of its playbook: half of what is known, half of the mean of this
// run's hosts. What was reused or failed teaches nothing.
func (s *Store) Learn(playbook string, run *State) error {
	h := historyFile{Playbook: absolute(playbook), Tasks: s.History(playbook)}
	for task, seen := range means(run) {
		old := h.Tasks[task]
		h.Tasks[task] = Seconds{Changed: mix(old.Changed, seen.Changed), OK: mix(old.OK, seen.OK)}
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

// means is, per task, the mean over the hosts on which it succeeded in the last session.
func means(run *State) map[string]Seconds {
	sum, n := map[string]Seconds{}, map[string][2]float64{}
	for _, i := range run.Instances {
		if i.Status != event.OK && i.Status != event.Changed {
			continue
		}
		s, c := sum[i.Task], n[i.Task]
		if i.Status == event.Changed {
			s.Changed, c[0] = s.Changed+i.Duration.Seconds(), c[0]+1
		} else {
			s.OK, c[1] = s.OK+i.Duration.Seconds(), c[1]+1
		}
		sum[i.Task], n[i.Task] = s, c
	}
	for task, s := range sum {
		sum[task] = Seconds{Changed: s.Changed / max(1, n[task][0]), OK: s.OK / max(1, n[task][1])}
	}
	return sum
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
