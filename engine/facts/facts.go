// Package facts gathers what kflow knows of a host (task.Facts), through task.Host alone, so that it works on any kind of
// host. It reads /proc, /sys and a few files; the one program it starts is `ip`, since no file says which interface
// carries which IPv4 address. What a machine does not say stays empty: a fact that cannot be had is no error.
package facts

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// Gather returns the facts of h. prefer are addresses the inventory or the connection knows the host by: the first that
// an interface carries decides Facts.Interface. The error is the cause of ctx, or that h cannot be read at all.
func Gather(ctx context.Context, h task.Host, prefer ...string) (*task.Facts, error) {
	g := gatherer{ctx, h}
	hostname, _, _ := strings.Cut(g.text("/proc/sys/kernel/hostname"), ".")
	f := &task.Facts{
		Hostname:    hostname,
		MachineID:   g.text("/etc/machine-id"),
		ProductUUID: strings.ToLower(g.text("/sys/class/dmi/id/product_uuid")),
		BootID:      g.text("/proc/sys/kernel/random/boot_id"),
		OS:          g.os(),
		Arch:        g.arch(),
		Kernel:      g.text("/proc/sys/kernel/osrelease"),
		CPUs:        g.cpus(),
		Init:        g.init(),
		Cgroup:      g.cgroup(),
		SELinux:     g.selinux(),
		User:        g.user(),
		MACs:        g.macs(),
	}
	f.MemoryMB, f.SwapMB = g.memory()
	f.PackageManager = g.packageManager(f.OS.Family)
	f.Addresses, f.Interface = g.addresses(prefer)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if f.Kernel == "" && f.OS.ID == "" {
		return nil, fmt.Errorf("neither /proc nor /etc/os-release can be read: is this a Linux machine?")
	}
	return f, nil
}

type gatherer struct {
	ctx context.Context
	h   task.Host
}

// text is the content of a file without white space at its ends; "" when it cannot be read.
func (g gatherer) text(path string) string {
	b, err := g.h.ReadFile(g.ctx, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (g gatherer) exists(path string) bool {
	_, err := g.h.Stat(g.ctx, path)
	return err == nil
}

func (g gatherer) os() task.OS {
	text := g.text("/etc/os-release")
	if text == "" {
		text = g.text("/usr/lib/os-release")
	}
	return ParseOSRelease(text)
}

// ParseOSRelease reads the text of /etc/os-release.
func ParseOSRelease(text string) task.OS {
	kv := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(k, "#") {
			kv[k] = unquote(v)
		}
	}
	o := task.OS{ID: kv["ID"], Version: kv["VERSION_ID"], Name: kv["PRETTY_NAME"], Code: kv["VERSION_CODENAME"]}
	o.Family = family(o.ID, strings.Fields(kv["ID_LIKE"]))
	major, _, _ := strings.Cut(o.Version, ".")
	o.Major, _ = strconv.Atoi(major)
	return o
}

// unquote takes shell quotes away, as os-release(5) has them.
func unquote(v string) string {
	if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
		v = v[1 : len(v)-1]
	}
	return strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(v)
}

func family(id string, like []string) string {
	for _, name := range append([]string{id}, like...) {
		switch name {
		case "debian", "ubuntu":
			return "debian"
		case "rhel", "fedora", "centos", "rocky", "almalinux", "ol":
			return "rhel"
		}
	}
	return ""
}

// archer is a host that knows its architecture by itself.
type archer interface{ Arch() string }

func (g gatherer) arch() string {
	if a, ok := g.h.(archer); ok {
		return a.Arch()
	}
	o, err := g.h.Run(g.ctx, task.Query("uname", "-m"))
	if err != nil || !o.OK() {
		return runtime.GOARCH
	}
	return GoArch(o.Text())
}

// GoArch is the name that Go and Kubernetes have for what uname -m says.
func GoArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	case "i386", "i686":
		return "386"
	}
	return machine
}

func (g gatherer) cpus() int {
	if n := countCPUs(g.text("/sys/devices/system/cpu/online")); n > 0 {
		return n
	}
	return strings.Count("\n"+g.text("/proc/cpuinfo"), "\nprocessor")
}

// countCPUs counts a list such as 0-3,5.
func countCPUs(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			return 0
		}
		if !isRange {
			n++
			continue
		}
		b, err := strconv.Atoi(to)
		if err != nil {
			return 0
		}
		n += b - a + 1
	}
	return n
}

func (g gatherer) memory() (totalMB, swapMB int) {
	for line := range strings.Lines(g.text("/proc/meminfo")) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "MemTotal:":
			totalMB = kb >> 10
		case "SwapTotal:":
			swapMB = kb >> 10
		}
	}
	return totalMB, swapMB
}

func (g gatherer) init() string {
	if g.exists("/run/systemd/system") {
		return "systemd"
	}
	return g.text("/proc/1/comm")
}

// cgroup is 2 where the unified hierarchy is the one at /sys/fs/cgroup and has controllers; a hybrid is 1.
func (g gatherer) cgroup() int {
	switch {
	case g.exists("/sys/fs/cgroup/cgroup.controllers"):
		return 2
	case g.exists("/sys/fs/cgroup"):
		return 1
	}
	return 0
}

func (g gatherer) selinux() string {
	switch g.text("/sys/fs/selinux/enforce") {
	case "1":
		return "enforcing"
	case "0":
		return "permissive"
	}
	if g.exists("/etc/selinux/config") {
		return "disabled"
	}
	return ""
}

func (g gatherer) packageManager(family string) string {
	candidates := []string{"apt", "dnf", "yum"}
	if family == "rhel" {
		candidates = []string{"dnf", "yum", "apt"}
	}
	program := map[string]string{"apt": "/usr/bin/apt-get", "dnf": "/usr/bin/dnf", "yum": "/usr/bin/yum"}
	for _, name := range candidates {
		if g.exists(program[name]) {
			return name
		}
	}
	return ""
}

// user is the name of the effective user, or the number where it has none.
func (g gatherer) user() string {
	uid := ""
	for line := range strings.Lines(g.text("/proc/self/status")) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Uid:" {
			uid = f[2]
		}
	}
	if uid == "" {
		return ""
	}
	for line := range strings.Lines(g.text("/etc/passwd")) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == uid {
			return f[0]
		}
	}
	return uid
}
