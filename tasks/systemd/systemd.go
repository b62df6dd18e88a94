// Package systemd is the kind systemd: units that run, start at boot, and run with the configuration they have now.
package systemd

import (
	"context"
	"errors"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "systemd",
		Summary: "A systemd unit: running or not, started at boot or not, restarted when its configuration changed",
		Doc: `There are no handlers: a service that must restart after its configuration changed lists the files in ` + "`restart_on`" + `. The
host keeps the SHA-256 of these files at the last start kflow saw (in /var/lib/kflow/units), so a restart cannot be lost
by a failure between the change and the restart; times of files play no part. A running service without such a record is
restarted once, since nobody knows which configuration it has read. systemctl daemon-reload runs by itself where systemd
asks for it or does not know a unit file yet.

After a start the unit must stay active for ` + "`settle`" + `; if it does not, the failure shows its status and last log lines.
kubelet before ` + "`kubeadm init`" + ` ends and is started again all the time: ` + "`activating: ok`" + ` accepts that. A unit that does not
exist is "known after" an earlier task in a plan and an error in a run, unless ` + "`missing: ok`" + `: then there is nothing to do.`,
		New: func() task.Task { return new(Systemd) },
		Examples: []task.Example{{
			Title: "A service that follows its configuration",
			YAML: `- id: service
  systemd:
    unit: containerd
    state: started
    enabled: true
    restart_on: [/etc/containerd/config.toml]
`,
		}, {
			Title: "A firewall that may not be installed",
			YAML: `- id: firewall
  systemd:
    unit: firewalld
    state: stopped
    enabled: false
    missing: ok
`,
		}},
	}
}

// Systemd are the parameters.
type Systemd struct {
	Unit       string        `json:"unit" kf:"required" doc:"Name of the unit; .service is added when it has no type, as systemctl does."`
	State      string        `json:"state" kf:"enum=started|stopped|restarted" doc:"started or stopped; restarted is an action: it restarts the unit once per run. Not looked at if not given."`
	Enabled    *bool         `json:"enabled" doc:"Whether the unit starts at boot; not looked at if not given."`
	Masked     *bool         `json:"masked" doc:"Whether the unit is masked, so that nothing can start it; not looked at if not given."`
	Missing    string        `json:"missing" kf:"enum=ok" doc:"ok: where the unit does not exist there is nothing to do."`
	RestartOn  task.Strings  `json:"restart_on" doc:"Paths of files; the unit is restarted when one has changed since the last start kflow saw. Only with state: started."`
	Reload     bool          `json:"reload" doc:"Reload instead of restart when a file of restart_on has changed, where the unit can reload."`
	Activating string        `json:"activating" kf:"enum=ok" doc:"ok: a unit that is still starting, or ends and is started again over and over, counts as started."`
	Settle     task.Duration `json:"settle" default:"1s" doc:"How long the unit must stay active after a start, for example 5s."`
}

// Check implements task.Checker.
func (p *Systemd) Check() error {
	switch {
	case len(p.RestartOn) > 0 && p.State != "started":
		return task.Failf("restart_on needs state: started").WithHint("add `state: started`, or leave restart_on out")
	case p.Masked != nil && *p.Masked && (p.State == "started" || p.State == "restarted" || p.Enabled != nil && *p.Enabled):
		return task.Failf("a masked unit can be neither started nor enabled").WithHint("use masked: true with state: stopped")
	case p.State == "" && p.Enabled == nil && p.Masked == nil:
		return task.Failf("nothing is declared of unit %s", p.Unit).WithHint("give state, enabled or masked")
	}
	return nil
}

// Action implements task.Actor.
func (p *Systemd) Action() bool { return p.State == "restarted" }

// Touches implements task.Toucher.
func (p *Systemd) Touches() task.Touches {
	if p.Unit == "" {
		return task.Touches{} // not known yet
	}
	t := task.Touches{Writes: []string{"unit:" + strings.TrimSuffix(p.Unit, ".service")}}
	for _, dir := range []string{"/etc", "/usr/lib", "/lib", "/usr/local/lib"} {
		t.Reads = append(t.Reads, "path:"+dir+"/systemd/system/"+p.name(), "path:"+dir+"/systemd/system/"+p.name()+".d/")
	}
	for _, name := range p.RestartOn {
		t.Reads = append(t.Reads, "path:"+name)
	}
	return t
}

// name is the unit with its type.
func (p *Systemd) name() string {
	for _, suffix := range []string{"service", "socket", "target", "timer", "mount", "automount", "path", "slice", "scope", "swap", "device"} {
		if strings.HasSuffix(p.Unit, "."+suffix) {
			return p.Unit
		}
	}
	return p.Unit + ".service"
}

