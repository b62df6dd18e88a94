// Package timezone is the kind timezone.
package timezone

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/program"
)

const (
	localtime = "/etc/localtime"
	zones     = "/usr/share/zoneinfo/"
	debian    = "/etc/timezone" // Debian's programs read the name here
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "timezone",
		Summary: "Time zone of the host",
		Doc: `Points /etc/localtime to the zone, with timedatectl where it works, else by itself, and keeps /etc/timezone in step
where that file exists. A zone that the host does not know is an error. The zone changes what people read; certificates
need the same *clock* on all nodes, which is the work of chrony (x509 "not yet valid": easzlab/kubeasz#918).`,
		New: func() task.Task { return new(Timezone) },
		Examples: []task.Example{{
			Title: "One zone for all hosts",
			YAML:  "- id: zone\n  timezone: Asia/Shanghai\n",
		}},
	}
}

// Timezone are the parameters.
type Timezone struct {
	Name string `json:"name" kf:"required,short" doc:"Name in the time zone database, for example Asia/Shanghai, Europe/Berlin or UTC."`
}

var nameRE = regexp.MustCompile(`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`)

// Check implements task.Checker.
func (p *Timezone) Check() error {
	if p.Name != "" && !nameRE.MatchString(p.Name) {
		return task.Failf("%q is not the name of a time zone", p.Name).WithHint("names look like Asia/Shanghai; `timedatectl list-timezones` shows all")
	}
	return nil
}

// Touches implements task.Toucher.
func (p *Timezone) Touches() task.Touches {
	return task.Touches{Writes: []string{"path:" + localtime, "path:" + debian}}
}

// Changes implements task.Task.
func (p *Timezone) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.known(ctx, h); err != nil {
		return nil, err
	}
	var changes []task.Change
	have, err := current(ctx, h)
	if err != nil {
		return nil, err
	}
	if have != p.Name {
		changes = append(changes, task.Change{Summary: "set time zone " + p.Name, Diff: have + " -> " + p.Name, Apply: p.apply})
	}
	text, exists, err := hostfile.Read(ctx, h, debian)
	if err != nil {
		return nil, err
	}
	if exists && strings.TrimSpace(text) != p.Name {
		changes = append(changes, hostfile.Want(debian, text, p.Name+"\n", true, task.Attr{})...)
	}
	return changes, nil
}

func (p *Timezone) known(ctx context.Context, h task.Host) error {
	_, err := h.Stat(ctx, zones+p.Name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := h.Stat(ctx, zones); errors.Is(err, fs.ErrNotExist) {
		return task.Failf("the host has no time zone database in %s", zones).WithHint("install the package tzdata before this task")
	}
	return task.Failf("the host knows no time zone %q", p.Name).
		WithHint("check the name with `timedatectl list-timezones`; newer zones need a newer package tzdata")
}

// current is the name of the zone: where /etc/localtime points. Without that file it is UTC, as systemd has it.
func current(ctx context.Context, h task.Host) (string, error) {
	fi, err := h.Lstat(ctx, localtime)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "UTC", nil
	case err != nil:
		return "", err
	}
	if _, name, ok := strings.Cut(fi.Target, "zoneinfo/"); ok {
		return name, nil
	}
	return "unknown (" + localtime + " is no link)", nil
}

func (p *Timezone) apply(ctx context.Context, h task.Host) error {
	_, done, err := program.Try(ctx, h, task.Cmd("timedatectl", "set-timezone", p.Name))
	if done || err != nil {
		return err
	}
	return h.Symlink(ctx, ".."+zones+p.Name, localtime)
}

// Interface guards.
var (
	_ task.Checker = (*Timezone)(nil)
	_ task.Toucher = (*Timezone)(nil)
)
