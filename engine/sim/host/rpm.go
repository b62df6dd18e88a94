package host

import (
	"path"
	"slices"
	"strings"
	"time"
)

// dnf is dnf, and yum of CentOS 7.
func dnf(p *Proc) int {
	_, words := p.Flags()
	if len(words) == 0 {
		return p.Unknown()
	}
	c := choice{disabled: p.all("--disablerepo"), enabled: p.all("--enablerepo"), included: p.all("--disableexcludes"),
		unlocked: slices.Contains(p.all("--disableplugin"), "versionlock")}
	if code := p.unknownRepository(c); code != 0 {
		return code
	}
	switch words[0] {
	case "makecache":
		p.Take(5 * time.Second)
		if p.diskFull() {
			return p.Fail("Error: Failed to download metadata: No space left on device")
		}
		return p.metadata(c)
	case "install", "downgrade":
		return p.rpmInstall(c, words[0], words[1:])
	case "upgrade", "update":
		return p.rpmUpgrade(c)
	case "remove":
		return p.rpmRemove(c, words[1:])
	case "list":
		return p.rpmList(c, words[len(words)-1])
	case "versionlock":
		return p.versionlock(words[1:])
	}
	return p.Unknown()
}

// rpmRemove removes packages. To dnf, one that is excluded is not there.
func (p *Proc) rpmRemove(c choice, names []string) int {
	h := p.Host
	excluded := h.mainExcludes()
	if !c.counts("main") || h.o.Image.manager == "yum" {
		excluded = nil
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		found := h.o.Image.find(name)
		if found != nil && h.Installed(found.name) != "" && !matches(excluded, found.name) {
			return false
		}
		p.Printf("No match for argument: %s\n", name)
		return true
	})
	if len(names) == 0 {
		p.Errorf("No packages marked for removal.\n")
	}
	return p.removeAll(names, false)
}

// rpmList shows the versions of a package: the one that is there, and those that can be had.
func (p *Proc) rpmList(c choice, name string) int {
	have := p.Host.Installed(name)
	if have != "" {
		p.Printf("Installed Packages\n%s.x86_64 %s @repository\n", name, have)
	}
	c.unlocked = true // the plugin keeps versions away when packages are to change, not here
	versions, _ := p.available(name, c)
	if len(versions) > 0 {
		p.Printf("Available Packages\n")
	}
	for _, v := range slices.Backward(versions) {
		p.Printf("%s.x86_64 %s repository\n", name, v)
	}
	if have == "" && len(versions) == 0 {
		return p.Fail("Error: No matching Packages to list")
	}
	return 0
}

func (p *Proc) rpmInstall(c choice, verb string, args []string) int {
	if p.diskFull() {
		return p.Fail("Error Summary\nDisk Requirements: At least 200MB more space needed on the / filesystem.")
	}
	if code := p.someRepository(c, args); code != 0 {
		return code
	}
	if code := p.metadata(c); code != 0 {
		return code
	}
	t := p.newTransaction(c)
	var wanted []want
	for _, a := range args {
		if !strings.HasPrefix(a, "/") {
			wanted = append(wanted, p.Host.split(a))
			continue
		}
		w, ok := p.packageFile(a)
		if !ok {
			return p.Fail("Can not load RPM file: %s.\nCould not open: %s", path.Base(a), a)
		}
		t.files[w.name] = w.version
		wanted = append(wanted, want{name: w.name})
	}
	yum := p.Host.o.Image.manager == "yum"
	t.ask(wanted)
	if yum && verb == "install" {
		t.todo = slices.DeleteFunc(t.todo, func(w want) bool { // yum install never goes back
			have := p.Host.Installed(w.name)
			return have != "" && compareVersions(w.version, have) < 0
		})
	}
	for _, check := range []func() int{func() int { return t.unmatched(wanted, yum) }, t.excluded, t.trusted} {
		if code := check(); code != 0 {
			return code
		}
	}
	return t.unpack()
}

// unmatched says what is in no repository. dnf stops there; yum goes on with the rest, if there is any.
func (t *transaction) unmatched(wanted []want, yum bool) int {
	bad := 0
	for _, w := range append(slices.Clone(t.missing), t.hidden...) {
		name := w.name
		if w.version != "" {
			name += "-" + w.version
		}
		asked := slices.Contains(wanted, w)
		switch {
		case !asked:
			t.Errorf("Error: \n Problem: conflicting requests\n  - nothing provides %s needed by %s\n", name, t.by[w.name].nevra())
			return 1
		case yum:
			t.Errorf("No package %s available.\n", name)
		case slices.Contains(t.hidden, w):
			t.Printf("All matches were filtered out by exclude filtering for argument: %s\n", name)
		default:
			t.Printf("No match for argument: %s\n", name)
		}
		bad++
	}
	switch {
	case bad > 0 && !yum:
		return t.Fail("Error: Unable to find a match (the simulator does not know every package: `--package NAME=VERSION` adds one)")
	case bad == len(wanted) && bad > 0:
		return t.Fail("Error: Nothing to do")
	}
	return 0
}

