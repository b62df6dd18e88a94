package systemd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/program"
)

// unit are the properties that systemctl show prints.
type unit map[string]string

const properties = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload"

// show asks systemd for a unit. A unit whose file is there, but which systemd does not know, needs a daemon-reload.
func show(ctx context.Context, h task.Host, name string) (unit, error) {
	o, err := task.Must(ctx, h, task.Query("systemctl", "show", "--property="+properties, name))
	if program.Missing(err) {
		return nil, task.Failf("this host has no systemd; its first process is %s", h.Facts().Init).WithHint("units can only be looked at where systemd runs; leave such hosts out: when: host.facts.init == \"systemd\"")
	}
	if err != nil {
		return nil, noBus(err)
	}
	u := unit{}
	for line := range strings.Lines(o.Stdout) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		u[key] = value
	}
	if !u.missing() {
		return u, nil
	}
	for _, dir := range []string{"/etc/systemd/system/", "/run/systemd/system/", "/usr/local/lib/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"} {
		if there, err := hostfile.Exists(ctx, h, dir+name); err != nil {
			return nil, err
		} else if there {
			u["LoadState"], u["NeedDaemonReload"] = "loaded", "yes"
			return u, nil
		}
	}
	return u, nil
}

// noBus says what to do where systemctl is there and systemd does not answer.
func noBus(err error) error {
	var f *task.Failure
	if errors.As(err, &f) && (strings.Contains(f.Output, "not been booted with systemd") || strings.Contains(f.Output, "Failed to connect to bus")) {
		return f.WithHint("systemd does not run here, or does not answer: a container without it, or a machine whose D-Bus is down (`systemctl status dbus`)")
	}
	return err
}

func (u unit) missing() bool { return u["LoadState"] == "not-found" }
func (u unit) masked() bool  { return u["LoadState"] == "masked" }
func (u unit) up() bool      { return u["ActiveState"] == "active" || u["ActiveState"] == "reloading" }
func (u unit) down() bool    { return u["ActiveState"] == "inactive" || u["ActiveState"] == "failed" }
func (u unit) state() string { return u["ActiveState"] + " (" + u["SubState"] + ")" }

// ended is a hint for a unit whose program has ended without an error; "" for others.
func (u unit) ended() string {
	if u["ActiveState"] != "inactive" {
		return ""
	}
	return "its program ended without an error: a unit that does one thing and ends (Type=oneshot) is never started for long; say `state: restarted`, or declare its timer. Else, "
}

// enabled: a static unit has nothing to enable, a generated one starts because its generator says so.
func (u unit) enabled() bool {
	switch u["UnitFileState"] {
	case "enabled", "static", "alias", "indirect", "generated", "transient":
		return true
	}
	return false
}

// askScript looks closer at a generated unit: if a script in /etc/init.d stands behind it, it can be enabled and disabled
// by its links in /etc/rc?.d, of which UnitFileState says nothing, but is-enabled does.
func (u unit) askScript(ctx context.Context, h task.Host, name string) error {
	if u["UnitFileState"] != "generated" {
		return nil
	}
	o, err := h.Run(ctx, task.Query("systemctl", "is-enabled", name)) // ends with 1 for what is disabled
	if err != nil {
		return err
	}
	if state := strings.TrimSpace(o.Stdout); state == "enabled" || state == "disabled" {
		u["UnitFileState"] = state
	}
	return nil
}

func (u unit) canDisable() bool {
	return u["UnitFileState"] == "enabled" || u["UnitFileState"] == "enabled-runtime"
}

// start starts or restarts the unit, sees that it stays up, and records the files it has started with. The hashes are
// taken before: a file that changes meanwhile makes another restart.
func (p *Systemd) start(verb string) func(context.Context, task.Host) error {
	return func(ctx context.Context, h task.Host) error {
		hashes, err := p.before(ctx, h)
		if err != nil {
			return err
		}
		o, err := h.Run(ctx, task.Cmd("systemctl", verb, p.name()))
		if err != nil {
			return err
		}
		if !o.OK() && tooOften(o) { // it was mended just now: what it did before does not count
			if o, err = p.again(ctx, h, verb); err != nil {
				return err
			}
		}
		if !o.OK() {
			return p.failed(ctx, h, "unit "+p.name()+" does not start", o, "")
		}
		if err := p.settle(ctx, h); err != nil {
			return err
		}
		return p.record(ctx, h, hashes)
	}
}

// tooOften tells whether systemd refuses to start a unit only because it has failed several times in a short time.
func tooOften(o task.Output) bool {
	return strings.Contains(o.Stderr, "attempted too often") || strings.Contains(o.Stderr, "repeated too quickly")
}

// again lets systemd forget how often the unit has failed, and repeats the command.
func (p *Systemd) again(ctx context.Context, h task.Host, verb string) (task.Output, error) {
	h.Log("it has failed several times before; starting it nevertheless, once")
	if _, err := task.Must(ctx, h, task.Cmd("systemctl", "reset-failed", p.name())); err != nil {
		return task.Output{}, err
	}
	return h.Run(ctx, task.Cmd("systemctl", verb, p.name()))
}

// settle looks again and again, for as long as the unit must stay active, whether it does.
func (p *Systemd) settle(ctx context.Context, h task.Host) error {
	const step = 500 * time.Millisecond
	for left := p.Settle.D(); ; left -= step {
		u, err := show(ctx, h, p.name())
		switch {
		case err != nil:
			return err
		case p.Activating == "ok" && !u.down():
			return nil
		case !u.up():
			return p.failed(ctx, h, "unit "+p.name()+" started, but then it is "+u.state(), task.Output{}, u.ended())
		case left <= 0:
			return nil
		}
		if err := h.Sleep(ctx, min(step, left)); err != nil {
			return err
		}
	}
}

// failed is a failure with the status of the unit and its last log lines, which need a moment to get into the journal.
// hint is what to do besides looking there.
func (p *Systemd) failed(ctx context.Context, h task.Host, what string, said task.Output, hint string) error {
	if err := h.Sleep(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	text := said.Stderr
	for _, c := range []task.Command{
		task.Query("systemctl", "status", "--no-pager", "--full", "--lines=0", p.name()),
		task.Query("journalctl", "--no-pager", "--output=cat", "--boot", "--lines=20", "--unit="+p.name()),
	} {
		if o, err := h.Run(ctx, c); err == nil {
			text += "\n" + strings.TrimSpace(o.Stdout)
		}
	}
	return task.Failf("%s", what).WithOutput(task.Output{Stderr: text}).
		WithHint("%son the host, `journalctl -u %s -b` shows all it has said", hint, p.name())
}
