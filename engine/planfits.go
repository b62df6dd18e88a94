package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/run"
)

// Fits plans again and compares. already are the instances of which planned changes are there by now, all or some: somebody
// has made them, which is no harm. The error lists what is not as the plan says. Nothing has been touched then.
func (p *Project) Fits(ctx context.Context) (already []string, err error) {
	if p.saved == nil {
		return nil, nil
	}
	if p.saved.Digest != p.digest() {
		return nil, &adviceError{"the playbook, its inventory or its inputs have changed since " + p.cfg.Plan + " was made" + p.otherVersion(), "plan again"}
	}
	now, err := p.Plan(ctx)
	if err != nil {
		return nil, err
	}
	d := run.Compare(p.plan, p.saved.Instances, now)
	if len(d.Wrong) > 0 {
		return nil, &adviceError{"the hosts are not as they were when " + p.cfg.Plan + " was made:\n  " + strings.Join(few(d.Wrong), "\n  "), "plan again"}
	}
	return d.Already, p.actsTwice(now)
}

// otherVersion says that a plan was made by another kflow, which may see more in a playbook, or less.
func (p *Project) otherVersion() string {
	made := options{p.saved.Options}.text("version")
	if made == p.cfg.Version {
		return ""
	}
	return fmt.Sprintf(" (or kflow itself: %s has made it, this is %s)", made, p.cfg.Version)
}

func few(list []string) []string {
	const shown = 10
	if len(list) <= shown {
		return list
	}
	return append(list[:shown:shown], fmt.Sprintf("and %d more", len(list)-shown))
}

// actsTwice refuses a plan that a run has carried out before, all or some of it, where that would do actions a second time:
// each was agreed on once.
func (p *Project) actsTwice(now []Planned) error {
	if p.store == nil || !slices.ContainsFunc(now, func(e Planned) bool { return e.Is == IsAction }) {
		return nil
	}
	list, err := p.store.List()
	if err != nil {
		return err
	}
	for _, r := range list {
		if (options{r.Info}).text("plan_sum") != p.saved.Sum {
			continue
		}
		state, err := p.store.Read(r.ID)
		if err != nil {
			return err
		}
		if err := p.actedIn(state, r, now); err != nil {
			return err
		}
	}
	return nil
}

func (p *Project) actedIn(state *checkpoint.State, r checkpoint.Summary, now []Planned) error {
	for _, e := range now {
		if i := state.Instances[e.Instance]; e.Is != IsAction || i == nil || i.Starts == 0 {
			continue
		}
		help := "plan again"
		if r.Resumable() {
			help = "kflow resume " + r.ID + " goes on with it; or plan again"
		}
		return &adviceError{fmt.Sprintf("%s is an action, and run %s has carried it out by this plan already", e.Instance, r.ID), help}
	}
	return nil
}

// digest sums up what decides what a run does: tasks with their parameters and conditions as written, where and in which
// order they run, hosts, and the values of inputs but secret ones. Comments and the order of keys play no part.
func (p *Project) digest() string {
	inputs := map[string]any{}
	for _, in := range p.plan.Playbook.Inputs {
		if !in.Secret {
			inputs[in.Name] = p.inputValues[in.Name]
		}
	}
	hosts := map[string]any{}
	for _, h := range p.plan.Hosts {
		hosts[h.Name] = []any{h.Address, h.NodeIP, h.Groups, fmt.Sprint(h.Vars), h.Connection, h.SSH.Port}
	}
	var tasks []taskSum
	for _, t := range p.plan.Playbook.All() {
		tasks = append(tasks, sumOfTask(t))
	}
	var places []plan.Place
	for _, l := range p.plan.Leaves {
		places = append(places, l.Place)
	}
	order := slices.Clone(p.plan.Spec.Tasks)
	for i := range order {
		order[i].Weight = 0 // of earlier runs: it only says what is started first
	}
	text, err := json.Marshal([]any{tasks, places, order, p.plan.Spec.Groups, inputs, hosts})
	if err != nil {
		return err.Error() // never the same as a sum
	}
	sum := sha256.Sum256([]byte(p.masker().String(string(text))))
	return hex.EncodeToString(sum[:])
}

// taskSum is what a task says, as it is written.
type taskSum struct {
	Path, Kind, Params, ForEach, Run string
	When, Until                      string
	Args, Outputs                    map[string]string // of a part
}

func sumOfTask(t *playbook.Task) taskSum {
	s := taskSum{Path: t.Path, Run: t.Run.String(), Params: canonical(t.Params), ForEach: canonical(t.ForEach),
		When: textOf(t.When), Args: map[string]string{}, Outputs: map[string]string{}}
	if t.Kind != nil {
		s.Kind = t.Kind.Name
	}
	if t.Retry != nil {
		s.Until = textOf(t.Retry.Until)
	}
	if t.Part == nil {
		return s
	}
	for name, a := range t.Part.Args {
		s.Args[name] = canonical(a.Value)
	}
	for _, o := range t.Part.Outputs {
		s.Outputs[o.Name] = canonical(o.Value)
	}
	return s
}

func textOf(c *playbook.Code) string {
	if c == nil {
		return ""
	}
	return c.Text()
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
