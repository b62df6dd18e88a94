// Package modprobe is the kind modprobe: kernel modules, now and after a reboot.
package modprobe

import (
	"context"
	"path"
	"regexp"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/program"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "modprobe",
		Summary: "Kernel modules, loaded now and after a reboot",
		Doc: `Loads each module that is not there, and lists it in a file of /etc/modules-load.d. An entry may be a list: the first
module of it that the kernel has is taken, because nf_conntrack_ipv4 became nf_conntrack in Linux 4.19 and in RHEL's 4.18
(kubernetes/kubernetes#97052), so that versions cannot be compared. A module that is built into the kernel counts as
loaded; it is recognised in /proc/modules, /sys/module, modules.builtin and by what it brings (/proc/sys/net/bridge for
br_netfilter), since kernels without module support have none of the former. kubeadm no longer checks br_netfilter since
1.30 (kubernetes/kubernetes#123464). Load modules before the kind sysctl sets what they bring.`,
		New: func() task.Task { return new(Modprobe) },
		Examples: []task.Example{{
			Title: "Modules that kube-proxy and containerd use",
			YAML: `- id: modules
  modprobe:
    file: /etc/modules-load.d/kubernetes.conf
    modules:
      - overlay
      - br_netfilter
      - [nf_conntrack, nf_conntrack_ipv4]
`,
		}},
	}
}

// Modprobe are the parameters.
type Modprobe struct {
	Modules []task.Strings `json:"modules" kf:"required,short,min=1" doc:"Modules; an entry that is a list stands for the first of its modules that the kernel has."`
	File    string         `json:"file" kf:"format=path" default:"/etc/modules-load.d/kflow.conf" doc:"File that lists the modules for the next boot; lines that are in it stay."`
}

var moduleRE = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Check implements task.Checker.
func (p *Modprobe) Check() error {
	if p.File != "" && (path.Dir(p.File) != "/etc/modules-load.d" || path.Ext(p.File) != ".conf") {
		return task.Failf("%s is not read at boot", p.File).WithHint("name a file /etc/modules-load.d/NAME.conf")
	}
	for _, name := range p.all() {
		if !moduleRE.MatchString(name) {
			return task.Failf("%q is not the name of a kernel module", name).WithHint("write it as lsmod does: overlay, without a path and without .ko")
		}
	}
	return nil
}

func (p *Modprobe) all() (names []string) {
	for _, any := range p.Modules {
		names = append(names, any...)
	}
	return names
}

// Touches implements task.Toucher.
func (p *Modprobe) Touches() task.Touches {
	t := task.Touches{Writes: []string{"path:" + p.File}}
	for _, name := range p.all() {
		t.Writes = append(t.Writes, "module:"+canonical(name))
	}
	return t
}

// canonical is the name as the kernel writes it: to modprobe a dash is an underscore.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Changes implements task.Task.
func (p *Modprobe) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	k, err := readKernel(ctx, h)
	if err != nil {
		return nil, err
	}
	var changes []task.Change
	var chosen []string
	for _, alternatives := range p.Modules {
		name, loaded, err := k.choose(ctx, h, alternatives)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, name)
		if !loaded {
			changes = append(changes, task.Change{Summary: "load kernel module " + name, Apply: load(name)})
		}
	}
	text, exists, err := hostfile.Read(ctx, h, p.File)
	if err != nil {
		return nil, err
	}
	return append(changes, hostfile.Want(p.File, text, withLines(text, chosen), exists, task.Attr{})...), nil
}

func load(name string) func(context.Context, task.Host) error {
	return func(ctx context.Context, h task.Host) error {
		o, err := h.Run(ctx, task.Cmd("modprobe", name))
		if err != nil || o.OK() {
			return err
		}
		f := task.Failf("`modprobe %s` ended with exit code %d", name, o.Code).WithOutput(o)
		for _, a := range []struct{ text, hint string }{
			{"Key was rejected", "Secure Boot accepts signed modules only, and this one is not, or not by a known key: take the distribution's module, or enrol the key (mokutil)"},
			{"Required key not available", "Secure Boot accepts signed modules only: take the distribution's module, or enrol the key (mokutil)"},
			{"Operation not permitted", "this machine is a container, or its kernel is locked (kernel.modules_disabled): load the module on the machine below"},
			{"Invalid argument", "the module was built for another kernel: `uname -r`, `dmesg | tail`; after an update of the kernel reboot first"},
			{"Exec format error", "the module was built for another kernel: `uname -r`, `dmesg | tail`; after an update of the kernel reboot first"},
		} {
			if strings.Contains(o.Stderr, a.text) {
				return f.WithHint("%s", a.hint)
			}
		}
		return f.WithHint("`grep -rw %s /etc/modprobe.d` shows whether it is switched off there (install %s /bin/false), `dmesg | tail` what the kernel says", name, name)
	}
}

