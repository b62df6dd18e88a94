// Package reboot is the kind reboot: takes a host down and waits until it is up again.
package reboot

import (
	"context"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/program"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "reboot",
		Summary: "Reboots the host and waits until it is up again",
		Doc: `An action: it runs once per run. The engine expects the connection to end, and dials until the host answers with
another boot id; facts are then gathered anew. With ` + "`only_if`" + ` the host is rebooted only where that file exists, as
Debian's /run/reboot-required does after an update that needs it. Put a drain before, and ` + "`max_parallel: 1`" + ` where
the cluster runs already.`,
		New: func() task.Task { return new(Reboot) },
		Examples: []task.Example{{
			Title: "Reboot where an update asks for it, one host after the other",
			YAML: `- id: reboot
  max_parallel: 1
  reboot:
    only_if: /run/reboot-required
    timeout: 15m
`,
		}},
	}
}

// Reboot are the parameters.
type Reboot struct {
	Timeout task.Duration `json:"timeout" default:"10m" doc:"How long the host may take until it answers again, for example 10m; the task fails after that."`
	Delay   task.Duration `json:"delay" default:"0s" doc:"How long to wait before the reboot, for example 30s for users to be warned."`
	Message string        `json:"message" default:"kflow: reboot" doc:"What users who are logged in are told."`
	OnlyIf  string        `json:"only_if" kf:"format=path" doc:"Path of a file; the host is rebooted only if it exists."`
}

// Action implements task.Actor.
func (p *Reboot) Action() bool { return true }

// RebootTimeout implements task.Rebooter.
func (p *Reboot) RebootTimeout() time.Duration { return p.Timeout.D() }

// Touches implements task.Toucher.
func (p *Reboot) Touches() task.Touches {
	t := task.Touches{Writes: []string{"host"}}
	if p.OnlyIf != "" {
		t.Reads = []string{"path:" + p.OnlyIf}
	}
	return t
}

// Changes implements task.Task.
func (p *Reboot) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if p.OnlyIf != "" {
		if wanted, err := hostfile.Exists(ctx, h, p.OnlyIf); err != nil || !wanted {
			return nil, err
		}
	}
	return []task.Change{{Summary: "reboot", Apply: p.apply}}, nil
}

func (p *Reboot) apply(ctx context.Context, h task.Host) error {
	if p.Delay > 0 {
		if err := h.Sleep(ctx, p.Delay.D()); err != nil {
			return err
		}
	}
	o, err := h.Run(ctx, task.Cmd("shutdown", "-r", "now", p.Message))
	if err == nil && !o.OK() {
		return task.Failf("`shutdown -r now` ended with exit code %d", o.Code).WithOutput(o).
			WithHint("something holds the machine up (`systemd-inhibit --list`: an update that runs, for example), or this is a container that may not reboot")
	}
	if program.Missing(err) {
		_, err = task.Must(ctx, h, task.Cmd("reboot"))
	}
	return err
}

// Interface guards.
var (
	_ task.Rebooter = (*Reboot)(nil)
	_ task.Actor    = (*Reboot)(nil)
	_ task.Toucher  = (*Reboot)(nil)
)
