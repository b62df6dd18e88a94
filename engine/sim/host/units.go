package host

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// unit is what systemd knows of a unit that it has loaded or started.
type unit struct {
	active, sub string
	loaded      string // text of its file when it was read
	config      string // of its program, when it was started
	since       time.Time
}

// unitDirs are where unit files lie, the strongest first.
func unitDirs() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

func (h *Host) unitSpots(name string) []spot {
	return h.o.Texts.spots(&h.o.Texts.units, unitDirs, name)
}

// fragment is the file of a unit; "" when there is none.
func (h *Host) fragment(name string) string {
	for _, s := range h.unitSpots(name) {
		if h.files.get(s.id) != nil {
			return s.path
		}
	}
	return ""
}

func (h *Host) fragmentText(name string) string {
	at := h.fragment(name)
	if at == "" {
		return ""
	}
	_, n, err := h.files.find("open", at, true)
	if err != nil {
		return ""
	}
	return n.data
}

func (h *Host) masked(name string) bool {
	n := h.files.get(h.unitSpots(name)[0].id)
	return n != nil && n.mode&fs.ModeSymlink != 0 && n.target == "/dev/null"
}

const wants = "/etc/systemd/system/multi-user.target.wants/"

// wanted are the links that make targets want a unit, as its section Install says.
func wanted(name, text string) []string {
	var out []string
	for _, key := range []string{"WantedBy", "RequiredBy"} {
		for _, target := range strings.Fields(setting(text, key)) {
			out = append(out, "/etc/systemd/system/"+target+".wants/"+name)
		}
	}
	return out
}

func (h *Host) fileState(name string) string {
	if h.masked(name) {
		return "masked"
	}
	return h.linkState(name, h.fragmentText(name))
}

// linkState is fileState of a unit that is not masked, with the text of its file.
func (h *Host) linkState(name, text string) string {
	for _, link := range wanted(name, text) {
		if h.files.at(link) != nil {
			return "enabled"
		}
	}
	switch {
	case h.files.at(wants+name) != nil:
		return "enabled"
	case !strings.Contains(text, "[Install]"):
		return "static"
	}
	return "disabled"
}

// load returns a unit, read from its file when systemd has not done so yet; nil when there is none.
func (h *Host) load(name string) *unit {
	if u := h.units[name]; u != nil {
		return u
	}
	if h.fragment(name) == "" {
		return nil
	}
	u := &unit{active: "inactive", sub: "dead", loaded: h.fragmentText(name)}
	h.units[name] = u
	return u
}

// Active tells whether a unit runs, and since when.
func (h *Host) Active(name string) (bool, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.units[full(name)]
	if u == nil || u.active != "active" && u.active != "activating" {
		return false, time.Time{}
	}
	return u.active == "active", u.since
}

func full(name string) string {
	if strings.ContainsRune(name, '.') && slices.Contains([]string{".service", ".socket", ".target", ".timer", ".mount", ".swap", ".slice", ".path"}, path.Ext(name)) {
		return name
	}
	return name + ".service"
}

func systemctl(p *Proc) int {
	flags, words := p.Flags("--property", "-p", "--lines", "-n", "--type")
	if len(words) == 0 {
		return p.Unknown()
	}
	verb, names := words[0], words[1:]
	for i := range names {
		names[i] = full(names[i])
	}
	h := p.Host
	switch verb {
	case "show":
		return h.showUnits(p, flags, names)
	case "daemon-reload":
		p.Take(300 * time.Millisecond)
		h.reloadUnits()
		return 0
	case "is-system-running":
		p.Printf("running\n")
		return 0
	case "is-active", "is-enabled", "status", "reset-failed":
		return h.askUnit(p, verb, names)
	case "enable", "disable", "mask", "unmask":
		code := h.linkUnits(p, verb, names)
		if _, now := flags["--now"]; now && code == 0 {
			next := map[string]string{"enable": "start", "disable": "stop", "mask": "stop"}[verb]
			return h.turnUnits(p, next, names)
		}
		return code
	case "start", "stop", "restart", "reload-or-restart", "try-restart", "reload":
		return h.turnUnits(p, verb, names)
	}
	return p.Unknown()
}

func (h *Host) reloadUnits() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, u := range h.units {
		u.loaded = h.fragmentText(name)
		if u.active == "inactive" && u.loaded == "" && path.Ext(name) != ".swap" {
			delete(h.units, name) // its file is gone
		}
	}
}

