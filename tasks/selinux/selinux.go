// Package selinux is the kind selinux: the mode of SELinux, now and after a reboot.
package selinux

import (
	"context"
	"regexp"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
)

const (
	config  = "/etc/selinux/config"
	enforce = "/sys/fs/selinux/enforce" // "1" or "0"; not there while SELinux is disabled
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "selinux",
		Summary: "Mode of SELinux, now and after a reboot",
		Doc: `Sets SELINUX= in /etc/selinux/config and the mode of the running kernel (setenforce). A host without SELinux (Debian,
Ubuntu), and for ` + "`permissive`" + ` one where it is disabled, is left alone. A running kernel cannot be brought to or from ` + "`disabled`" + ` without a reboot: until then
` + "`disabled`" + ` is met by permissive, and a line says that a reboot is due. Kubernetes asks for permissive
[install-kubeadm]; RHEL 9 disables SELinux for good only by the kernel argument selinux=0.`,
		New: func() task.Task { return new(SELinux) },
		Examples: []task.Example{{
			Title: "As Kubernetes' documentation has it",
			YAML:  "- id: selinux\n  selinux: permissive\n",
		}},
	}
}

// SELinux are the parameters.
type SELinux struct {
	State string `json:"state" kf:"required,short,enum=permissive|disabled|enforcing" doc:"Mode: permissive (logs only), disabled (needs a reboot) or enforcing."`
}

// Touches implements task.Toucher.
func (p *SELinux) Touches() task.Touches {
	return task.Touches{Writes: []string{"path:" + config, "selinux"}}
}

// Changes implements task.Task.
func (p *SELinux) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	text, configured, err := hostfile.Read(ctx, h, config)
	if err != nil {
		return nil, err
	}
	running, err := mode(ctx, h)
	if err != nil {
		return nil, err
	}
	if !configured && running == "disabled" {
		if p.State == "enforcing" {
			return nil, task.Failf("this host has no SELinux").WithHint("install a policy, or use state: permissive, which leaves such hosts alone")
		}
		return nil, nil
	}
	if p.State == "permissive" && running == "disabled" && configuredMode(text) == "disabled" {
		return nil, nil // more permissive already, and a way back would relabel all files at the next boot
	}
	changes := hostfile.Want(config, text, p.edit(text), configured, task.Attr{})
	if len(changes) > 0 && p.rebootDue(running) {
		changes[0].Apply = announced(changes[0].Apply, p.State)
	}
	return append(changes, p.now(running)...), nil
}

// mode is that of the running kernel.
func mode(ctx context.Context, h task.Host) (string, error) {
	text, exists, err := hostfile.Read(ctx, h, enforce)
	switch {
	case err != nil || !exists:
		return "disabled", err
	case strings.TrimSpace(text) == "1":
		return "enforcing", nil
	}
	return "permissive", nil
}

// configuredMode is what the last line SELINUX= says; "" where there is none.
func configuredMode(text string) string {
	all := settingRE.FindAllString(text, -1)
	if all == nil {
		return ""
	}
	_, value, _ := strings.Cut(all[len(all)-1], "=")
	return strings.ToLower(strings.TrimSpace(value))
}

// edit sets the line SELINUX= and leaves the rest, SELINUXTYPE= included, as it is.
func (p *SELinux) edit(text string) string {
	if settingRE.MatchString(text) {
		return settingRE.ReplaceAllLiteralString(text, "SELINUX="+p.State)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + "SELINUX=" + p.State + "\n"
}

var settingRE = regexp.MustCompile(`(?m)^[ \t]*SELINUX[ \t]*=.*$`)

func (p *SELinux) rebootDue(running string) bool {
	return (p.State == "disabled") != (running == "disabled")
}

func announced(apply func(context.Context, task.Host) error, state string) func(context.Context, task.Host) error {
	return func(ctx context.Context, h task.Host) error {
		h.Log("SELinux will be " + state + " after the next reboot")
		return apply(ctx, h)
	}
}

// now is the change of the running kernel, as far as it can be changed.
func (p *SELinux) now(running string) []task.Change {
	want, flag := "permissive", "0"
	if p.State == "enforcing" {
		want, flag = "enforcing", "1"
	}
	if running == "disabled" || running == want {
		return nil
	}
	return []task.Change{{
		Summary: "set SELinux " + want,
		Diff:    running + " -> " + want,
		Apply: func(ctx context.Context, h task.Host) error {
			o, err := h.Run(ctx, task.Cmd("setenforce", flag))
			if err == nil && !o.OK() {
				return task.Failf("`setenforce %s` ended with exit code %d", flag, o.Code).WithOutput(o).
					WithHint("the policy may forbid it (`getsebool secure_mode_policyload`), or this machine is a container: then it is set on the machine below. The file is written already: a reboot brings it, too")
			}
			return err
		},
	}}
}

// Interface guard.
var _ task.Toucher = (*SELinux)(nil)
