// Package engine is kflow without its command line: open a playbook, look at it, carry it out. It joins the packages
// below it and has no logic of its own.
package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/couple"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/mask"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/race"
	"github.com/kflow/kflow/engine/syntax"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// Exit codes of kflow.
const (
	ExitOK          = 0
	ExitUsage       = 1   // the command line, a playbook or an inventory is wrong
	ExitChanges     = 2   // a plan has changes
	ExitFailed      = 3   // tasks failed; can be resumed
	ExitUnreachable = 4   // a host could not be reached, or was lost; can be resumed
	ExitLocked      = 5   // another run holds the inventory or a host
	ExitInterrupted = 130 // can be resumed
)

// ExitError ends a command with a code. Err is nil when everything has been said.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the reason.
func (e *ExitError) Unwrap() error { return e.Err }

// Latest as Config.Resume is the latest run that did not end well.
const Latest = "latest"

// Config says what to carry out, where and how.
type Config struct {
	Playbook  string
	Inventory string // "" = the one the playbook names
	Set       []string
	SetFile   []string
	Vars      []string
	Identity  []string // files of age or SSH keys that open encrypted Vars
	Environ   []string // nil = os.Environ()
	Limit     string
	Only      []string
	Parallel  int
	AcceptNew bool
	Yes       bool
	Sketch    bool   // to look at only: no run is opened, inputs may be missing
	Resume    string // run to go on with, or Latest
	Plan      string // file of a plan that is to be carried out; it names the playbook
	State     string // folder of runs; "" = the user's
	Kinds     *task.Registry
	Agent     []string // path and arguments (the name first) of a program that is an agent for this machine; nil: tasks run in this process
	Version   string
	Stage     *Stage                                                // not nil: it is rehearsed on simulated hosts
	Aside     event.Sink                                            // hears what a plan waits for, and notes about hosts; nil: nobody does
	Ask       func(ctx context.Context, q Question) (string, error) // nil: there is nobody to ask
}

// Question is something only a person knows.
type Question struct {
	Text  string // complete, for people: "passphrase of /root/.ssh/id_ed25519"
	Shown bool   // the answer is no secret, and seen while it is typed
}

// Project is a playbook on an inventory, read and checked.
type Project struct {
	cfg     Config
	plan    *plan.Plan
	secrets []string
	targets []transport.Target // by host of the plan
	store   *checkpoint.Store
	resume  string     // id of the run that goes on
	whole   selection  // of the run that goes on
	saved   *savedPlan // that is carried out

	inputValues map[string]any
	environ     []string // variables that earlier sessions of the run had for inputs
	withheld    []string // inputs whose values these had, and that are in no record
	confirmed   []string // questions of the playbook that were answered with yes, also in earlier sessions of the run
}

// Open reads and checks everything that can be checked without reaching a host. The list has warnings, too.
func Open(ctx context.Context, cfg Config) (*Project, diag.List) {
	var found diag.List
	p := &Project{cfg: cfg}
	if !cfg.Sketch && cfg.Stage == nil {
		if err := p.openStore(); err != nil {
			return nil, failed(err)
		}
	}
	if cfg.Resume != "" {
		if err := p.openPrior(); err != nil {
			return nil, failed(err)
		}
	}
	if cfg.Plan != "" && cfg.Resume == "" {
		if err := p.openPlan(); err != nil {
			return nil, failed(err)
		}
	}
	if p.cfg.Environ == nil {
		p.cfg.Environ = os.Environ()
	}
	given := p.given(ctx, &found)
	pb, _, diags := playbook.Load(ctx, p.cfg.Playbook, playbook.Options{Kinds: p.cfg.Kinds, SecretInputs: given.secret})
	found.Extend(diags)
	if pb == nil {
		return nil, found
	}
	if found.HasErrors() {
		if p.cfg.Stage == nil {
			p.inventory(pb, &found) // what is wrong with it is said in the same pass
		}
		return nil, found
	}
	p.readRest(ctx, pb, given, &found)
	return p, p.masked(found)
}

func failed(err error) diag.List {
	var l diag.List
	if ds, ok := diag.As(err); ok {
		for _, d := range ds {
			l.Add(d)
		}
		return l
	}
	d := diag.Diagnostic{Summary: err.Error()}
	var h interface{ Help() string }
	if errors.As(err, &h) {
		d.Hint = h.Help()
	}
	l.Add(d)
	return l
}

