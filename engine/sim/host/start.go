package host

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

func (h *Host) startUnit(p *Proc, verb, name string) int {
	h.mu.Lock()
	u, masked := h.load(name), h.masked(name)
	h.mu.Unlock()
	switch {
	case masked:
		return p.Fail("Failed to %s %s: Unit %s is masked.", verb, name, name)
	case u == nil:
		p.Errorf("Failed to %s %s: Unit %s not found.\n", verb, name, name)
		return 5
	}
	if on, _ := h.Active(name); on && verb == "start" {
		return 0
	}
	p.Take(startTime(name))
	if code := h.startNeeds(p, u); code != 0 {
		return code
	}
	if why := h.cannotStart(name, u); why != "" {
		h.setUnit(name, "failed", "failed")
		return p.Fail("Job for %s failed because the control process exited with error code.\n%s", name, why)
	}
	h.setUnit(name, "active", "running")
	h.settle(name)
	return 0
}

func startTime(name string) time.Duration {
	switch name {
	case "docker.service", "containerd.service":
		return 1200 * time.Millisecond
	case "NetworkManager.service":
		return 900 * time.Millisecond
	}
	return 400 * time.Millisecond
}

// startNeeds starts what a unit requires, and what it wants as far as that is there.
func (h *Host) startNeeds(p *Proc, u *unit) int {
	for _, want := range strings.Fields(setting(u.loaded, "Wants")) {
		h.mu.Lock()
		there := path.Ext(want) != ".target" && h.load(want) != nil && !h.masked(want)
		h.mu.Unlock()
		if on, _ := h.Active(want); there && !on {
			h.startUnit(p, "start", want)
		}
	}
	for _, need := range strings.Fields(setting(u.loaded, "Requires")) {
		if on, _ := h.Active(need); on || path.Ext(need) == ".target" {
			continue
		}
		if code := h.startUnit(p, "start", need); code != 0 {
			return code
		}
	}
	return 0
}

// cannotStart says what keeps a unit from starting: its program is not there, or does not like its configuration.
func (h *Host) cannotStart(name string, u *unit) string {
	if why := h.refuses(name); why != "" {
		return why
	}
	for line := range strings.Lines(u.loaded) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=")
		if !ok {
			continue
		}
		program := firstWord(strings.TrimLeft(command, "-@:+!"))
		if program != "" && !h.Exists(program) {
			return "Failed to locate executable " + program + ": No such file or directory"
		}
	}
	return ""
}

// settle puts a unit that has been started into the state it comes to, and makes what it makes.
func (h *Host) settle(name string) {
	switch name {
	case "kubelet.service":
		if !h.Exists("/var/lib/kubelet/config.yaml") { // before kubeadm: it ends and is started again
			h.setUnit(name, "activating", "auto-restart")
		}
	case "containerd.service":
		_ = h.Write("/run/containerd/containerd.sock", "", 0o660|fs.ModeSocket)
	case "docker.service":
		_ = h.Write("/run/docker.sock", "", 0o660|fs.ModeSocket)
	case "cri-docker.service":
		_ = h.Write("/run/cri-dockerd.sock", "", 0o660|fs.ModeSocket)
	}
	h.mu.Lock()
	listen, command := setting(h.fragmentText(name), "ListenStream"), setting(h.fragmentText(name), "ExecStart")
	h.mu.Unlock()
	if listen = strings.Replace(listen, "%t/", "/run/", 1); path.Ext(name) == ".socket" && path.IsAbs(listen) {
		_ = h.Write(listen, "", 0o660|fs.ModeSocket)
	}
	if path.Base(firstWord(command)) == "false" { // it starts, and ends with exit code 1
		h.setUnit(name, "failed", "failed")
	}
	h.setSwapOf(name, true)
}

// setSwapOf brings swap up on the device of a swap unit, or ends it.
func (h *Host) setSwapOf(name string, on bool) {
	device := ""
	if path.Ext(name) == ".swap" {
		device = h.swapOf(name)
	}
	if device == "" {
		return
	}
	devices := slices.DeleteFunc(h.swapDevices(), func(d string) bool { return d == device })
	if on {
		devices = append(devices, device)
	}
	h.setSwaps(devices)
}
