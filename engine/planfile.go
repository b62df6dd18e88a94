package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/host/whole"
)

// savedPlan is a plan in a file: how it was asked for, what the playbook was, and what every instance was to do. It holds
// no secrets: those are given again when it is carried out.
type savedPlan struct {
	Plan      int            `json:"kflow_plan"` // version of the format
	Sum       string         `json:"sum"`        // of the file, with zeros in this place: what was damaged is not carried out
	Made      time.Time      `json:"made"`
	Playbook  string         `json:"playbook"`
	Options   map[string]any `json:"options"`
	Digest    string         `json:"digest"` // of all that the playbook, the inventory and the inputs say
	Instances []Planned      `json:"instances"`
}

const planFormat = 1

// SavePlan writes a plan to a file that Config.Plan takes. A plan with hosts that were not reached or tasks that would fail
// is not worth carrying out, and is not written.
func (p *Project) SavePlan(file string, list []Planned, now time.Time) error {
	for _, e := range list {
		if e.Is == WouldFail || e.Is == NotReached {
			return &adviceError{fmt.Sprintf("the plan is not written: %s %s (%s)", e.Instance, e.Is, e.Why), "mend that, then plan again"}
		}
	}
	text, err := json.MarshalIndent(savedPlan{planFormat, noSum, now.UTC(), absolute(p.cfg.Playbook), p.info(), p.digest(), list}, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := writeWhole(file, bytes.Replace(text, []byte(noSum), []byte(sumOf(text)), 1)); err != nil {
		return unwritten(file, err)
	}
	return nil
}

// noSum stands where the sum will be.
const noSum = "0000000000000000000000000000000000000000000000000000000000000000"

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// writeWhole writes a file so that a reader sees all of it or what was there before. A device or a pipe (/dev/stdout, or what
// a shell makes of >(..)) is written to.
func writeWhole(file string, text []byte) error {
	if st, err := os.Stat(file); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return os.WriteFile(file, text, 0)
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // the link stays one
	}
	f, err := whole.Create(file)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Commit()
}

// unwritten says which file can't be written, rather than the one beside it that would have taken its place.
func unwritten(file string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("the plan can't be written to %s: %w", file, err)
}

// openPlan reads the plan that is to be carried out, and takes over how it was asked for.
func (p *Project) openPlan() error {
	if err := p.readPlan(); err != nil {
		return err
	}
	p.takeOver(&checkpoint.State{Playbook: p.saved.Playbook, Info: p.saved.Options})
	return nil
}

func (p *Project) readPlan() error {
	text, err := os.ReadFile(p.cfg.Plan)
	if err != nil {
		return fmt.Errorf("the plan can't be read: %w", err)
	}
	var saved savedPlan
	if err := json.Unmarshal(text, &saved); err != nil || saved.Plan != planFormat {
		return &adviceError{p.cfg.Plan + " is no plan of this kflow", "`kflow plan PLAYBOOK --out FILE` writes one"}
	}
	if len(saved.Sum) != len(noSum) || sumOf(bytes.Replace(text, []byte(saved.Sum), []byte(noSum), 1)) != saved.Sum {
		return &adviceError{p.cfg.Plan + " is not as it was written: it was changed or damaged", "plan again"}
	}
	p.saved = &saved
	return nil
}

// agreed is what a saved plan lets each instance do; nil where there is none.
func (p *Project) agreed() map[string]Planned {
	if p.saved == nil {
		return nil
	}
	out := make(map[string]Planned, len(p.saved.Instances))
	for _, e := range p.saved.Instances {
		out[e.Instance] = e
	}
	return out
}
