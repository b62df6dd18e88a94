// Package sysctl is the kind sysctl: kernel settings, now and after a reboot.
package sysctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "sysctl",
		Summary: "Kernel settings, now and after a reboot",
		Doc: `Writes the values to one file, which holds nothing else, and to /proc/sys. Blanks and tabs between numbers do not
matter. A key the running kernel lacks is an error that names what provides it, or is left out where ` + "`optional`" + ` lists
it. Other files in the directories of sysctl.d(5) that are read later and say otherwise win at the next boot: that is a
failure naming the file, unless ` + "`conflicts: warn`" + `. Kubernetes needs net.ipv4.ip_forward and, with the module
br_netfilter, net.bridge.bridge-nf-call-iptables (kubernetes/kubernetes#127593, flannel-io/flannel#2068).`,
		New: func() task.Task { return new(Sysctl) },
		Examples: []task.Example{{
			Title: "What Kubernetes needs",
			YAML: `- id: modules
  modprobe: [br_netfilter]
- id: kernel
  needs: [modules]
  sysctl:
    file: /etc/sysctl.d/95-kubernetes.conf
    values:
      net.ipv4.ip_forward: 1
      net.bridge.bridge-nf-call-iptables: 1
      net.ipv4.tcp_rmem: 10240 87380 12582912
`,
		}},
	}
}

// Sysctl are the parameters.
type Sysctl struct {
	File      string            `json:"file" kf:"required,format=path" doc:"File that keeps the values, /etc/sysctl.d/NAME.conf; it holds nothing else. Files are read in the order of their names, the last one wins."`
	Values    map[string]string `json:"values" kf:"required" doc:"Values by key, written as sysctl does: net.ipv4.ip_forward. Several numbers are separated by blanks."`
	Optional  []string          `json:"optional" doc:"Keys that are left out, without an error, where the running kernel does not have them."`
	Conflicts string            `json:"conflicts" kf:"enum=fail|warn" default:"fail" doc:"What to do when another file, read later at boot, sets one of the keys to another value."`
}

// Check implements task.Checker.
func (p *Sysctl) Check() error {
	var errs []error
	if p.File != "" && p.File != mainFile && (path.Dir(p.File) != "/etc/sysctl.d" || path.Ext(p.File) != ".conf") {
		errs = append(errs, task.Failf("%s is not read at boot", p.File).WithHint("name a file /etc/sysctl.d/NAME.conf, for example /etc/sysctl.d/95-kubernetes.conf"))
	}
	for _, key := range slices.Sorted(maps.Keys(p.Values)) {
		if strings.ContainsAny(key, " \t\n=*#;") || key == "" || strings.Contains(key, "..") {
			errs = append(errs, task.Failf("%q is not a key of the kernel", key).WithHint("write keys as `sysctl -a` lists them, one for each interface: patterns are not possible"))
		}
	}
	for _, key := range p.Optional {
		if _, ok := p.Values[key]; !ok && p.Values != nil {
			errs = append(errs, task.Failf("optional: %s has no value in `values`", key))
		}
	}
	return errors.Join(errs...)
}

// Touches implements task.Toucher.
func (p *Sysctl) Touches() task.Touches {
	t := task.Touches{Writes: []string{"path:" + p.File}}
	for _, key := range p.keys() {
		t.Writes = append(t.Writes, "sysctl:"+key)
		if m := module(key); m != "" {
			t.Reads = append(t.Reads, "module:"+m)
		}
	}
	return t
}

