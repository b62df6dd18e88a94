package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
)

// openPrior finds the run to go on with and takes over how it was started; what is given now wins.
func (p *Project) openPrior() error {
	id, err := p.findRun(p.cfg.Resume)
	if err != nil {
		return err
	}
	state, err := p.store.Read(id)
	if err != nil {
		return err
	}
	if state.Ended && state.Exit == ExitOK && state.Left == 0 {
		return &adviceError{fmt.Sprintf("run %s ended well, there is nothing to resume", id), "start it anew with `kflow run " + state.Playbook + "`"}
	}
	if state.Playbook == "" {
		return &adviceError{fmt.Sprintf("run %s ended before it began", id), "start it anew with `kflow run`"}
	}
	p.resume = id
	p.takeOver(state)
	return p.planOf(id, state)
}

// planOf reads the saved plan that a run carries out: it holds for what is left, too.
func (p *Project) planOf(id string, state *checkpoint.State) error {
	info := options{state.Info}
	if p.cfg.Plan = info.text("plan"); p.cfg.Plan == "" {
		return nil
	}
	const help = "put the file back, or start a run without it"
	if err := p.readPlan(); err != nil {
		return &adviceError{fmt.Sprintf("run %s carries out a plan that can't be read: %v", id, err), help}
	}
	if p.saved.Sum != info.text("plan_sum") {
		return &adviceError{fmt.Sprintf("run %s carries out a plan, and %s is another one by now", id, p.cfg.Plan), help}
	}
	return nil
}

func (p *Project) findRun(ref string) (string, error) {
	if ref != Latest {
		return p.store.Find(ref)
	}
	list, err := p.store.List()
	if err != nil {
		return "", err
	}
	for _, r := range list {
		if r.Resumable() {
			return r.ID, nil
		}
	}
	if i := slices.IndexFunc(list, func(r checkpoint.Summary) bool { return r.Status == checkpoint.Running }); i >= 0 {
		return "", &adviceError{fmt.Sprintf("no run is left to resume: %s is going on (process %d)", list[i].ID, list[i].Owner.PID),
			"wait for it to end, or interrupt it with kill -INT " + strconv.Itoa(list[i].Owner.PID)}
	}
	return "", &adviceError{"no run is left to resume", "`kflow runs` lists all"}
}

// adviceError is an error with a way out.
type adviceError struct{ text, help string }

func (e *adviceError) Error() string { return e.text }

// Help says what to do now.
func (e *adviceError) Help() string { return e.help }

// takeOver sets what the command line left open from the options of the run.
func (p *Project) takeOver(state *checkpoint.State) {
	c := &p.cfg
	c.Playbook = state.Playbook
	info := options{state.Info}
	if c.Inventory == "" {
		c.Inventory = info.text("inventory")
	}
	name := func(pair string) string { n, _, _ := strings.Cut(pair, "="); return n }
	c.Set = unlessAgain(info.list("set"), c.Set, name)
	c.SetFile = unlessAgain(info.list("set_file"), c.SetFile, name)
	c.Vars = unlessAgain(info.list("vars"), c.Vars, absolute)
	c.Identity = unlessAgain(info.list("identity"), c.Identity, absolute)
	p.confirmed, p.environ, p.withheld = info.list("confirmed"), info.list("environ"), info.list("withheld")
	p.whole = selection{limit: info.text("limit"), only: info.list("only")}
	if c.Limit == "" {
		c.Limit = p.whole.limit
	}
	if len(c.Only) == 0 {
		c.Only = p.whole.only
	}
	if n, ok := state.Info["parallel"].(float64); ok && c.Parallel == 0 {
		c.Parallel = int(n)
	}
}

// unlessAgain is what was given once and what is given now, without what is given again: the same file of values opened
// twice would ask twice, and be one more at every resume.
func unlessAgain(once, now []string, key func(string) string) []string {
	once = slices.DeleteFunc(once, func(was string) bool {
		return slices.ContainsFunc(now, func(is string) bool { return key(is) == key(was) })
	})
	return append(once, now...)
}

// selection is what of a playbook is carried out.
type selection struct {
	limit string
	only  []string
}

// wholeRun is what the run at hand is to do in all its sessions: what it was started for, and what a resume asks for beyond
// that. A resume that asks for less is one session, and no reason to forget the rest.
func (p *Project) wholeRun() selection {
	now := selection{limit: p.cfg.Limit, only: p.cfg.Only}
	if p.resume == "" {
		return now
	}
	was := p.whole
	for word := range strings.SplitSeq(now.limit, ",") {
		if was.limit != "" && word != "" && !slices.Contains(strings.Split(was.limit, ","), word) {
			was.limit += "," + word
		}
	}
	for _, path := range now.only {
		if len(was.only) > 0 && !slices.Contains(was.only, path) {
			was.only = append(slices.Clip(was.only), path)
		}
	}
	return was
}

// left is how many instances of the run are not done and not in this session.
func (p *Project) left(prior *checkpoint.State) int {
	if prior == nil {
		return 0
	}
	n := 0
	whole := p.wholeRun()
	for _, in := range p.plan.Beyond(whole.limit, whole.only) {
		i := prior.Instances[p.plan.Name(in)]
		if i == nil || i.Done == nil && !(i.Allowed && (i.Status == event.Failed || i.Status == event.TimedOut)) {
			n++
		}
	}
	return n
}

type options struct{ m map[string]any }

func (o options) text(key string) string {
	s, _ := o.m[key].(string)
	return s
}

func (o options) list(key string) []string {
	var out []string
	list, _ := o.m[key].([]any)
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
