// Package swap is the kind swap: keeps a host from swapping, now and after a reboot.
package swap

import (
	"context"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/program"
)

const (
	fstab     = "/etc/fstab"
	active    = "/proc/swaps"
	zram      = "/etc/systemd/zram-generator.conf"
	ownUnits  = "/etc/systemd/system/" // unit files there cannot be masked, only disabled
	zramEmpty = "# Written by kflow: no swap on compressed memory.\n"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "swap",
		Summary: "No swap, now and after a reboot",
		Doc: `kubelet refuses to start while there is swap, unless it is told otherwise. swapoff and an edited fstab are not
enough: swap comes back with systemd's .swap units (GPT partitions are found without fstab), zram and Ubuntu's /swap.img
(kubespray#2348, KubeOperator/ansible#6, clastix/yaki#12, kubernetes/kubernetes#34726). So this kind comments out the
swap lines of /etc/fstab, masks .swap units and the services of packages that make swap (zram, dphys-swapfile of the Raspberry Pi), switches systemd's zram generator off, and
runs swapoff -a where /proc/swaps has entries. Swap files and partitions themselves are kept.`,
		New: func() task.Task { return new(Swap) },
		Examples: []task.Example{{
			Title: "As kubeadm asks for",
			YAML:  "- id: swap\n  swap: \"off\"\n",
		}},
	}
}

// Swap are the parameters.
type Swap struct {
	State string `json:"state" kf:"required,short,enum=off" doc:"Only \"off\": no swap is in use and none comes back after a reboot."`
}

// Touches implements task.Toucher.
func (p *Swap) Touches() task.Touches {
	return task.Touches{Writes: []string{"path:" + fstab, "path:" + zram, "swap"}}
}

// Changes implements task.Task.
func (p *Swap) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	var changes []task.Change
	for _, find := range []func(context.Context, task.Host) ([]task.Change, error){inFstab, inZram, inUnits, inUse} {
		cs, err := find(ctx, h)
		if err != nil {
			return nil, err
		}
		changes = append(changes, cs...)
	}
	return changes, nil
}

// inFstab comments out swap lines.
func inFstab(ctx context.Context, h task.Host) ([]task.Change, error) {
	text, exists, err := hostfile.Read(ctx, h, fstab)
	if err != nil || !exists {
		return nil, err
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 3 && f[2] == "swap" && f[0][0] != '#' {
			out.WriteString("#")
		}
		out.WriteString(line)
	}
	changes := hostfile.Want(fstab, text, out.String(), true, task.Attr{})
	for i := range changes {
		changes[i].Apply = withReload(h, changes[i].Apply)
	}
	return changes, nil
}

// inZram overrides the configuration of systemd's zram generator where it makes swap.
func inZram(ctx context.Context, h task.Host) ([]task.Change, error) {
	for _, name := range []string{zram, "/run/systemd/zram-generator.conf", "/usr/lib/systemd/zram-generator.conf"} {
		text, exists, err := hostfile.Read(ctx, h, name)
		if err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		if !strings.Contains("\n"+text, "\n[zram") {
			return nil, nil // the first file that exists is the one that counts
		}
		before, own, err := hostfile.Read(ctx, h, zram)
		if err != nil {
			return nil, err
		}
		changes := hostfile.Want(zram, before, zramEmpty, own, task.Attr{})
		for i := range changes {
			changes[i].Apply = withReload(h, changes[i].Apply)
		}
		return changes, nil
	}
	return nil, nil
}

// withReload makes systemd run its generators again after a change.
func withReload(h task.Host, apply func(context.Context, task.Host) error) func(context.Context, task.Host) error {
	if h.Facts().Init != "systemd" {
		return apply
	}
	return func(ctx context.Context, h task.Host) error {
		if err := apply(ctx, h); err != nil {
			return err
		}
		_, err := task.Must(ctx, h, task.Cmd("systemctl", "daemon-reload"))
		return err
	}
}

// inUnits masks units that would bring swap back and do not come from fstab.
func inUnits(ctx context.Context, h task.Host) ([]task.Change, error) {
	if h.Facts().Init != "systemd" {
		return nil, nil
	}
	o, ok, err := program.Try(ctx, h, task.Query("systemctl", "show", "--property=Id,LoadState,UnitFileState,FragmentPath,SourcePath",
		"*.swap", "zramswap.service", "zram-config.service", "dphys-swapfile.service", "systemd-swap.service"))
	if err != nil || !ok {
		return nil, err
	}
	var changes []task.Change
	for block := range strings.SplitSeq(o.Stdout, "\n\n") {
		unit := properties(block)
		verb := "mask"
		switch {
		case unit["LoadState"] != "loaded" || unit["FragmentPath"] == "" || unit["SourcePath"] == fstab:
			continue
		case strings.HasPrefix(unit["FragmentPath"], ownUnits) && unit["UnitFileState"] != "enabled":
			continue
		case strings.HasPrefix(unit["FragmentPath"], ownUnits):
			verb = "disable"
		}
		changes = append(changes, task.Change{Summary: verb + " " + unit["Id"], Apply: systemctl(verb, "--now", unit["Id"])})
	}
	return changes, nil
}

func properties(block string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(block) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		m[key] = value
	}
	return m
}

func systemctl(args ...string) func(context.Context, task.Host) error {
	return func(ctx context.Context, h task.Host) error {
		_, err := task.Must(ctx, h, task.Cmd(append([]string{"systemctl"}, args...)...))
		return err
	}
}

// inUse switches off what is in use now.
func inUse(ctx context.Context, h task.Host) ([]task.Change, error) {
	text, _, err := hostfile.Read(ctx, h, active)
	if err != nil {
		return nil, err
	}
	var devices []string
	for _, line := range strings.Split(text, "\n")[1:] { // the first line is the heading; a kernel without swap has no file
		if f := strings.Fields(line); len(f) > 0 {
			devices = append(devices, f[0])
		}
	}
	if devices == nil {
		return nil, nil
	}
	return []task.Change{{Summary: "turn off swap", Diff: strings.Join(devices, "\n"), Apply: turnOff}}, nil
}

func turnOff(ctx context.Context, h task.Host) error {
	o, err := h.Run(ctx, task.Cmd("swapoff", "-a"))
	if err == nil && !o.OK() {
		return task.Failf("swap cannot be turned off").WithOutput(o).
			WithHint("what is swapped out must fit into memory: stop programs, or reboot now that swap does not come back")
	}
	return err
}

// Interface guard.
var _ task.Toucher = (*Swap)(nil)
