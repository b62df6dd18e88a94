package host

import (
	"maps"
	"slices"
	"strings"
	"time"
)

func aptGet(p *Proc) int {
	flags, words := p.Flags("-o")
	if len(words) == 0 {
		return p.Unknown()
	}
	switch words[0] {
	case "update":
		return p.aptUpdate()
	case "install":
		return p.aptInstall(flags, words[1:])
	case "upgrade":
		return p.aptUpgrade()
	case "remove", "purge":
		return p.removeAll(words[1:], words[0] == "purge")
	}
	return p.Unknown()
}

// aptUpdate downloads the lists of all repositories.
func (p *Proc) aptUpdate() int {
	p.Take(4 * time.Second)
	if p.diskFull() {
		return p.Fail("E: Write error - write (28: No space left on device)")
	}
	code := 0
	for _, r := range p.repositories() {
		switch why := r.gone(); {
		case r.off:
		case why != "":
			p.Errorf("E: Failed to fetch %s/InRelease  %s\n", r.url, why)
			code = 100
		case r.unsigned != "":
			p.Errorf("W: GPG error: %s InRelease: %s\nE: The repository '%s InRelease' is not signed.\n", r.url, r.unsigned, r.url)
			code = 100
		default:
			if err := p.Host.Write(r.listOf(), "simulated\n", 0o644); err != nil {
				return p.Fail("E: %v", err)
			}
		}
	}
	return code
}

func (p *Proc) aptInstall(flags map[string]string, args []string) int {
	const refused = 100
	h := p.Host
	if p.diskFull() {
		return p.Fail("E: You don't have enough free space in /var/cache/apt/archives/.")
	}
	if slices.ContainsFunc(h.installedNames(), h.isBroken) {
		p.Errorf("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\n")
		return refused
	}
	t := p.newTransaction(choice{})
	var wanted []want
	for _, a := range args {
		if strings.Contains(a, "/") {
			w, ok := p.packageFile(a)
			if !ok {
				p.Errorf("E: Invalid archive signature\nE: Could not read meta data from %s\n", a)
				return refused
			}
			t.files[w.name] = w.version
			a = w.name
		}
		name, version, _ := strings.Cut(a, "=")
		wanted = append(wanted, want{name, version})
	}
	if _, offline := flags["--no-download"]; offline {
		t.choice.disabled = []string{"*"}
	}
	t.ask(slices.DeleteFunc(wanted, func(w want) bool { // the newest counts only where nothing is there
		return w.version == "" && t.files[w.name] == "" && h.Installed(w.name) != ""
	}))
	if len(t.missing) > 0 {
		w := t.missing[0]
		if w.version != "" {
			p.Errorf("E: Version '%s' for '%s' was not found\n", w.version, w.name)
		} else {
			p.Errorf("E: Unable to locate package %s (the simulator does not know every package: `--package NAME=VERSION` adds one)\n", w.name)
		}
		return refused
	}
	if code := t.allowed(flags); code != 0 {
		return code
	}
	return t.unpack()
}

// allowed refuses what apt-get -y does not do without being told to.
func (t *transaction) allowed(flags map[string]string) int {
	const refused = 100
	_, older := flags["--allow-downgrades"]
	_, held := flags["--allow-change-held-packages"]
	for _, w := range t.todo {
		have := t.Host.Installed(w.name)
		switch {
		case have == "":
		case t.Host.Held(w.name) && !held:
			t.Errorf("E: Held packages were changed and -y was used without --allow-change-held-packages.\n")
			return refused
		case compareVersions(w.version, have) < 0 && !older:
			t.Errorf("E: Packages were downgraded and -y was used without --allow-downgrades.\n")
			return refused
		}
	}
	return 0
}