// withLines adds the names that a file does not list yet.
func withLines(text string, names []string) string {
	have := map[string]bool{}
	for line := range strings.Lines(text) {
		have[canonical(strings.TrimSpace(line))] = true
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for _, name := range names {
		if !have[canonical(name)] {
			text += name + "\n"
			have[canonical(name)] = true
		}
	}
	return text
}

// kernel is what the running kernel says of its modules.
type kernel struct {
	loaded, builtin map[string]bool
	filesystems     string
}

func readKernel(ctx context.Context, h task.Host) (*kernel, error) {
	k := &kernel{loaded: map[string]bool{}, builtin: map[string]bool{}}
	loaded, _, err := hostfile.Read(ctx, h, "/proc/modules")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(loaded) {
		name, _, _ := strings.Cut(line, " ")
		k.loaded[name] = true
	}
	builtin, _, err := hostfile.Read(ctx, h, "/lib/modules/"+h.Facts().Kernel+"/modules.builtin")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(builtin) {
		name, _, _ := strings.Cut(path.Base(strings.TrimSpace(line)), ".ko")
		k.builtin[canonical(name)] = true
	}
	k.filesystems, _, err = hostfile.Read(ctx, h, "/proc/filesystems")
	return k, err
}

// choose returns the module of the alternatives that is there, or can be loaded.
func (k *kernel) choose(ctx context.Context, h task.Host, alternatives []string) (name string, loaded bool, err error) {
	for _, name := range alternatives {
		if there, err := k.has(ctx, h, canonical(name)); there || err != nil {
			return name, there, err
		}
	}
	var said task.Output
	for _, name := range alternatives {
		o, ok, err := program.Try(ctx, h, task.Query("modprobe", "--dry-run", name))
		if err != nil {
			return name, false, err
		}
		if ok {
			there, err := k.alias(ctx, h, name)
			return name, there, err
		}
		said = o
	}
	return "", false, task.Failf("kernel %s has no module %s", h.Facts().Kernel, strings.Join(alternatives, " or ")).WithOutput(said).
		WithHint("install the rest of the modules of this kernel (linux-modules-extra on Ubuntu, kernel-modules-extra on RHEL, kmod " +
			"where modprobe is missing); after an update of the kernel reboot first")
}

// alias tells whether a name is another one of a module that is there: ext3 is ext4, ip_conntrack is nf_conntrack.
func (k *kernel) alias(ctx context.Context, h task.Host, name string) (bool, error) {
	o, ok, err := program.Try(ctx, h, task.Query("modprobe", "--resolve-alias", name))
	names := strings.Fields(o.Stdout)
	if err != nil || !ok || len(names) == 0 {
		return false, err
	}
	for _, name := range names {
		if there, err := k.has(ctx, h, canonical(name)); !there || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (k *kernel) has(ctx context.Context, h task.Host, name string) (bool, error) {
	if k.loaded[name] || k.builtin[name] || strings.Contains(k.filesystems, "\t"+name+"\n") {
		return true, nil
	}
	if there, err := hostfile.Exists(ctx, h, "/sys/module/"+name); there || err != nil {
		return there, err
	}
	effect := effectOf(name)
	if effect == "" {
		return false, nil
	}
	return hostfile.Exists(ctx, h, effect)
}

// effectOf is a file that exists when a module is there, loaded or built in.
func effectOf(name string) string {
	switch name {
	case "br_netfilter":
		return "/proc/sys/net/bridge"
	case "nf_conntrack":
		return "/proc/sys/net/netfilter/nf_conntrack_max"
	case "ip_vs":
		return "/proc/sys/net/ipv4/vs"
	case "tun":
		return "/dev/net/tun"
	case "ip_tables":
		return "/proc/net/ip_tables_names"
	case "ip6_tables":
		return "/proc/net/ip6_tables_names"
	}
	return ""
}

// Interface guards.
var (
	_ task.Checker = (*Modprobe)(nil)
	_ task.Toucher = (*Modprobe)(nil)
)