// Changes implements task.Task.
func (p *Systemd) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	u, err := show(ctx, h, p.name())
	if err != nil {
		return nil, err
	}
	if u.missing() {
		return p.whenMissing()
	}
	if p.Enabled != nil {
		if err := u.askScript(ctx, h, p.name()); err != nil {
			return nil, err
		}
	}
	var changes []task.Change
	add := func(cs ...task.Change) { changes = append(changes, cs...) }
	if is(p.Masked, false) && u.masked() {
		add(p.systemctl("unmask"))
		u["LoadState"], u["NeedDaemonReload"] = "loaded", "no"
	}
	if u.masked() && (p.State == "started" || p.State == "restarted" || is(p.Enabled, true)) {
		return nil, task.Failf("unit %s is masked", p.name()).WithHint("somebody has forbidden it to start; say `masked: false` if that is to end")
	}
	if u["NeedDaemonReload"] == "yes" {
		add(task.Change{Summary: "reload the configuration of systemd", Apply: run("daemon-reload")})
	}
	if is(p.Enabled, true) && !u.enabled() {
		add(p.systemctl("enable"))
	}
	state, err := p.state(ctx, h, u)
	if err != nil {
		return nil, err
	}
	add(state...)
	if is(p.Enabled, false) && u.canDisable() {
		add(p.systemctl("disable"))
	}
	if is(p.Masked, true) && !u.masked() {
		add(p.mask())
	}
	return changes, nil
}

// is tells whether something is declared, and so.
func is(declared *bool, so bool) bool { return declared != nil && *declared == so }

// whenMissing: masking works without a unit; anything else needs one.
func (p *Systemd) whenMissing() ([]task.Change, error) {
	switch {
	case is(p.Masked, true) && p.Missing == "":
		return []task.Change{p.mask()}, nil
	case p.Missing == "ok":
		return nil, nil
	}
	return nil, notyet.Failf("unit:"+strings.TrimSuffix(p.Unit, ".service"), "there is no unit %s", p.name()).
		WithHint("let this task need the one that installs it, or say `missing: ok` where it may be absent")
}

// state are the changes that bring the unit to the state that is declared.
func (p *Systemd) state(ctx context.Context, h task.Host, u unit) ([]task.Change, error) {
	switch p.State {
	case "stopped":
		if u.down() {
			return nil, nil
		}
		return []task.Change{{Summary: "stop " + p.Unit, Diff: u.state() + " -> inactive", Apply: p.stop}}, nil
	case "restarted":
		return []task.Change{{Summary: "restart " + p.Unit, Apply: p.start("restart")}}, nil
	case "started":
		return p.started(ctx, h, u)
	}
	return nil, nil
}

func (p *Systemd) started(ctx context.Context, h task.Host, u unit) ([]task.Change, error) {
	up := u.up() || p.Activating == "ok" && u["ActiveState"] == "activating"
	if !up {
		return []task.Change{{Summary: "start " + p.Unit, Diff: u.state() + " -> active", Apply: p.start("start")}}, nil
	}
	why, err := p.changed(ctx, h)
	if err != nil || why == "" {
		return nil, err
	}
	verb := "restart"
	if p.Reload {
		verb = "reload-or-restart"
	}
	return []task.Change{{Summary: verb + " " + p.Unit, Diff: why, Apply: p.start(verb)}}, nil
}

func (p *Systemd) systemctl(verb string) task.Change {
	return task.Change{Summary: verb + " " + p.Unit, Apply: run(verb, p.name())}
}

// mask fails where the unit's own file is in the way.
func (p *Systemd) mask() task.Change {
	return task.Change{Summary: "mask " + p.Unit, Apply: func(ctx context.Context, h task.Host) error {
		o, err := h.Run(ctx, task.Cmd("systemctl", "mask", p.name()))
		if err == nil && !o.OK() {
			return task.Failf("unit %s cannot be masked", p.name()).WithOutput(o).
				WithHint("a unit file in /etc/systemd/system is in the way: use `enabled: false` instead, or remove that file first")
		}
		return err
	}}
}

func run(args ...string) func(context.Context, task.Host) error {
	return func(ctx context.Context, h task.Host) error {
		_, err := task.Must(ctx, h, task.Cmd(append([]string{"systemctl"}, args...)...))
		var f *task.Failure
		if len(args) < 2 || !errors.As(err, &f) || f.Hint != "" {
			return err
		}
		return f.WithHint("`systemctl cat %s` shows the unit, `ls -l /etc/systemd/system` files and links that are in the way", args[1])
	}
}

// stop passes on what systemctl warns of: a socket that may start the service again.
func (p *Systemd) stop(ctx context.Context, h task.Host) error {
	o, err := task.Must(ctx, h, task.Cmd("systemctl", "stop", p.name()))
	if warning := strings.TrimSpace(o.Stderr); err == nil && warning != "" {
		h.Log(warning)
	}
	return err
}

// Interface guards.
var (
	_ task.Checker = (*Systemd)(nil)
	_ task.Actor   = (*Systemd)(nil)
	_ task.Toucher = (*Systemd)(nil)
)
