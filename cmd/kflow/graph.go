package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/sim"
)

// simulated as the value of --critical-path takes durations from a rehearsal.
const simulated = "simulated"

func (a *app) graphCommand() *cobra.Command {
	var cfg engine.Config
	var d engine.Picture
	var path string
	c := &cobra.Command{
		Use:   "graph PLAYBOOK",
		Short: "Render the playbook's graph; reaches no host",
		Example: `  kflow graph playbooks/ha-containerd.yaml -o svg >graph.svg
  kflow graph playbooks/ha-containerd.yaml --expand k8s-mn02          # what one host does, and what it waits for
  kflow graph playbooks/ha-containerd.yaml --critical-path            # of the latest run
  kflow graph playbooks/ha-containerd.yaml --critical-path=simulated  # before there is one`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg.Playbook, cfg.Sketch, cfg.State = args[0], path != simulated, a.state
			p, err := a.drawn(c.Context(), cfg, path, &d)
			if err != nil {
				return err
			}
			text, err := p.Draw(d)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, text)
			return err
		},
	}
	a.sourceFlags(c, &cfg)
	f := c.Flags()
	f.StringVarP(&d.Format, "output", "o", "text", "`FORMAT`: text, dot, mermaid, json or svg")
	f.StringVar(&d.Expand, "expand", "", "draw what this `HOST` does, and what that waits for elsewhere")
	f.StringVar(&path, "critical-path", "", "mark the tasks that decided how long a run took: the latest one, that of --critical-path=`RUN`, or that of a rehearsal (simulated)")
	f.Lookup("critical-path").NoOptDefVal = engine.Latest
	return c
}

// drawn opens the playbook, and finds the critical path that is asked for.
func (a *app) drawn(ctx context.Context, cfg engine.Config, path string, d *engine.Picture) (*engine.Project, error) {
	if path != simulated {
		p, err := a.open(ctx, cfg)
		if err == nil && path != "" {
			d.Path, d.PathFrom, err = p.EarlierPath(path)
		}
		return p, err
	}
	sizes, err := sim.ParseSizes(nil)
	if err != nil {
		return nil, err
	}
	cfg.Stage = &engine.Stage{Inventory: sizes.Inventory}
	p, err := a.open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := sim.NewSession(p, sim.NewWorld(sim.Options{Seed: 1, Kinds: cfg.Kinds}))
	s.Log.Forget()
	took := sim.NewPath(p)
	result, err := s.Run(ctx, took, nil)
	if err != nil {
		return nil, err
	}
	if result.Exit != engine.ExitOK {
		return nil, fmt.Errorf("the simulated run did not end well, so it says nothing of durations: `kflow simulate %s` shows why", cfg.Playbook)
	}
	d.Path, d.PathFrom = took.Steps(), "as simulated"
	return p, nil
}