// nevra is what rpm calls a package in one word.
func (w want) nevra() string { return w.name + "-" + w.version + ".x86_64" }

// excluded refuses packages that do not go with what is there.
func (t *transaction) excluded() int {
	for _, w := range t.todo {
		p := t.Host.o.Image.find(w.name)
		if p == nil {
			continue
		}
		for _, other := range p.excludes {
			have := t.Host.Installed(other)
			if have == "" {
				continue
			}
			t.Errorf("Error: \n Problem: problem with installed package %[1]s\n  - package %[2]s conflicts with %[3]s provided by %[1]s\n",
				want{other, have}.nevra(), w.nevra(), other)
			if by, ok := t.by[p.name]; ok {
				t.Errorf("  - package %s requires %s, but none of the providers can be installed\n", by.nevra(), p.name)
			}
			return t.Fail("  - cannot install the best candidate for the job")
		}
	}
	return 0
}

// trusted refuses packages of a repository whose key is not known.
func (t *transaction) trusted() int {
	for _, w := range t.todo {
		p := t.Host.o.Image.find(w.name)
		if _, file := t.files[w.name]; file || p == nil {
			continue
		}
		for _, r := range t.repositories() {
			if r.origin() == p.origin && r.unsigned != "" && t.uses(r) {
				return t.Fail("Public key for %s.rpm %s\nError: GPG check FAILED", want{w.name, w.version[strings.IndexByte(w.version, ':')+1:]}.nevra(), r.unsigned)
			}
		}
	}
	return 0
}

// rpmUpgrade brings everything to its newest version, as far as excludes and locks let it.
func (p *Proc) rpmUpgrade(c choice) int {
	t := p.newTransaction(c)
	for _, name := range p.Host.installedNames() {
		if versions, _ := p.available(name, c); len(versions) > 0 && compareVersions(versions[0], p.Host.Installed(name)) > 0 {
			t.add(want{name: name})
		}
	}
	return t.unpack()
}

// split takes kubelet-1.29.6 apart.
func (h *Host) split(arg string) want {
	if h.o.Image.find(arg) != nil {
		return want{name: arg}
	}
	for i := len(arg) - 1; i > 0; i-- {
		if arg[i] == '-' && h.o.Image.find(arg[:i]) != nil {
			return want{arg[:i], arg[i+1:]}
		}
	}
	return want{name: arg}
}

func rpm(p *Proc) int {
	flags, words := p.Flags("--qf")
	format, given := flags["--qf"]
	if !given {
		format = "%{NAME}-%{VERSION}-%{RELEASE}.x86_64\\n"
	}
	if _, file := flags["-qp"]; file {
		return p.rpmFiles(format, words)
	}
	if _, query := flags["-q"]; !query {
		return p.Unknown()
	}
	_, provided := flags["--whatprovides"]
	code := 0
	for _, name := range words {
		found := p.Host.o.Image.find(name)
		if provided && found != nil {
			name = found.name
		}
		v := p.Host.Installed(name)
		switch {
		case v == "" && provided:
			p.Printf("no package provides %s\n", name)
			code++
		case v == "":
			p.Printf("package %s is not installed\n", name)
			code++
		case !p.rpmFormat(format, want{name, v}):
			return p.Unknown()
		}
	}
	return code
}

// rpmFormat shows a package as --qf says; false when it does not know how.
func (p *Proc) rpmFormat(format string, w want) bool {
	full, release, _ := strings.Cut(w.version, "-")
	return p.fill(format, "%{", func(field string) (string, bool) {
		switch field {
		case "NAME":
			return w.name, true
		case "EPOCHNUM":
			return epochOf(full), true
		case "VERSION":
			return full[strings.IndexByte(full, ':')+1:], true
		case "RELEASE":
			return release, true
		}
		return "", false
	})
}

func (p *Proc) rpmFiles(format string, files []string) int {
	for _, file := range files {
		w, ok := p.packageFile(file)
		if !ok {
			return p.Fail("error: %s: not an rpm package (or package manifest)", file)
		}
		if !p.rpmFormat(format, w) {
			return p.Unknown()
		}
	}
	return 0
}
