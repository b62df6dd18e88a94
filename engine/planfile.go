package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/host/whole"
	"github.com/kflow/kflow/engine/playbook"
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
	return writeWhole(file, bytes.Replace(text, []byte(noSum), []byte(sumOf(text)), 1))
}

// noSum stands where the sum will be.
const noSum = "0000000000000000000000000000000000000000000000000000000000000000"

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// writeWhole writes a file so that a reader sees all of it or what was there before.
func writeWhole(file string, text []byte) error {
	f, err := whole.Create(file)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return f.Commit()
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
		return err
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

// Fits plans again and compares: the error lists what is not as the plan says. Nothing has been touched then.
func (p *Project) Fits(ctx context.Context) error {
	if p.saved == nil {
		return nil
	}
	if p.saved.Digest != p.digest() {
		return &adviceError{"the playbook, its inventory or its inputs have changed since " + p.cfg.Plan + " was made", "plan again"}
	}
	now, err := p.Plan(ctx)
	if err != nil {
		return err
	}
	if wrong := differences(p.saved.Instances, now); len(wrong) > 0 {
		return &adviceError{"the hosts are not as they were when " + p.cfg.Plan + " was made:\n  " + strings.Join(wrong, "\n  "), "plan again"}
	}
	return nil
}

// differences are the instances of which two plans say different things.
func differences(was, is []Planned) []string {
	old := map[string]Planned{}
	for _, e := range was {
		old[e.Instance] = e
	}
	var out []string
	for _, e := range is {
		o, known := old[e.Instance]
		delete(old, e.Instance)
		switch {
		case !known:
			out = append(out, e.Instance+" is new")
		case o.Is != e.Is:
			out = append(out, fmt.Sprintf("%s: %s was planned, now it is %s", e.Instance, o.Is, e.Is))
		case !slices.Equal(o.Changes, e.Changes):
			out = append(out, e.Instance+": other changes than planned")
		}
	}
	for name := range old {
		out = append(out, name+" is gone")
	}
	slices.Sort(out)
	const shown = 10
	if len(out) > shown {
		out = append(out[:shown], fmt.Sprintf("and %d more", len(out)-shown))
	}
	return out
}

// digest sums up what decides what a run does: tasks with their parameters and conditions as written, hosts, and the values
// of inputs but secret ones. Comments and the order of keys play no part.
func (p *Project) digest() string {
	type taskSum struct {
		Path, Kind, Params, Run, Lock string
		When, Needs                   []string
		Args                          map[string]string
		Hosts                         []int
	}
	var tasks []taskSum
	for _, t := range p.plan.Playbook.All() {
		s := taskSum{Path: t.Path, Run: t.Run.String(), Lock: t.Lock, Args: map[string]string{}, Params: canonical(t.Params)}
		if t.Kind != nil {
			s.Kind = t.Kind.Name
		}
		if t.When != nil {
			s.When = []string{t.When.Text()}
		}
		if t.Part != nil {
			for name, a := range t.Part.Args {
				s.Args[name] = canonical(a.Value)
			}
		}
		tasks = append(tasks, s)
	}
	for _, l := range p.plan.Leaves {
		s := taskSum{Path: l.Task.Path, Hosts: l.Hosts}
		for _, e := range l.Needs {
			s.Needs = append(s.Needs, fmt.Sprint(p.plan.Leaves[e.From].Task.Path, " ", e.Form))
		}
		tasks = append(tasks, s)
	}
	inputs := map[string]any{}
	for _, in := range p.plan.Playbook.Inputs {
		if !in.Secret {
			inputs[in.Name] = p.inputValues[in.Name]
		}
	}
	hosts := map[string]any{}
	for _, h := range p.plan.Hosts {
		hosts[h.Name] = []any{h.Address, h.Groups, fmt.Sprint(h.Vars)}
	}
	text, err := json.Marshal([]any{tasks, inputs, hosts})
	if err != nil {
		return err.Error() // never the same as a sum
	}
	sum := sha256.Sum256([]byte(p.masker().String(string(text))))
	return hex.EncodeToString(sum[:])
}

func canonical(v *playbook.Value) string {
	if v == nil {
		return ""
	}
	text, err := v.Canonical()
	if err != nil {
		return err.Error()
	}
	return text
}
