package host

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// Reboot starts the host anew: what lives in memory is gone, what is set for the next boot holds.
func (h *Host) Reboot() {
	h.mu.Lock()
	h.boots++
	h.booted = h.o.Clock.Now()
	for _, name := range h.files.names() {
		for _, memory := range []string{"/run/", "/tmp/", "/proc/", "/sys/"} {
			if strings.HasPrefix(name, memory) {
				h.files.forget(name)
			}
		}
	}
	units := slices.Sorted(maps.Keys(h.units))
	h.units = map[string]*unit{}
	h.mu.Unlock()
	h.boot(units)
}

// boot brings up what is set for the start of the host.
func (h *Host) boot(known []string) {
	h.setSwaps(h.swapsAtBoot())
	if h.o.Image.selinux {
		h.bootSELinux()
	}
	h.mu.Lock()
	h.files.set("/proc/sys/kernel/hostname", &node{mode: 0o644, owner: "root", group: "root", data: h.files.at("/etc/hostname").data})
	h.mu.Unlock()
	lists, _ := h.match("/etc/modules-load.d/*.conf")
	for _, name := range lists {
		for _, module := range strings.Fields(h.Text(name)) {
			if slices.Contains(h.o.Image.modules, module) {
				h.loadModule(module)
			}
		}
	}
	h.bootSettings()
	h.bootUnits(known)
	h.Gather()
}

func (h *Host) bootSELinux() {
	config := h.Text("/etc/selinux/config")
	switch {
	case strings.Contains(config, "\nSELINUX=permissive"):
		_ = h.write("/sys/fs/selinux/enforce", "0", task.Attr{})
	case strings.Contains(config, "\nSELINUX=disabled"):
		_ = h.Unlink("/sys/fs/selinux/enforce")
	}
}

func (h *Host) bootSettings() {
	settings, _ := h.match("/etc/sysctl.d/*.conf")
	for _, name := range append(settings, "/etc/sysctl.conf") {
		for line := range strings.Lines(h.Text(name)) {
			if key, value, ok := strings.Cut(line, "="); ok && line[0] != '#' {
				_ = h.write("/proc/sys/"+strings.ReplaceAll(strings.TrimSpace(strings.TrimPrefix(key, "-")), ".", "/"), value, task.Attr{})
			}
		}
	}
}

// bootUnits starts what targets want, each after those it names in After; units known before are known again.
func (h *Host) bootUnits(known []string) {
	links, _ := h.match("/etc/systemd/system/*.wants/*")
	var names []string
	for _, link := range links {
		names = append(names, path.Base(link))
	}
	seen := map[string]bool{}
	var start func(name string)
	start = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		h.mu.Lock()
		u, masked := h.load(name), h.masked(name)
		h.mu.Unlock()
		if u == nil || masked {
			return
		}
		for _, need := range strings.Fields(setting(u.loaded, "Requires") + " " + setting(u.loaded, "Wants")) {
			start(need)
		}
		for _, other := range strings.Fields(setting(u.loaded, "After")) {
			if slices.Contains(names, other) {
				start(other)
			}
		}
		if h.cannotStart(name, u) != "" {
			h.setUnit(name, "failed", "failed")
			return
		}
		h.Start(name)
	}
	for _, name := range names {
		start(name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range known {
		h.load(name)
	}
}

// swapsAtBoot are the devices on which systemd brings swap up: those of fstab, of its own units, and of zram.
func (h *Host) swapsAtBoot() []string {
	var out []string
	for line := range strings.Lines(h.Text("/etc/fstab")) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "swap" && f[0][0] != '#' {
			out = append(out, f[0])
		}
	}
	for _, file := range []string{"/etc/systemd/zram-generator.conf", "/run/systemd/zram-generator.conf", "/usr/lib/systemd/zram-generator.conf"} {
		if !h.Exists(file) {
			continue
		}
		if strings.Contains("\n"+h.Text(file), "\n[zram") {
			out = append(out, "/dev/zram0")
		}
		break // the first counts
	}
	units, _ := h.match("/etc/systemd/system/*.wants/*.swap")
	for _, unit := range units {
		if device := h.swapOf(path.Base(unit)); device != "" && !h.Masked(path.Base(unit)) {
			out = append(out, device)
		}
	}
	return out
}

// swapOf is the device of a swap unit.
func (h *Host) swapOf(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return setting(h.fragmentText(name), "What")
}

// setSwaps says on which devices swap is in use.
func (h *Host) setSwaps(devices []string) {
	text := "Filename\tType\tSize\tUsed\tPriority\n"
	for _, d := range devices {
		if d == "UUID=0c2f" {
			d = "/dev/sda5"
		}
		text += d + " partition 2097148 0 -2\n"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files.set("/proc/swaps", &node{mode: 0o444, owner: "root", group: "root", data: h.share(text), mtime: h.now()})
}

// swapDevices are those in use.
func (h *Host) swapDevices() []string {
	var out []string
	_, rest, _ := cutLine(h.Text("/proc/swaps"))
	for line := range strings.Lines(rest) {
		out = append(out, firstWord(line))
	}
	return out
}

// setting is the value of a line KEY=VALUE of a unit file; "" when there is none.
func setting(text, key string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), key); ok && strings.HasPrefix(rest, "=") {
			return strings.TrimSpace(rest[1:])
		}
	}
	return ""
}