// keys in the order they are set. Turning forwarding on resets other settings of the interfaces (accept_redirects), so
// it comes first.
func (p *Sysctl) keys() []string {
	return slices.SortedFunc(maps.Keys(p.Values), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
}

func rank(key string) int {
	if key == "net.ipv4.ip_forward" || key == "net.ipv6.conf.all.forwarding" {
		return 0
	}
	return 1
}

// Changes implements task.Task.
func (p *Sysctl) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	var file strings.Builder
	file.WriteString("# Written by kflow: do not edit.\n")
	var keys, diff []string
	for _, key := range p.keys() {
		want := normal(p.Values[key])
		have, err := h.ReadFile(ctx, procPath(key))
		if errors.Is(err, fs.ErrNotExist) {
			if !slices.Contains(p.Optional, key) {
				return nil, missing(h, key)
			}
			continue
		}
		if err != nil {
			return nil, task.Failf("kernel setting %s cannot be read: %w", key, err)
		}
		file.WriteString(key + " = " + want + "\n")
		if is := normal(string(have)); is != want {
			keys = append(keys, key)
			diff = append(diff, key+": "+is+" -> "+want)
		}
	}
	if err := p.later(ctx, h); err != nil {
		return nil, err
	}
	text, exists, err := hostfile.Read(ctx, h, p.File)
	if err != nil {
		return nil, err
	}
	changes := hostfile.Want(p.File, text, file.String(), exists, task.Attr{})
	if keys != nil {
		changes = append(changes, task.Change{
			Summary: summary(keys), Diff: strings.Join(diff, "\n"), Apply: p.set(keys),
		})
	}
	return changes, nil
}

func summary(keys []string) string {
	if len(keys) == 1 {
		return "set kernel setting " + keys[0]
	}
	return fmt.Sprintf("set %d kernel settings", len(keys))
}

// normal makes values comparable: the kernel separates numbers by tabs.
func normal(value string) string {
	if one := strings.TrimSpace(value); !strings.ContainsFunc(one, unicode.IsSpace) {
		return one
	}
	return strings.Join(strings.Fields(value), " ")
}

// procPath is the file of a key. As in sysctl(8), the first separator decides: with a dot first, a slash in the key
// stands for a dot in a name (net.ipv4.conf.eth0/100.rp_filter).
func procPath(key string) string {
	if i := strings.IndexAny(key, "./"); i < 0 || key[i] == '/' {
		return "/proc/sys/" + key
	}
	const dir = "/proc/sys/"
	var path strings.Builder
	path.Grow(len(dir) + len(key))
	path.WriteString(dir)
	for i := range len(key) {
		switch c := key[i]; c {
		case '.':
			path.WriteByte('/')
		case '/':
			path.WriteByte('.')
		default:
			path.WriteByte(c)
		}
	}
	return path.String()
}

func (p *Sysctl) set(keys []string) func(context.Context, task.Host) error {
	return func(ctx context.Context, h task.Host) error {
		for _, key := range keys {
			want := normal(p.Values[key])
			if err := h.WriteFile(ctx, procPath(key), strings.NewReader(want+"\n"), task.Attr{}); err != nil {
				return task.Failf("the kernel refuses %s = %s: %w", key, want, err).
					WithHint("the value may be out of range, or this machine is a container and may not change it; see the kernel's Documentation/admin-guide/sysctl")
			}
		}
		return nil
	}
}

// missing is the error for a key the kernel does not have.
func missing(h task.Host, key string) error {
	for prefix, module := range map[string]string{
		"net.bridge.": "br_netfilter", "net.netfilter.nf_conntrack_": "nf_conntrack", "net.nf_conntrack_": "nf_conntrack",
		"net.ipv4.vs.": "ip_vs", "net.netfilter.nf_flowtable_": "nf_flow_table",
	} {
		if strings.HasPrefix(key, prefix) {
			return notyet.Failf("module:"+module, "the kernel has no setting %s", key).
				WithHint("load it before: a task with `modprobe: [%s]` that this task needs", module)
		}
	}
	hint := "check how it is written; where only some kernels have it, list it under `optional`"
	if strings.HasPrefix(key, "net.ipv6.") {
		hint = "IPv6 is switched off in this kernel; list the key under `optional`"
	}
	return task.Failf("kernel %s has no setting %s", h.Facts().Kernel, key).WithHint("%s", hint)
}
