package engine

import (
	"context"
	"os"
	"slices"

	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/syntax"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
)

// Stage makes a project one that is rehearsed: no run is opened, nothing is locked, and its hosts are those of Inventory,
// which gets what the playbook's own inventory says, or nil.
type Stage struct {
	Inventory func(*playbook.Playbook, *inventory.Inventory) (*inventory.Inventory, diag.List)
}

// Rehearsal is one session of a run on simulated hosts.
type Rehearsal struct {
	Clock   sched.Clock
	Dialer  func(*controller.Controller) transport.Dialer
	Log     run.Journal
	Prior   *checkpoint.State // of the session that it goes on with; nil = it is the first
	Sink    event.Sink
	Signals <-chan os.Signal
}

// Rehearse carries the project out on simulated hosts. A project can be rehearsed many times, also at once.
func (p *Project) Rehearse(ctx context.Context, r Rehearsal) (run.Result, error) {
	files := p.files()
	defer files.Close() // only a cache
	return run.Run(ctx, run.Config{
		Plan: p.plan, Dialer: r.Dialer(files), Targets: p.targets, Files: files, Log: r.Log, Prior: r.Prior, Mask: p.masker(), Agreed: p.agreed(),
		Sink: r.Sink, Limits: sched.Limits{Total: p.cfg.Parallel}, Clock: r.Clock, Signals: r.Signals, Quiet: -1,
		Playbook: p.cfg.Playbook, Source: "simulated",
	})
}

// TaskInfo is a task as the simulator's faults name it.
type TaskInfo struct {
	Path  string
	Kind  string
	Hosts []string
}

// Tasks are the tasks that have instances, in the order of the playbook.
func (p *Project) Tasks() []TaskInfo {
	var out []TaskInfo
	for _, l := range p.plan.Leaves {
		t := TaskInfo{Path: l.Task.Path, Kind: l.Task.Kind.Name}
		for _, h := range l.Hosts {
			t.Hosts = append(t.Hosts, p.plan.Hosts[h].Name)
		}
		out = append(out, t)
	}
	return out
}

// staged replaces the inventory by the one of the stage.
func (p *Project) staged(pb *playbook.Playbook, found *diag.List) *inventory.Inventory {
	var base *inventory.Inventory
	file, at := p.inventoryFile(pb)
	_, err := os.Stat(file)
	switch {
	case file == "":
	case err != nil && p.cfg.Inventory == "":
		found.Warnf(at, "there is no file %s: hosts are made for the groups of the playbook", file)
	default:
		var diags diag.List
		base, diags = inventory.Load(file, at, syntax.ReadFile)
		found.Extend(diags)
		if found.HasErrors() {
			return &inventory.Inventory{}
		}
	}
	inv, diags := p.cfg.Stage.Inventory(pb, base)
	found.Extend(diags)
	if inv == nil {
		return &inventory.Inventory{}
	}
	return inv
}

// stageTargets say that all hosts are simulated: nothing of how they are reached matters.
func (p *Project) stageTargets() {
	for _, h := range p.plan.Hosts {
		p.targets = append(p.targets, transport.Target{Name: h.Name, Connection: transport.Sim, Address: h.Address, NodeIP: h.NodeIP})
	}
}

// HostNames are the hosts of the project, in their order.
func (p *Project) HostNames() []string {
	out := make([]string, len(p.plan.Hosts))
	for i, h := range p.plan.Hosts {
		out[i] = h.Name
	}
	return out
}

// Undone tells whether a task is in a block with a finally (`run: always`): what that has undone is done again.
func (p *Project) Undone(path string) bool {
	for _, l := range p.plan.Leaves {
		if l.Task.Path != path {
			continue
		}
		for t := l.Task.Parent; t != nil; t = t.Parent {
			if slices.ContainsFunc(t.Steps, func(s *playbook.Task) bool { return s.Run == playbook.Always }) {
				return true
			}
		}
	}
	return false
}

// OnDemand tells whether a task runs on demand.
func (p *Project) OnDemand(path string) bool {
	for _, l := range p.plan.Leaves {
		if l.Task.Path == path {
			return l.Task.Run == playbook.OnDemand
		}
	}
	return false
}