// aptUpgrade brings everything that is not held to its newest version.
func (p *Proc) aptUpgrade() int {
	t := p.newTransaction(choice{})
	for _, name := range p.Host.installedNames() {
		if p.Host.Held(name) {
			p.Printf("The following packages have been kept back:\n  %s\n", name)
		} else if versions, _ := p.available(name, t.choice); len(versions) > 0 && compareVersions(versions[0], p.Host.Installed(name)) > 0 {
			t.add(want{name: name})
		}
	}
	return t.unpack()
}

func aptCache(p *Proc) int {
	if len(p.Args) < 2 || p.Args[0] != "policy" {
		return p.Unknown()
	}
	p.Take(300 * time.Millisecond)
	for _, name := range p.Args[1:] {
		versions, _ := p.available(name, choice{})
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
	if len(p.Args) == 1 && p.Args[0] == "showhold" {
		return showHeld(p)
	}
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

// Held tells whether apt keeps a package as it is.
func (h *Host) Held(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.packages[name] != nil && h.packages[name].held
}

// dpkg sets up what was cut off.
func dpkg(p *Proc) int {
	h := p.Host
	if !slices.Contains(p.Args, "--configure") {
		return p.Unknown()
	}
	for _, name := range h.installedNames() {
		found := h.o.Image.find(name)
		if !h.isBroken(name) || found == nil {
			continue
		}
		p.Take(found.takes)
		if err := h.put(found, h.Installed(name)); err != nil {
			return p.Fail("dpkg: error: cannot write: No space left on device")
		}
		p.startUnits(found)
		p.Printf("Setting up %s (%s) ...\n", name, h.Installed(name))
	}
	return 0
}

func showHeld(p *Proc) int {
	h := p.Host
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(h.packages)) {
		if h.packages[name].held {
			p.Printf("%s\n", name)
		}
	}
	return 0
}

// dpkgQuery lists packages by -W, all where none is named.
func dpkgQuery(p *Proc) int {
	flags, words := p.Flags("-f", "--showformat")
	if _, list := flags["-W"]; !list {
		return p.Unknown()
	}
	format := flags["-f"] + flags["--showformat"]
	if format == "" {
		format = `${Package}\t${Version}\n`
	}
	h := p.Host
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(words) == 0 {
		words = slices.Sorted(maps.Keys(h.packages))
	}
	code := 0
	for _, name := range words {
		i := h.packages[name]
		if i == nil {
			p.Errorf("dpkg-query: no packages found matching %s\n", name)
			code = 1
			continue
		}
		if !p.fill(format, "${", func(field string) (string, bool) { return i.field(name, field) }) {
			return p.Unknown()
		}
	}
	return code
}

// field is what dpkg-query knows of a package; false when the simulator does not.
func (i *installed) field(name, field string) (string, bool) {
	want, state, short := "install", "installed", "ii "
	if i.held {
		want, short = "hold", "hi "
	}
	if i.broken {
		state, short = "half-configured", short[:1]+"F "
	}
	switch field {
	case "Package":
		return name, true
	case "Version":
		return i.version, true
	case "Status":
		return want + " ok " + state, true
	case "db:Status-Abbrev":
		return short, true
	}
	return "", false
}

// fill writes a format to standard output, with the values of its fields: what is between open and }. It is false at the
// first field that has none.
func (p *Proc) fill(format, open string, value func(field string) (string, bool)) bool {
	for {
		before, rest, found := strings.Cut(format, open)
		p.out.WriteString(strings.ReplaceAll(strings.ReplaceAll(before, `\n`, "\n"), `\t`, "\t"))
		if !found {
			return true
		}
		field, after, _ := strings.Cut(rest, "}")
		text, known := value(field)
		if !known {
			return false
		}
		p.out.WriteString(text)
		format = after
	}
}

// dpkgDeb shows what a package file is.
func dpkgDeb(p *Proc) int {
	file := p.Args[len(p.Args)-1]
	w, ok := p.packageFile(file)
	if !ok {
		p.Errorf("dpkg-deb: error: '%s' is not a Debian format archive\n", file)
		return 2
	}
	p.Printf("%s %s\n", w.name, w.version)
	return 0
}
