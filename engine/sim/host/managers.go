package host

import (
	"strings"
	"time"
)

// want is a package that is asked for, with the start of a version ("" = any).
type want struct{ name, version string }

// transaction installs packages with what they need: each is there or half there when it is interrupted.
func (p *Proc) transaction(wants []want, kept bool) int {
	h := p.Host
	var todo []want
	seen := map[string]bool{}
	var add func(w want) int
	add = func(w want) int {
		if seen[w.name] {
			return 0
		}
		seen[w.name] = true
		found := h.o.Image.catalog[w.name]
		if found == nil {
			return p.noPackage(w)
		}
		version := ""
		for _, v := range h.Versions(w.name) {
			if w.version == "" || v == w.version || strings.HasPrefix(v, w.version+"-") {
				version = v
				break
			}
		}
		if version == "" {
			return p.noPackage(w)
		}
		for _, need := range found.needs {
			if h.Installed(need) == "" {
				v := ""
				if len(h.o.Image.catalog[need].versions) == 0 {
					v = strings.SplitN(version, "-", 2)[0]
				}
				if code := add(want{need, v}); code != 0 {
					return code
				}
			}
		}
		if have := h.Installed(w.name); have == version || have != "" && w.version == "" {
			return 0
		}
		todo = append(todo, want{w.name, version})
		return 0
	}
	for _, w := range wants {
		if code := add(w); code != 0 {
			return code
		}
	}
	return p.unpack(todo, kept)
}

// unpack carries a transaction out.
func (p *Proc) unpack(todo []want, start bool) int {
	h := p.Host
	if len(todo) > 0 {
		p.Take(2 * time.Second)
	}
	for _, w := range todo {
		found := h.o.Image.catalog[w.name]
		if start {
			h.mu.Lock()
			h.packages[h.share(w.name)] = &installed{version: w.version, broken: true}
			h.mu.Unlock()
		}
		p.Take(found.takes)
		if err := h.put(found, w.version); err != nil {
			return p.Fail("E: %s: cannot write: No space left on device", w.name)
		}
		p.Printf("Setting up %s (%s) ...\n", w.name, w.version)
		for _, unit := range found.units {
			if start && unit != "kubelet.service" && unit != "keepalived.service" {
				h.Start(unit)
				_ = h.link("/usr/lib/systemd/system/"+unit, wants+unit)
			}
		}
	}
	h.reloadUnits()
	return 0
}

func (p *Proc) noPackage(w want) int {
	name := w.name
	if w.version != "" {
		name += "-" + w.version
	}
	if p.Host.o.Image.manager == "apt" {
		p.Errorf("E: Unable to locate package %s (the simulator's catalogue is engine/sim/host/catalog.go)\n", name)
		return 100
	}
	p.Errorf("No match for argument: %s\nError: Unable to find a match: %s (the simulator's catalogue is engine/sim/host/catalog.go)\n", name, name)
	return 1
}

func (p *Proc) diskFull() bool {
	p.Host.mu.Lock()
	defer p.Host.mu.Unlock()
	return p.Host.full
}

func aptGet(p *Proc) int {
	_, words := p.Flags("-o")
	if len(words) == 0 {
		return p.Unknown()
	}
	switch words[0] {
	case "update":
		p.Take(4 * time.Second)
		if p.diskFull() {
			return p.Fail("E: Write error - write (28: No space left on device)")
		}
		if err := p.Host.Write("/var/lib/apt/lists/debian.example.org_debian_dists_InRelease", "simulated\n", 0o644); err != nil {
			return p.Fail("E: %v", err)
		}
		return 0
	case "install":
		if p.diskFull() {
			return p.Fail("E: You don't have enough free space in /var/cache/apt/archives/.")
		}
		var wants []want
		for _, w := range words[1:] {
			name, version, _ := strings.Cut(w, "=")
			wants = append(wants, want{name, version})
		}
		return p.transaction(wants, true)
	case "remove", "purge":
		return p.removeAll(words[1:])
	}
	return p.Unknown()
}

