package host

import (
	"path"
	"slices"
	"strings"
)

// Where packages come from: what the address of a repository says.
const (
	distribution = "distribution"
	kubernetes   = "kubernetes"
	docker       = "docker"
	epel         = "epel"
)

// repository is a repository that the host is configured for.
type repository struct {
	id, url  string
	excludes []string
	off      bool   // not enabled
	listed   bool   // the address is that of a list of mirrors
	unsigned string // why its packages, or lists, are not trusted; "" = they are
}

// origin is what a repository has.
func (r repository) origin() string {
	for _, o := range []struct{ part, is string }{{"kubernetes", kubernetes}, {"k8s.io", kubernetes}, {"docker", docker}, {"epel", epel}} {
		if strings.Contains(r.url, o.part) {
			return o.is
		}
	}
	return distribution
}

// gone says what a package manager says of a repository that is not there any more; "" = it is there.
func (r repository) gone() string {
	for _, host := range []string{"packages.cloud.google.com", "apt.kubernetes.io", "yum.kubernetes.io"} { // removed in March 2024
		if strings.Contains(r.url, host) {
			return "404  Not Found"
		}
	}
	if strings.Contains(r.url, "mirrorlist.centos.org") { // ended in July 2024
		return "Could not resolve host: mirrorlist.centos.org; Unknown error"
	}
	if _, rest, _ := strings.Cut(r.url, "://"); strings.HasSuffix(strings.SplitN(rest, "/", 2)[0], ".invalid") { // no name ever ends so (RFC 2606)
		return "Could not resolve host: " + strings.SplitN(rest, "/", 2)[0]
	}
	return ""
}

// repositories are those of the host when the program looked first.
func (p *Proc) repositories() []repository {
	if p.repos == nil {
		p.repos = p.Host.repositories()
	}
	return p.repos
}

// repositories are those of the host, as its files say.
func (h *Host) repositories() []repository {
	if h.o.Image.manager == "apt" {
		return h.aptSources()
	}
	files, _ := h.match("/etc/yum.repos.d/*.repo")
	var out []repository
	for _, file := range files {
		out = append(out, h.o.Texts.yumSections(h.Text(file))...)
	}
	return out
}

// yumSections reads a .repo file.
func yumSections(text string) []repository {
	var out []repository
	key, checked := "", false
	end := func() {
		if n := len(out); n > 0 && checked && key == "" && out[n-1].origin() != distribution {
			out[n-1].unsigned = "is not installed"
		}
		key, checked = "", false
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			end()
			out = append(out, repository{id: strings.Trim(line, "[]")})
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || len(out) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		r := &out[len(out)-1]
		switch name, value = strings.TrimSpace(name), strings.TrimSpace(value); name {
		case "baseurl", "mirrorlist", "metalink":
			r.url += value
			r.listed = r.listed || name != "baseurl"
		case "enabled":
			r.off = value == "0"
		case "exclude", "excludepkgs":
			r.excludes = words(value)
		case "gpgkey":
			key = value
		case "gpgcheck":
			checked = value == "1"
		}
	}
	end()
	return out
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
}

// aptSources reads the sources of apt: deb822 files and lines.
func (h *Host) aptSources() []repository {
	var out []repository
	files, _ := h.match("/etc/apt/sources.list.d/*.sources")
	for _, file := range files {
		for stanza := range strings.SplitSeq(h.Text(file), "\n\n") {
			f := stanzaFields(stanza)
			for _, url := range words(f["URIs"]) {
				out = append(out, h.aptSource(file, url, f["Suites"], f["Signed-By"], f["Trusted"] == "yes", f["Enabled"] == "no"))
			}
		}
	}
	lists, _ := h.match("/etc/apt/sources.list.d/*.list")
	for _, file := range append(lists, "/etc/apt/sources.list") {
		for line := range strings.Lines(h.Text(file)) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
			options := ""
			if strings.HasPrefix(rest, "[") {
				options, rest, _ = strings.Cut(rest[1:], "]")
			}
			f := strings.Fields(rest)
			if !ok || len(f) < 2 {
				continue
			}
			signed := ""
			for _, o := range strings.Fields(options) {
				if key, is := strings.CutPrefix(o, "signed-by="); is {
					signed = key
				}
			}
			out = append(out, h.aptSource(file, f[0], f[1], signed, strings.Contains(options, "trusted=yes"), false))
		}
	}
	return out
}

