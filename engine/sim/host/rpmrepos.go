package host

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// metadata is what the package manager must have of the repositories before it does anything.
func (p *Proc) metadata(c choice) int {
	yum := p.Host.o.Image.manager == "yum"
	for _, r := range p.repositories() {
		why := r.gone()
		switch {
		case why == "" || !c.uses(r):
		case yum:
			return p.Fail("Error: Failed to download metadata for repo '%s': Cannot download repomd.xml: %s", r.id, why)
		default:
			return p.noMetadata(r, why)
		}
	}
	return 0
}

// noMetadata says what dnf says of a repository that does not answer.
func (p *Proc) noMetadata(r repository, why string) int {
	p.Take(10 * time.Second) // it tries again
	url := strings.NewReplacer("$releasever", strconv.Itoa(p.Host.o.Image.OS.Major), "$basearch", "x86_64").Replace(r.url)
	if !r.listed {
		url = strings.TrimSuffix(url, "/") + "/repodata/repomd.xml"
	}
	line := "Status code: 404 for " + url + " (IP: 192.0.2.1)"
	if _, host, unresolved := strings.Cut(why, "Could not resolve host: "); unresolved {
		line = "Curl error (6): Couldn't resolve host name for " + url + " [Could not resolve host: " + strings.TrimSuffix(host, "; Unknown error") + "]"
	}
	p.Errorf("Errors during downloading metadata for repository '%s':\n  - %s\n", r.id, line)
	if r.listed {
		return p.Fail("Error: Failed to download metadata for repo '%s': Cannot prepare internal mirrorlist: %s", r.id, line)
	}
	return p.Fail("Error: Failed to download metadata for repo '%s': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried", r.id)
}

// unknownRepository refuses to enable a repository that is not there.
func (p *Proc) unknownRepository(c choice) int {
	all := p.repositories()
	for _, pattern := range c.enabled {
		if slices.ContainsFunc(all, func(r repository) bool { return matches([]string{pattern}, r.id) }) {
			continue
		}
		if p.Host.o.Image.manager == "yum" {
			return p.Fail("Error getting repository data for %s, repository not found", pattern)
		}
		return p.Fail("Error: Unknown repo: '%s'", pattern)
	}
	return 0
}

// someRepository refuses to install without any repository, unless it is from files.
func (p *Proc) someRepository(c choice, args []string) int {
	file := func(a string) bool { return strings.HasPrefix(a, "/") }
	if slices.ContainsFunc(args, file) || slices.ContainsFunc(p.repositories(), c.uses) {
		return 0
	}
	if p.Host.o.Image.manager == "yum" {
		return p.Fail("There are no enabled repos.\n Run \"yum repolist all\" to see the repos you have.")
	}
	return p.Fail(`Error: There are no enabled repositories in "/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d".`)
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
		if v, ok := lockOf(line, name); ok {
			return strings.TrimPrefix(v, "0:")
		}
	}
	return ""
}

// lockOf is the version, with its epoch, that a line of the list locks a package to.
func lockOf(line, name string) (version string, ok bool) {
	line = strings.TrimSuffix(strings.TrimSpace(line), ".*")
	if rest, ok := strings.CutPrefix(line, name+"-"); ok && strings.Contains(rest, ":") { // dnf: kubelet-0:1.29.6-1
		return rest, true
	}
	epoch, rest, _ := strings.Cut(line, ":") // yum: 0:kubelet-1.13.1-0
	if v, ok := strings.CutPrefix(rest, name+"-"); ok {
		return epoch + ":" + v, true
	}
	return "", false
}

// versionlock is the plugin: a lock that is there stays as it is, of whichever version.
func (p *Proc) versionlock(args []string) int {
	h := p.Host
	list, on := h.locks()
	if !on || len(args) < 2 || args[0] != "add" && args[0] != "delete" {
		return p.Unknown()
	}
	p.Take(900 * time.Millisecond)
	text := h.Text(list)
	if args[0] == "delete" {
		text = p.unlock(text, args[1:])
	} else {
		for _, name := range args[1:] {
			text += p.lock(text, name)
		}
	}
	if err := h.write(list, text, task.Attr{}); err != nil {
		return p.Fail("Error: %v", err)
	}
	return 0
}

// unlock is the list without the locks of some packages; what else is in it, such as comments, goes too.
func (p *Proc) unlock(list string, names []string) string {
	keep, found := "", false
	for line := range strings.Lines(list) {
		if line[0] == '#' || strings.TrimSpace(line) == "" {
			continue
		}
		if !slices.ContainsFunc(names, func(n string) bool { _, ok := lockOf(line, n); return ok }) {
			keep += line
			continue
		}
		found = true
		p.Printf("Deleting versionlock for: %s", line)
	}
	if !found {
		return list
	}
	return keep
}

// lock is what is added to the list for a package.
func (p *Proc) lock(list, name string) string {
	for line := range strings.Lines(list) {
		if _, ok := lockOf(line, name); ok {
			p.Printf("Package already locked in equivalent form: %s", line)
			return ""
		}
	}
	have := p.Host.Installed(name)
	if have == "" {
		p.Printf("No package found for: %s\n", name)
		return ""
	}
	if !strings.Contains(have, ":") {
		have = "0:" + have
	}
	entry := name + "-" + have + ".*\n"
	if p.Host.o.Image.manager == "yum" {
		epoch, version, _ := strings.Cut(have, ":")
		entry = epoch + ":" + name + "-" + version + ".*\n"
	}
	p.Printf("Adding versionlock on: %s", entry)
	return "\n# Added lock on " + p.Host.o.Clock.Now().Format(time.ANSIC) + "\n" + entry
}
