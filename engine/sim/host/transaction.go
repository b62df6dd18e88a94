package host

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// want is a package that is asked for, with a version, its start, or a pattern of it ("" = any).
type want struct{ name, version string }

// fits tells whether a version is one that is asked for.
func (w want) fits(version string) bool {
	if !strings.Contains(w.version, ":") {
		version = version[strings.IndexByte(version, ':')+1:]
	}
	ok, _ := path.Match(w.version, version)
	return ok || w.version == "" || version == w.version || strings.HasPrefix(version, w.version+"-")
}

// transaction is what a package manager is about to do.
type transaction struct {
	*Proc
	choice
	todo    []want
	asked   map[string]want   // packages that were named
	files   map[string]string // versions of package files that lie on the host
	seen    map[string]bool
	missing []want          // what is in no repository
	hidden  []want          // what an exclude or a lock keeps away
	by      map[string]want // packages that are here because another one needs them
}

func (p *Proc) newTransaction(c choice) *transaction {
	return &transaction{Proc: p, choice: c, asked: map[string]want{}, files: map[string]string{}, seen: map[string]bool{}, by: map[string]want{}}
}

// ask adds packages that were named: what others need of them is met by the version that was asked for.
func (t *transaction) ask(all []want) {
	for _, w := range all {
		if p := t.Host.o.Image.find(w.name); p != nil {
			t.asked[p.name] = w
		}
	}
	for _, w := range all {
		t.add(w)
	}
}

// add takes a package into the transaction, with what it needs.
func (t *transaction) add(w want) {
	h := t.Host
	p := h.o.Image.find(w.name)
	if version, is := t.files[w.name]; is {
		t.take(want{w.name, version}, p)
		return
	}
	if p == nil {
		t.missing = append(t.missing, w)
		return
	}
	versions, hidden := t.available(w.name, t.choice)
	i := slices.IndexFunc(versions, w.fits)
	switch {
	case i >= 0:
		t.take(want{p.name, versions[i]}, p)
	case hidden:
		t.hidden = append(t.hidden, w)
	default:
		t.missing = append(t.missing, w)
	}
}

func (t *transaction) take(w want, p *pkg) {
	if t.seen[w.name] {
		return
	}
	t.seen[w.name] = true
	if p != nil {
		_, needs := p.parts(w.version)
		for _, need := range needs {
			t.need(need, w)
		}
	}
	if have := t.Host.Installed(w.name); have != w.version || t.Host.isBroken(w.name) {
		t.todo = append(t.todo, w)
	}
}

// need takes what a package needs: in the version that was asked for, else the newest.
func (t *transaction) need(name string, by want) {
	q := t.Host.o.Image.find(name)
	if _, given := t.files[name]; given {
		t.add(want{name: name})
		return
	}
	if q == nil || t.Host.Installed(q.name) != "" && !t.Host.isBroken(q.name) {
		return
	}
	w, named := t.asked[q.name]
	if !named {
		w = want{name: q.name}
		t.by[q.name] = by
	}
	t.add(w)
}

// unpack carries a transaction out: each package is there, or half there, when it is interrupted.
func (t *transaction) unpack() int {
	h := t.Host
	if len(t.todo) > 0 {
		t.Take(2 * time.Second)
	}
	apt := h.o.Image.manager == "apt"
	for _, w := range t.todo {
		p := h.o.Image.find(w.name)
		if p == nil {
			p = &pkg{name: w.name, versions: []string{w.version}, takes: time.Second} // from a file
		}
		if apt {
			h.mark(p.name, w.version)
		}
		t.Take(p.takes)
		if err := h.put(p, w.version); err != nil {
			return t.Fail("E: %s: cannot write: No space left on device", w.name)
		}
		h.needed(p.name, t.by[p.name].name != "")
		t.Printf("Setting up %s (%s) ...\n", w.name, w.version)
		if apt {
			t.startUnits(p)
		}
	}
	h.reloadUnits()
	return 0
}

// startUnits does what Debian does with services that are installed.
func (p *Proc) startUnits(found *pkg) {
	for _, unit := range found.units {
		if unit == "kubelet.service" {
			continue
		}
		p.Host.reloadUnits()
		if unit != "keepalived.service" || p.Host.Text("/etc/keepalived/keepalived.conf") != "" { // it has a condition
			p.Host.Start(unit)
		}
		_ = p.Host.link("/usr/lib/systemd/system/"+unit, wants+unit)
	}
}