func stanzaFields(stanza string) map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(stanza) {
		if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			f[key] = strings.TrimSpace(value)
		}
	}
	return f
}

func (h *Host) aptSource(file, url, suites, signed string, trusted, off bool) repository {
	r := repository{id: path.Base(file), url: strings.TrimSuffix(url, "/"), off: off}
	if suites != "/" && suites != "./" {
		r.url += "/dists/" + firstWord(suites)
	}
	if !trusted && r.origin() != distribution && !strings.Contains(h.Text(signed), "simulated key") && !strings.Contains(h.Text(signed), "BEGIN PGP") {
		r.unsigned = "The following signatures couldn't be verified because the public key is not available: NO_PUBKEY"
	}
	return r
}

// listOf is where apt keeps the list of a repository.
func (r repository) listOf() string {
	_, rest, ok := strings.Cut(r.url, "://")
	if !ok {
		rest = strings.TrimPrefix(r.url, "file:")
	}
	return "/var/lib/apt/lists/" + strings.ReplaceAll(strings.Trim(rest, "/"), "/", "_") + "_InRelease"
}

// choice says which repositories, and which of their packages, count for a call of a package manager.
type choice struct {
	disabled, enabled []string // patterns of repositories
	included          []string // whose excludes do not count: main, all, names of repositories
	unlocked          bool     // the plugin versionlock is off
}

func (c choice) uses(r repository) bool {
	off := r.off || matches(c.disabled, r.id)
	return !off || matches(c.enabled, r.id)
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok })
}

func (c choice) counts(excludesOf string) bool {
	return !slices.Contains(c.included, "all") && !slices.Contains(c.included, excludesOf)
}

// available are the versions of a package that can be installed, newest first; hidden tells that there are some, which an
// exclude or a lock keeps away.
func (p *Proc) available(name string, c choice) (versions []string, hidden bool) {
	h := p.Host
	found := h.o.Image.find(name)
	if found == nil {
		return nil, false
	}
	main := h.mainExcludes()
	for _, r := range p.repositories() {
		if r.origin() != found.origin || !c.uses(r) || h.o.Image.manager == "apt" && !h.Exists(r.listOf()) {
			continue
		}
		if c.counts(r.id) && matches(r.excludes, found.name) || c.counts("main") && matches(main, found.name) {
			hidden = true
			continue
		}
		if found.origin == kubernetes {
			versions = append(versions, h.o.Image.kubernetes(r.url, found)...)
			continue
		}
		versions = append(versions, found.versions...)
	}
	slices.SortFunc(versions, func(a, b string) int { return compareVersions(b, a) })
	versions = slices.Compact(versions)
	if lock := h.lockedTo(found.name); lock != "" && !c.unlocked {
		hidden = len(versions) > 0
		versions = slices.DeleteFunc(versions, func(v string) bool { return v != lock })
		hidden = hidden && len(versions) == 0
	}
	return versions, hidden
}

// mainExcludes are those of the configuration of dnf, or yum.
func (h *Host) mainExcludes() []string {
	file := map[string]string{"dnf": "/etc/dnf/dnf.conf", "yum": "/etc/yum.conf"}[h.o.Image.manager]
	for line := range strings.Lines(h.Text(file)) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(strings.TrimSpace(key), "exclude") {
			return words(strings.TrimSpace(value))
		}
	}
	return nil
}

// compareVersions compares the numbers of two versions, left to right.
func compareVersions(a, b string) int {
	if x, y := epochOf(a), epochOf(b); x != y {
		return strings.Compare(x, y)
	}
	for {
		var x, y string
		x, a = number(a)
		y, b = number(b)
		switch {
		case x == "" || y == "" || len(x) != len(y):
			return len(x) - len(y)
		case x != y:
			return strings.Compare(x, y)
		}
	}
}

// number is the first number in a version, without zeros before it, and what follows; "" = there is none.
func number(version string) (digits, rest string) {
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	start := strings.IndexFunc(version, isDigit)
	if start < 0 {
		return "", ""
	}
	rest = strings.TrimLeftFunc(version[start:], isDigit)
	digits = strings.TrimLeft(version[start:len(version)-len(rest)], "0")
	if digits == "" {
		digits = "0"
	}
	return digits, rest
}

func epochOf(version string) string {
	if e, _, ok := strings.Cut(version, ":"); ok {
		return e
	}
	return "0"
}
