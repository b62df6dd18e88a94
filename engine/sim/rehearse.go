package sim

import (
	"context"
	"os"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
)

// Session is a run of a project in a world that can be gone on with.
type Session struct {
	Project *engine.Project
	World   *World
	Log     *checkpoint.Memory
	names   []string
}

// NewSession begins a run.
func NewSession(p *engine.Project, w *World) *Session {
	return &Session{Project: p, World: w, Log: checkpoint.NewMemory("simulated"), names: p.HostNames()}
}

// Run carries the project out, or goes on with it where the run has begun.
func (s *Session) Run(ctx context.Context, sink event.Sink, signals <-chan os.Signal) (run.Result, error) {
	var prior *checkpoint.State
	if s.Log.Seq() > 0 {
		prior = s.Log.State()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	killed := func() { s.World.Clock.Cancel(cancel, errKilled) }
	s.World.Faults.onKill(func() {
		s.Log.LoseAfter(s.Log.Seq(), nil)
		killed()
	})
	if f, n := s.World.Faults.killAt(); n > 0 {
		s.Log.LoseAfter(n, func() {
			s.World.Faults.struck(f)
			killed()
		})
	}
	return s.Project.Rehearse(ctx, engine.Rehearsal{
		Clock: s.World.Clock, Log: s.Log, Prior: prior, Sink: sink, Signals: signals,
		Dialer: func(files *controller.Controller) transport.Dialer { return s.World.Dialer(files, s.names) },
	})
}

// Heal mends what is broken, and lets time go by until somebody goes on with the run.
func (s *Session) Heal(after time.Duration) {
	s.World.Faults.Heal()
	s.Log.LoseAfter(0, nil)
	s.World.Pass(after)
}

// Targets are what faults of a project can name.
func Targets(p *engine.Project) []Target {
	var out []Target
	for _, t := range p.Tasks() {
		out = append(out, Target{Task: t.Path, Hosts: t.Hosts})
	}
	return out
}
