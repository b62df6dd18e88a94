// Package pkg is the kind package: packages of the operating system, through apt, dnf or yum.
//
// What is declared is compared with one query of the package database. What differs is installed in one transaction;
// the package lists are downloaded first if that is needed. Names and versions differ between distributions, so an entry
// may name the package for each manager, and a version matches whatever revision the distribution adds to it.
package pkg

import (
	"fmt"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/pkgmgr"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "package",
		Summary: "Packages of the operating system: versions, holds, local files, by apt, dnf or yum",
		Doc:     doc,
		New:     func() task.Task { return new(Package) },
		Outputs: Outputs{},
		Class:   "package",
		Examples: []task.Example{
			{Title: "Packages", YAML: "- id: tools\n  package: [ipvsadm, socat, conntrack]\n"},
			{Title: "kubeadm and friends in one version, kept from system updates", YAML: `- id: kubernetes
  package:
    names: [kubelet, kubeadm, kubectl]
    version: 1.29.6
    hold: true
`},
			{Title: "Different names by package manager", YAML: `- id: time
  package:
    names:
      - {name: chrony}
      - {name: ipset}
      - {name: conntrack, dnf: conntrack-tools}
      - {apt: apt-transport-https}          # nothing of it with dnf and yum
`},
			{Title: "Package files that lie on the host", YAML: `- id: offline
  package:
    files: [/opt/packages/*.rpm]
    disable_repositories: ["*"]
`},
		},
	}
}

const doc = `Compares the package database with what is declared and installs, changes or removes what differs, in one transaction.

**Versions.** 1.29.6 is what the project calls it; 1.29.6-1.1 (apt), 1.29.6-150500.1.1 (dnf) and 1.20.2-00 (the former
repositories) match it, 1.29.60 does not. A trailing * matches any ending: 1.29.*. If no repository has the version, the
failure lists those there are. Installing something older than what is there needs allow_downgrade.

**Package lists.** With refresh: auto they are downloaded when there are none, and when a package or version is not found in
them. A duration refreshes older lists, true always, false never; all that only if something is to be installed.

**Locks.** kflow waits for the lock of the package manager, by default 10 minutes, and never kills its holder
(kubespray#8737, kubean-io/kubean#909, sassoftware/viya4-iac-k8s#151, kubeone PR #2763, ansible/ansible#57189). On one host one
task of this kind runs at a time. An installation that was interrupted is finished first (dpkg --configure -a).

**hold** keeps system updates from moving the packages, as [install-kubeadm] asks: apt-mark hold; with dnf and yum the
plugin versionlock where it is installed, else the line exclude of the configuration. A package held here can still be
changed by this task; a lock of the version before is renewed. What dnf excludes it does not see, so removing a package that
is held needs hold: false, too.

**Scriptlets** of rpm that fail after a package was unpacked are no failure: dnf says so and ends well. It is in the log of the task.

Questions are never asked: existing configuration files are kept, and services are not restarted by needrestart.`

// Outputs are the outputs.
type Outputs struct {
	Versions map[string]string `json:"versions" doc:"Version that is installed, by package name."`
}

// Package are the parameters.
type Package struct {
	Names               []Entry       `json:"names" kf:"short" doc:"Packages: a name, or a map."`
	Files               task.Strings  `json:"files" kf:"format=path" doc:"Package files on the host, for example from a download; patterns with * are possible."`
	Version             string        `json:"version" doc:"Version of all entries that have none of their own; empty is any."`
	State               string        `json:"state" kf:"enum=present|absent" default:"present" doc:"Whether the packages shall be there."`
	Hold                *bool         `json:"hold" doc:"Keep system updates from changing the packages (true), or let them (false); without it, holds stay as they are."`
	Refresh             string        `json:"refresh" default:"auto" doc:"When to download the package lists before something is installed: auto, true, false, or an age such as 24h."`
	AllowDowngrade      bool          `json:"allow_downgrade" doc:"Whether an older version may replace a newer one."`
	AllowUpgrade        bool          `json:"allow_upgrade" default:"true" doc:"Whether a newer version may replace an older one. false where that needs more than new packages, as with the kubelet of a node: a run that changes version then stops before anything is changed."`
	Recommends          bool          `json:"recommends" doc:"With apt, install recommended packages too."`
	Purge               bool          `json:"purge" doc:"With apt and state absent, remove configuration files too."`
	LockTimeout         task.Duration `json:"lock_timeout" default:"10m" doc:"How long to wait for the lock of the package manager."`
	DisableRepositories task.Strings  `json:"disable_repositories" doc:"Repositories to leave out (dnf, yum; patterns are possible). With apt only * is possible: nothing is downloaded."`
	EnableRepositories  task.Strings  `json:"enable_repositories" doc:"Repositories to use although they are disabled (dnf, yum)."`
	DisableExcludes     string        `json:"disable_excludes" doc:"Repository whose exclude lines do not count here (dnf, yum)."`

	found map[string]pkgmgr.Installed // when Changes looked last
}

// Entry is one package.
type Entry struct {
	Name    string       `json:"name" kf:"short" doc:"Name of the package. Without it, the entry only counts for the package managers named below."`
	Version string       `json:"version" doc:"Version, for example 1.29.6."`
	Apt     task.Strings `json:"apt" doc:"Names with apt, instead of name."`
	Dnf     task.Strings `json:"dnf" doc:"Names with dnf, instead of name; with yum too, unless yum is given."`
	Yum     task.Strings `json:"yum" doc:"Names with yum, instead of name; with dnf too, unless dnf is given."`
}

// names are the names of an entry with a package manager.
func (e Entry) names(manager string) []string {
	var first, second task.Strings
	switch manager {
	case "apt":
		first = e.Apt
	case "dnf":
		first, second = e.Dnf, e.Yum
	case "yum":
		first, second = e.Yum, e.Dnf
	}
	switch {
	case len(first) > 0:
		return first
	case len(second) > 0:
		return second
	case e.Name != "":
		return []string{e.Name}
	}
	return nil
}

// all are the names of an entry with any package manager.
func (e Entry) all() []string {
	var all []string
	for _, manager := range []string{"apt", "dnf", "yum"} {
		all = append(all, e.names(manager)...)
	}
	return all
}

// Check implements task.Checker.
func (p *Package) Check() error {
	if len(p.Names) == 0 && len(p.Files) == 0 {
		return task.Failf("neither names nor files are given: there is nothing to install")
	}
	if _, _, err := p.refresh(); err != nil {
		return err
	}
	for i, e := range p.Names {
		if e.Name == "" && len(e.Apt)+len(e.Dnf)+len(e.Yum) == 0 {
			return task.Failf("names[%d] has no name", i)
		}
	}
	if p.State == "absent" && len(p.Files) > 0 {
		return task.Failf("files cannot be used with state: absent: name the packages").WithHint("use names")
	}
	return nil
}

// Touches implements task.Toucher.
func (p *Package) Touches() task.Touches {
	var t task.Touches
	for _, e := range p.Names {
		for _, name := range unique(e.all()) {
			t.Writes = append(t.Writes, "package:"+name)
		}
	}
	for _, f := range p.Files {
		t.Reads = append(t.Reads, fmt.Sprintf("path:%s", f))
	}
	return t
}

// Interface guards.
var (
	_ task.Checker   = (*Package)(nil)
	_ task.Toucher   = (*Package)(nil)
	_ task.Outputter = (*Package)(nil)
)