func (h *Host) askUnit(p *Proc, verb string, names []string) int {
	code := 0
	for _, name := range names {
		h.mu.Lock()
		u := h.load(name)
		state := h.fileState(name)
		h.mu.Unlock()
		switch {
		case verb == "reset-failed":
		case u == nil && verb == "is-enabled" && state != "masked":
			p.Errorf("Failed to get unit file state for %s: No such file or directory\n", name)
			code = 1
		case u == nil && verb == "is-active":
			p.Printf("inactive\n")
			code = 3
		case u == nil && verb == "status":
			p.Errorf("Unit %s could not be found.\n", name)
			code = 4
		case verb == "is-enabled":
			p.Printf("%s\n", state)
			if state != "enabled" && state != "static" {
				code = 1
			}
		case verb == "is-active":
			p.Printf("%s\n", u.active)
			if u.active != "active" {
				code = 3
			}
		default:
			p.Printf("%s - simulated\n   Active: %s (%s)\n", name, u.active, u.sub)
		}
	}
	return code
}

func (h *Host) linkUnits(p *Proc, verb string, names []string) int {
	p.Take(250 * time.Millisecond)
	for _, name := range names {
		h.mu.Lock()
		at := h.fragment(name)
		links := wanted(name, h.fragmentText(name))
		h.mu.Unlock()
		if at == "" && verb != "mask" {
			return p.Fail("Failed to %s unit: Unit file %s does not exist.", verb, name)
		}
		var err error
		switch verb {
		case "enable":
			for _, link := range links {
				if err = h.mkdir(path.Dir(link), task.Attr{}); err == nil {
					err = h.link(at, link)
				}
			}
		case "disable":
			for _, link := range append(links, wants+name) {
				if h.Exists(path.Dir(link)) && err == nil {
					err = h.Unlink(link)
				}
			}
		case "mask":
			if strings.HasPrefix(at, "/etc/systemd/system/") && !h.Masked(name) {
				return p.Fail("Failed to mask unit: File %s already exists.", at)
			}
			err = h.link("/dev/null", "/etc/systemd/system/"+name)
		case "unmask":
			if h.Masked(name) {
				err = h.Unlink("/etc/systemd/system/" + name)
			}
		}
		if err != nil {
			return p.Fail("Failed to %s unit %s: %v", verb, name, err)
		}
	}
	h.reloadUnits()
	return 0
}

// Masked tells whether a unit is masked.
func (h *Host) Masked(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.masked(name)
}

func (h *Host) turnUnits(p *Proc, verb string, names []string) int {
	for _, name := range names {
		if verb == "stop" {
			p.Take(500 * time.Millisecond)
			h.setUnit(name, "inactive", "dead")
			h.setSwapOf(name, false)
			continue
		}
		if verb == "try-restart" {
			if on, _ := h.Active(name); !on {
				continue
			}
		}
		if code := h.startUnit(p, verb, name); code != 0 {
			return code
		}
	}
	return 0
}

func (h *Host) setUnit(name, active, sub string) {
	now := h.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.load(name)
	if u == nil {
		return
	}
	u.active, u.sub, u.since = active, sub, now
	if file := configOf(name); file != "" && active == "active" {
		if _, n, err := h.files.find("open", file, true); err == nil {
			u.config = n.data
		}
	}
	if active == "active" && h.o.OnStart != nil {
		h.o.OnStart(h, name)
	}
}

// configOf is what a daemon reads when it starts, and not again: its configuration, for the kubelet its program.
func configOf(unit string) string {
	switch unit {
	case "containerd.service":
		return "/etc/containerd/config.toml"
	case "docker.service":
		return "/etc/docker/daemon.json"
	case "kubelet.service":
		return "/usr/bin/kubelet"
	}
	return ""
}

// StartedWith is the configuration that containerd, or Docker, found when it was started, and the program of the kubelet.
func (h *Host) StartedWith(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.units[full(name)]; u != nil {
		return u.config
	}
	return ""
}

// Version is what a program in PATH says it is; "" when it does not say.
func (h *Host) Version(program string) string { return h.version(program, "") }

// Start starts a unit, as a program that is not systemctl may want it.
func (h *Host) Start(name string) {
	name = full(name)
	h.setUnit(name, "active", "running")
	h.settle(name)
}

// Stop stops a unit.
func (h *Host) Stop(name string) { h.setUnit(full(name), "inactive", "dead") }
