package engine

import (
	"context"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/sched"
)

// Planned is what a plan says of one instance.
type Planned = run.Planned

// What a plan can say of an instance.
const (
	NoChange   = run.NoChange
	WillChange = run.WillChange
	IsAction   = run.IsAction
	WillSkip   = run.WillSkip
	KnownAfter = run.KnownAfter
	WouldFail  = run.WouldFail
	NotReached = run.NotReached
)

// Plan connects, asks every task for its changes, and writes nothing on the hosts but the cached agent.
func (p *Project) Plan(ctx context.Context) ([]Planned, error) {
	sink := event.SinkFunc(p.asides)
	files := p.files()
	defer files.Close() // only a cache
	dialer := p.dialer(nil, files, sink)
	defer dialer.Close()
	return p.foresee(ctx, run.Config{
		Plan: p.plan, Dialer: dialer, Targets: p.targets, Files: files, Mask: p.masker(), Sink: sink,
		Limits: sched.Limits{Total: p.cfg.Parallel},
	})
}

// PlanRehearsed plans on simulated hosts; of r, Clock and Dialer count.
func (p *Project) PlanRehearsed(ctx context.Context, r Rehearsal) ([]Planned, error) {
	files := p.files()
	defer files.Close() // only a cache
	return p.foresee(ctx, run.Config{
		Plan: p.plan, Dialer: r.Dialer(files), Targets: p.targets, Files: files, Mask: p.masker(), Clock: r.Clock,
		Sink: event.SinkFunc(func(event.Event) {}), Limits: sched.Limits{Total: p.cfg.Parallel}, Quiet: -1,
	})
}

// asides hands on what is said beside a plan.
func (p *Project) asides(e event.Event) {
	if p.cfg.Aside != nil && (e.Type == event.Waiting || e.Type == event.Note) {
		p.cfg.Aside.Emit(e)
	}
}

func (p *Project) foresee(ctx context.Context, c run.Config) ([]Planned, error) {
	list, err := run.Foresee(ctx, c)
	if err != nil {
		return nil, &ExitError{Code: ExitUnreachable, Err: err}
	}
	return list, nil
}
