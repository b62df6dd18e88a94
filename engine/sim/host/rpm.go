package host

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// dnf is dnf, and yum of CentOS 7.
func dnf(p *Proc) int {
	_, words := p.Flags()
	if len(words) == 0 {
		return p.Unknown()
	}
	c := choice{disabled: p.all("--disablerepo"), enabled: p.all("--enablerepo"), included: p.all("--disableexcludes"),
		unlocked: slices.Contains(p.all("--disableplugin"), "versionlock")}
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
		return p.removeAll(words[1:], false)
	case "list":
		name := words[len(words)-1]
		versions, _ := p.Host.available(name, c)
		for _, v := range slices.Backward(versions) {
			p.Printf("%s.x86_64 %s repository\n", name, v)
		}
		return 0
	case "versionlock":
		return p.versionlock(words[1:])
	}
	return p.Unknown()
}

// metadata is what the package manager must have of the repositories before it does anything.
func (p *Proc) metadata(c choice) int {
	for _, r := range p.Host.repositories() {
		if why := r.gone(); why != "" && c.uses(r) {
			return p.Fail("Error: Failed to download metadata for repo '%s': Cannot download repomd.xml: %s", r.id, why)
		}
	}
	return 0
}

func (p *Proc) rpmInstall(c choice, verb string, args []string) int {
	if p.diskFull() {
		return p.Fail("Error Summary\nDisk Requirements: At least 200MB more space needed on the / filesystem.")
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
	for _, w := range wanted {
		if found := p.Host.o.Image.find(w.name); found != nil && w.version == "" && t.files[w.name] == "" && p.Host.Installed(found.name) != "" {
			continue
		}
		t.add(w)
	}
	if yum && verb == "install" {
		t.todo = slices.DeleteFunc(t.todo, func(w want) bool { // yum install never goes back
			have := p.Host.Installed(w.name)
			return have != "" && compareVersions(w.version, have) < 0
		})
	}
	if code := t.unmatched(wanted, yum); code != 0 {
		return code
	}
	if code := t.trusted(); code != 0 {
		return code
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
			t.Errorf("Error: \n Problem: conflicting requests\n  - nothing provides %s\n", name)
			return 1
		case yum:
			t.Errorf("No package %s available.\n", name)
		case slices.Contains(t.hidden, w):
			t.Errorf("All matches were filtered out by exclude filtering for argument: %s\n", name)
		default:
			t.Errorf("No match for argument: %s\n", name)
		}
		bad++
	}
	switch {
	case bad > 0 && !yum:
		return t.Fail("Error: Unable to find a match (the simulator's catalogue is engine/sim/host/catalog.go)")
	case bad == len(wanted) && bad > 0:
		return t.Fail("Error: Nothing to do")
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
		for _, r := range t.Host.repositories() {
			if r.origin() == p.origin && r.unsigned != "" && t.uses(r) {
				return t.Fail("Public key for %s-%s.x86_64.rpm %s\nError: GPG check FAILED", w.name, w.version, r.unsigned)
			}
		}
	}
	return 0
}

// rpmUpgrade brings everything to its newest version, as far as excludes and locks let it.
func (p *Proc) rpmUpgrade(c choice) int {
	t := p.newTransaction(c)
	for _, name := range p.Host.installedNames() {
		if versions, _ := p.Host.available(name, c); len(versions) > 0 && compareVersions(versions[0], p.Host.Installed(name)) > 0 {
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

// locks are where the plugin versionlock has its list, and whether the plugin is there.
func (h *Host) locks() (list string, on bool) {
	if h.o.Image.manager == "yum" {
		return "/etc/yum/pluginconf.d/versionlock.list", h.Exists("/etc/yum/pluginconf.d/versionlock.conf")
	}
	return "/etc/dnf/plugins/versionlock.list", h.Exists("/etc/dnf/plugins/versionlock.conf")
}

// lockedTo is the version that a package is locked to; "" = none.
func (h *Host) lockedTo(name string) string {
	list, on := h.locks()
	if !on {
		return ""
	}
	for line := range strings.Lines(h.Text(list)) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ".*")
		for _, form := range []string{"0:" + name + "-", name + "-0:"} {
			if v, ok := strings.CutPrefix(line, form); ok {
				return v
			}
		}
	}
	return ""
}

func (p *Proc) versionlock(args []string) int {
	h := p.Host
	list, on := h.locks()
	if !on || len(args) < 2 || args[0] != "add" && args[0] != "delete" {
		return p.Unknown()
	}
	p.Take(900 * time.Millisecond)
	var keep []string
	for line := range strings.Lines(h.Text(list)) {
		line = strings.TrimSpace(line)
		if line != "" && !slices.ContainsFunc(args[1:], func(n string) bool {
			return strings.HasPrefix(line, "0:"+n+"-") || strings.HasPrefix(line, n+"-0:")
		}) {
			keep = append(keep, line)
		}
	}
	for _, name := range args[1:] {
		have := h.Installed(name)
		if args[0] == "delete" || have == "" {
			continue
		}
		lock := name + "-0:" + have + ".*"
		if h.o.Image.manager == "yum" {
			lock = "0:" + name + "-" + have + ".*"
		}
		p.Printf("Adding versionlock on: %s\n", lock)
		keep = append(keep, lock)
	}
	if err := h.write(list, strings.Join(keep, "\n")+"\n", task.Attr{}); err != nil {
		return p.Fail("Error: %v", err)
	}
	return 0
}

func rpm(p *Proc) int {
	flags, words := p.Flags("--qf")
	if _, file := flags["-qp"]; file {
		return p.rpmFiles(words)
	}
	if _, query := flags["-q"]; !query {
		return p.Unknown()
	}
	_, provided := flags["--whatprovides"]
	code := 0
	for _, name := range words {
		if found := p.Host.o.Image.find(name); provided && found != nil {
			name = found.name
		}
		v := p.Host.Installed(name)
		if v == "" {
			p.Printf("package %s is not installed\n", name)
			code++
			continue
		}
		if !strings.Contains(v, ":") {
			v = "0:" + v
		}
		p.Printf("%s %s\n", name, v)
	}
	return code
}

func (p *Proc) rpmFiles(files []string) int {
	for _, file := range files {
		w, ok := p.packageFile(file)
		if !ok {
			return p.Fail("error: %s: not an rpm package (or package manifest)", file)
		}
		p.Printf("%s 0:%s\n", w.name, w.version)
	}
	return 0
}