// mark notes that the files of a package are there, and that it is not set up.
func (h *Host) mark(name, version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := h.packages[name] != nil && h.packages[name].held
	h.packages[h.share(name)] = &installed{version: version, held: held, broken: true}
}

// needed notes whether a package is there for others alone. Whoever names it later wants it for itself.
func (h *Host) needed(name string, forOthers bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.packages[name]; i != nil {
		i.forOthers = forOthers
	}
}

func (h *Host) isBroken(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.packages[name] != nil && h.packages[name].broken
}

// removeAll takes packages away, with those that need them; dnf also those that nobody needs any more.
func (p *Proc) removeAll(names []string, purge bool) int {
	p.Take(2 * time.Second)
	h := p.Host
	for len(names) > 0 {
		found := h.o.Image.find(names[0])
		names = names[1:]
		if found == nil || h.Installed(found.name) == "" {
			continue
		}
		for _, other := range h.installedNames() {
			if h.needs(other, found) {
				names = append(names, other)
			}
		}
		for _, unit := range found.units {
			h.Stop(unit)
			_ = h.Unlink(wants + unit)
		}
		p.removeFiles(found, purge)
		h.mu.Lock()
		delete(h.packages, found.name)
		h.mu.Unlock()
		p.Printf("Removing %s ...\n", found.name)
		if h.o.Image.manager == "dnf" {
			names = append(names, h.unneeded()...)
		}
	}
	h.reloadUnits()
	return 0
}

// needs tells whether a package that is there needs another.
func (h *Host) needs(name string, found *pkg) bool {
	q := h.o.Image.find(name)
	return q != nil && slices.ContainsFunc(q.needs, func(n string) bool { return h.o.Image.find(n) == found })
}

// unneeded are the packages that came because others needed them, and that none needs now.
func (h *Host) unneeded() []string {
	all := h.installedNames()
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		h.mu.Lock()
		stays := h.packages[name] == nil || !h.packages[name].forOthers
		h.mu.Unlock()
		return stays || slices.ContainsFunc(all, func(other string) bool { return h.needs(other, h.o.Image.find(name)) })
	})
}

// removeFiles keeps configuration files: apt all, unless it purges them; rpm those that were changed, under another name.
func (p *Proc) removeFiles(found *pkg, purge bool) {
	h := p.Host
	for _, f := range found.files {
		if strings.HasPrefix(f.path, "/etc/") && !purge {
			if h.o.Image.manager == "apt" {
				continue
			}
			if text := h.Text(f.path); text != f.text {
				_ = h.write(f.path+".rpmsave", text, task.Attr{Mode: f.mode})
			}
		}
		_ = h.Unlink(f.path)
	}
}

func (h *Host) installedNames() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for name := range h.packages {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (p *Proc) diskFull() bool {
	p.Host.mu.Lock()
	defer p.Host.mu.Unlock()
	return p.Host.full
}

// all are the values of a flag that can be given more than once: --flag=a --flag=b.
func (p *Proc) all(flag string) []string {
	var out []string
	for _, a := range p.Args {
		if value, ok := strings.CutPrefix(a, flag+"="); ok {
			out = append(out, words(value)...)
		}
	}
	return out
}

// packageFile reads name and version of a package file from its name, if it is one.
func (p *Proc) packageFile(file string) (want, bool) {
	if !strings.HasPrefix(p.Host.Text(file), "simulated ") || strings.Contains(p.Host.Text(file), "\x00") {
		return want{}, false
	}
	base := path.Base(file)
	if rest, ok := strings.CutSuffix(base, ".deb"); ok {
		f := strings.Split(rest, "_")
		if len(f) < 2 {
			return want{}, false
		}
		return want{f[0], f[1]}, true
	}
	rest, ok := strings.CutSuffix(base, ".rpm")
	f := strings.Split(rest[:max(strings.LastIndexByte(rest, '.'), 0)], "-") // without the architecture
	if !ok || len(f) < 3 {
		return want{}, false
	}
	return want{strings.Join(f[:len(f)-2], "-"), strings.Join(f[len(f)-2:], "-")}, true
}
