package checkpoint

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options of a Store.
type Options struct {
	Dir string           // "" = DefaultDir
	Now func() time.Time // nil = time.Now; names new runs and gives locks their age
}

// Store is the directory of all runs of a user. It is safe for concurrent use, also by several processes.
type Store struct {
	dir string
	now func() time.Time
}

// DefaultDir is ${XDG_STATE_HOME:-~/.local/state}/kflow.
func DefaultDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "kflow"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("where to keep runs: %w (set XDG_STATE_HOME or HOME)", err)
	}
	return filepath.Join(home, ".local", "state", "kflow"), nil
}

// NewStore returns the store at o.Dir and creates the directory where needed.
func NewStore(o Options) (*Store, error) {
	if o.Dir == "" {
		dir, err := DefaultDir()
		if err != nil {
			return nil, err
		}
		o.Dir = dir
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{dir: dir, now: o.Now}
	for _, sub := range []string{s.runs(), s.locks(), s.history()} {
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return nil, explain("the directory for runs", err)
		}
	}
	return s, nil
}

// Dir is the directory of the store.
func (s *Store) Dir() string { return s.dir }

func (s *Store) runs() string             { return filepath.Join(s.dir, "runs") }
func (s *Store) locks() string            { return filepath.Join(s.dir, "locks") }
func (s *Store) history() string          { return filepath.Join(s.dir, "history") }
func (s *Store) runDir(id string) string  { return filepath.Join(s.runs(), id) }
func (s *Store) runLock(id string) string { return filepath.Join(s.runDir(id), "lock") }

// LogPath is the path of the log of a run.
func (s *Store) LogPath(id string) string { return filepath.Join(s.runDir(id), "events.jsonl") }

// newID is the start in UTC and four random hex digits: can be typed, and sorts in the order of the starts. Where the
// clock was set back, or another run began in this second, it is a second after the newest run.
func (s *Store) newID() (string, error) {
	random := make([]byte, 2)
	rand.Read(random) // never fails, see crypto/rand
	start := s.now().UTC().Format(idTime)
	ids, err := s.IDs()
	if err != nil {
		return "", err
	}
	if len(ids) > 0 {
		if newest := ids[len(ids)-1][:len(idTime)]; start <= newest {
			t, err := time.Parse(idTime, newest)
			if err != nil {
				return "", fmt.Errorf("list runs: %w", err)
			}
			start = t.Add(time.Second).Format(idTime)
		}
	}
	return start + "-" + hex.EncodeToString(random), nil
}

// idTime is how a start is written in an id.
const idTime = "20060102-150405"

// ValidID tells whether id has the form of a run's id.
func ValidID(id string) bool {
	ok, _ := regexp.MatchString(`^\d{8}-\d{6}-[0-9a-f]{4}$`, id)
	if !ok {
		return false
	}
	_, err := time.Parse(idTime, id[:len(idTime)])
	return err == nil
}

// IDs returns the ids of all runs, oldest first.
func (s *Store) IDs() ([]string, error) {
	entries, err := os.ReadDir(s.runs())
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && ValidID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil // ReadDir sorts by name, so by start
}

// ErrNoRun says that there is no such run.
var ErrNoRun = errors.New("no such run")

// Find returns the id that ref means: an id, "latest", or the beginning or the end of exactly one id. The error wraps
// ErrNoRun when there is none.
func (s *Store) Find(ref string) (string, error) {
	ids, err := s.IDs()
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", fmt.Errorf("%w: there are no runs in %s", ErrNoRun, s.runs())
	}
	if ref == "latest" {
		return ids[len(ids)-1], nil
	}
	if ref == "" {
		return "", fmt.Errorf("%w: its id is empty", ErrNoRun)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, ref) && !strings.HasSuffix(id, ref) })
	switch {
	case len(ids) == 1 || slices.Contains(ids, ref):
		return ids[max(0, slices.Index(ids, ref))], nil
	case len(ids) == 0:
		return "", fmt.Errorf("%w: %q (kflow runs lists them)", ErrNoRun, ref)
	}
	return "", fmt.Errorf("%q means %d runs: %s", ref, len(ids), strings.Join(ids, ", "))
}

// Read folds the log of a run, which may be growing. A missing run is ErrNoRun, other errors are as of Fold.
func (s *Store) Read(id string) (*State, error) {
	f, err := s.Log(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	state, err := Fold(f)
	return state, s.locate(err, id)
}

// Log opens the log of a run for reading (see Records). A missing run is ErrNoRun.
func (s *Store) Log(id string) (*os.File, error) {
	if err := s.exists(id); err != nil {
		return nil, err
	}
	return os.Open(s.LogPath(id))
}

// exists returns ErrNoRun when there is no run of that id.
func (s *Store) exists(id string) error {
	if !ValidID(id) {
		return fmt.Errorf("%w: %q is no id", ErrNoRun, id)
	}
	_, err := os.Stat(s.LogPath(id))
	if !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(s.runDir(id)); err == nil {
		return fmt.Errorf("%w: %s has lost its log, there is nothing to go on with; rm -r %s takes it from the list", ErrNoRun, id, s.runDir(id))
	}
	return fmt.Errorf("%w: %s", ErrNoRun, id)
}

// locate adds the path to a DamageError.
func (s *Store) locate(err error, id string) error {
	var damage *DamageError
	if errors.As(err, &damage) {
		damage.Path = s.LogPath(id)
	}
	return err
}

// Remove deletes a run and its log. A run that a process works on is a *LockedError.
func (s *Store) Remove(id string) error {
	if err := s.exists(id); err != nil {
		return err
	}
	lock, err := s.lockRun(id)
	if err != nil {
		return err
	}
	defer lock.release()
	return os.RemoveAll(s.runDir(id))
}