func (p *Proc) removeAll(names []string) int {
	p.Take(2 * time.Second)
	h := p.Host
	for _, name := range names {
		if h.Installed(name) == "" {
			continue
		}
		for _, f := range h.o.Image.catalog[name].files {
			_ = h.Unlink(f.path)
		}
		h.mu.Lock()
		delete(h.packages, name)
		h.mu.Unlock()
	}
	return 0
}

func aptCache(p *Proc) int {
	if len(p.Args) < 2 || p.Args[0] != "policy" {
		return p.Unknown()
	}
	p.Take(300 * time.Millisecond)
	for _, name := range p.Args[1:] {
		versions := p.Host.Versions(name)
		if len(versions) == 0 {
			continue
		}
		have := p.Host.Installed(name)
		if have == "" {
			have = "(none)"
		}
		p.Printf("%s:\n  Installed: %s\n  Candidate: %s\n  Version table:\n", name, have, versions[0])
		for _, v := range versions {
			mark := "   "
			if v == have {
				mark = "***"
			}
			p.Printf(" %s %s 500\n        500 http://debian.example.org stable/main amd64 Packages\n", mark, v)
		}
	}
	return 0
}

func aptMark(p *Proc) int {
	if len(p.Args) < 2 || p.Args[0] != "hold" && p.Args[0] != "unhold" {
		return p.Unknown()
	}
	p.Take(150 * time.Millisecond)
	h := p.Host
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range p.Args[1:] {
		if i := h.packages[name]; i != nil {
			i.held = p.Args[0] == "hold"
		}
	}
	return 0
}

func dpkgQuery(p *Proc) int {
	_, words := p.Flags("-f")
	h := p.Host
	h.mu.Lock()
	defer h.mu.Unlock()
	code := 0
	for _, name := range words {
		i := h.packages[name]
		if i == nil {
			p.Errorf("dpkg-query: no packages found matching %s\n", name)
			code = 1
			continue
		}
		want, state := "install", "installed"
		if i.held {
			want = "hold"
		}
		if i.broken {
			state = "half-configured"
		}
		p.Printf("%s %s %s ok %s\n", name, i.version, want, state)
	}
	return code
}

func dnf(p *Proc) int {
	_, words := p.Flags()
	if len(words) == 0 {
		return p.Unknown()
	}
	switch words[0] {
	case "makecache":
		p.Take(5 * time.Second)
		if p.diskFull() {
			return p.Fail("Error: Failed to download metadata: No space left on device")
		}
		return 0
	case "install", "downgrade":
		if p.diskFull() {
			return p.Fail("Error Summary\nDisk Requirements: At least 200MB more space needed on the / filesystem.")
		}
		var wants []want
		for _, w := range words[1:] {
			wants = append(wants, p.Host.split(w))
		}
		return p.transaction(wants, false)
	case "remove":
		return p.removeAll(words[1:])
	case "list":
		for _, v := range p.Host.Versions(words[len(words)-1]) {
			p.Printf("%s.x86_64 %s repository\n", words[len(words)-1], v)
		}
		return 0
	}
	return p.Unknown()
}

// split takes kubelet-1.29.6 apart.
func (h *Host) split(arg string) want {
	if h.o.Image.catalog[arg] != nil {
		return want{name: arg}
	}
	for i := len(arg) - 1; i > 0; i-- {
		if arg[i] == '-' && h.o.Image.catalog[arg[:i]] != nil {
			return want{arg[:i], arg[i+1:]}
		}
	}
	return want{name: arg}
}

func rpm(p *Proc) int {
	flags, words := p.Flags("--qf")
	if _, query := flags["-q"]; !query {
		return p.Unknown()
	}
	code := 0
	for _, name := range words {
		v := p.Host.Installed(name)
		if v == "" {
			p.Printf("package %s is not installed\n", name)
			code++
			continue
		}
		p.Printf("%s 0:%s\n", name, v)
	}
	return code
}