func (p *Project) openStore() error {
	store, err := checkpoint.NewStore(checkpoint.Options{Dir: p.cfg.State})
	p.store = store
	return err
}

// readRest reads the inputs and the inventory, and plans.
func (p *Project) readRest(ctx context.Context, pb *playbook.Playbook, given given, found *diag.List) {
	values := p.inputs(ctx, pb, given, found)
	inv := p.inventory(pb, found)
	if found.HasErrors() {
		return
	}
	p.secrets = slices.Concat(values.Secrets, inv.Secrets(), given.secrets)
	made, diags := plan.Make(pb, inv, plan.Options{
		Limit: p.cfg.Limit, Only: p.cfg.Only, Inputs: values.Inputs, Weight: p.weights(), Sketch: p.cfg.Sketch,
	})
	found.Extend(diags)
	if !found.HasErrors() {
		made.Check(found)
		sketches := plan.NewSketches(made)
		race.Check(made, sketches, found)
		couple.Check(made, sketches, p.cfg.Kinds, found)
	}
	p.plan, p.inputValues = made, values.Inputs
	p.secrets = append(p.secrets, made.Secrets()...)
	if found.HasErrors() || p.cfg.Sketch {
		return
	}
	if p.cfg.Stage != nil {
		p.stageTargets()
		return
	}
	if err := p.makeTargets(); err != nil {
		found.Extend(failed(err))
	}
}

func (p *Project) inventory(pb *playbook.Playbook, found *diag.List) *inventory.Inventory {
	if p.cfg.Stage != nil {
		return p.staged(pb, found)
	}
	file, at := p.inventoryFile(pb)
	if file == "" {
		if !p.cfg.Sketch {
			found.Errorf(pb.Pos, "no inventory: the playbook names none").Hintf("give one with -i, or write `inventory: FILE` into the playbook")
		}
		return &inventory.Inventory{}
	}
	p.cfg.Inventory = file
	inv, diags := inventory.Load(file, at, syntax.ReadFile)
	found.Extend(diags)
	if inv == nil {
		return &inventory.Inventory{}
	}
	return inv
}

// inventoryFile is the file of the inventory, and where it is named: -i, else the playbook.
func (p *Project) inventoryFile(pb *playbook.Playbook) (string, diag.Pos) {
	if p.cfg.Inventory != "" {
		return p.cfg.Inventory, diag.Pos{File: "-i"}
	}
	return pb.Inventory, pb.InventoryAt
}

func (p *Project) weights() func(string) float64 {
	if p.store == nil {
		return nil
	}
	known := p.store.History(absolute(p.cfg.Playbook))
	return func(path string) float64 {
		s, ok := known[path]
		if !ok {
			return 0
		}
		return s.Weight().Seconds()
	}
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// masker knows every secret of the project from the first event on.
func (p *Project) masker() *mask.Masker { return mask.New(p.secrets...) }

// masked are findings without the secrets that they quote.
func (p *Project) masked(found diag.List) diag.List {
	if len(p.secrets) == 0 || found.Len() == 0 {
		return found
	}
	m, out := p.masker(), diag.List{}
	for _, d := range found.Sorted() {
		d.Summary, d.Hint = m.String(d.Summary), m.String(d.Hint)
		d.Notes = slices.Clone(d.Notes)
		for i := range d.Notes {
			d.Notes[i].Text = m.String(d.Notes[i].Text)
		}
		out.Add(d)
	}
	return out
}

// RunInfo is a run in a list.
type RunInfo struct {
	ID, Status, Playbook, Results string
	Started                       time.Time
	Took                          time.Duration
}

// Runs lists the runs of a state folder, the latest first.
func Runs(state string) ([]RunInfo, error) {
	store, err := checkpoint.NewStore(checkpoint.Options{Dir: state})
	if err != nil {
		return nil, err
	}
	list, err := store.List()
	if err != nil {
		return nil, err
	}
	var out []RunInfo
	for _, r := range list {
		out = append(out, RunInfo{
			ID: r.ID, Status: string(r.Status), Playbook: r.Playbook, Results: results(r), Started: r.Started, Took: max(0, r.Last.Sub(r.Started)), // the clock may have been set back
		})
	}
	return out, nil
}
