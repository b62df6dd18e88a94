// Package hostname is the kind hostname: the name of a host, now and after a reboot.
package hostname

import (
	"context"
	"regexp"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/program"
)

const (
	staticFile = "/etc/hostname"
	kernelFile = "/proc/sys/kernel/hostname"
	maxLength  = 63 // the kernel keeps 64 bytes, a label of a Kubernetes node name 63
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "hostname",
		Summary: "Name of the host, now and after a reboot",
		Doc: `Sets the static name (/etc/hostname) and the name the kernel has, with hostnamectl where systemd-hostnamed
answers, else by writing both. A name must be lower case (RFC 1123): kubeadm registers the node under it, and Kubernetes
refuses other names. Names of nodes must differ [install-kubeadm]; ` + "`kflow validate`" + ` cannot see that for names that come
from facts, so take them from the inventory. /etc/hosts is not touched: use the kind file.`,
		New: func() task.Task { return new(Hostname) },
		Examples: []task.Example{{
			Title: "Name each host as the inventory does",
			YAML:  "- id: hostname\n  hostname: ${{ host.name }}\n",
		}},
	}
}

// Hostname are the parameters.
type Hostname struct {
	Name string `json:"name" kf:"required,short" doc:"Name of the host, lower case letters, digits, hyphens and dots, at most 63 characters."`
}

var nameRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// Check implements task.Checker.
func (p *Hostname) Check() error {
	if p.Name == "" {
		return nil
	}
	if len(p.Name) > maxLength {
		return task.Failf("host name %q has %d characters, at most %d are possible", p.Name, len(p.Name), maxLength).WithHint("shorten it; the domain need not be part of it")
	}
	if !nameRE.MatchString(p.Name) {
		return task.Failf("host name %q is not a lower case RFC 1123 name", p.Name).
			WithHint("use only a-z, 0-9, hyphens and dots, with a letter or digit first and last, for example %q", suggest(p.Name))
	}
	return nil
}

// suggest makes a name that would pass from one that does not.
func suggest(name string) string {
	s := regexp.MustCompile(`[^a-z0-9.-]+`).ReplaceAllString(strings.ToLower(name), "-")
	if s = strings.Trim(s, "-."); s == "" {
		return "node-1"
	}
	return s
}

// Touches implements task.Toucher.
func (p *Hostname) Touches() task.Touches {
	return task.Touches{Writes: []string{"path:" + staticFile, "sysctl:kernel.hostname"}}
}

// Changes implements task.Task.
func (p *Hostname) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	static, _, err := hostfile.Read(ctx, h, staticFile)
	if err != nil {
		return nil, err
	}
	running, err := h.ReadFile(ctx, kernelFile)
	if err != nil {
		return nil, err
	}
	var diff []string
	add := func(what, have string) {
		if have != p.Name {
			diff = append(diff, what+": "+orNone(have)+" -> "+p.Name)
		}
	}
	add(staticFile, firstLine(static))
	add("running kernel", strings.TrimSpace(string(running)))
	if diff == nil {
		return nil, nil
	}
	return []task.Change{{Summary: "set host name " + p.Name, Diff: strings.Join(diff, "\n"), Apply: p.apply}}, nil
}

func (p *Hostname) apply(ctx context.Context, h task.Host) error {
	o, done, err := program.Try(ctx, h, task.Cmd("hostnamectl", "set-hostname", p.Name))
	if done || err != nil {
		return err
	}
	if said := o.Tail(200); said != "" { // without systemd or D-Bus, for example
		h.Log("hostnamectl does not work here, writing " + staticFile + ": " + said)
	}
	if err := h.WriteFile(ctx, staticFile, strings.NewReader(p.Name+"\n"), task.Attr{}); err != nil {
		return err
	}
	return h.WriteFile(ctx, kernelFile, strings.NewReader(p.Name+"\n"), task.Attr{})
}

// firstLine is the first line of /etc/hostname that says something: hostname(5) allows comments.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// Interface guards.
var (
	_ task.Checker = (*Hostname)(nil)
	_ task.Toucher = (*Hostname)(nil)
)
