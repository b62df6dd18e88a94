// Package repository is the kind repository: where a host's package manager gets packages from.
//
// A repository is described for apt, for dnf/yum, or for both; the host's package manager decides which description is
// used. A repository is done when its files are as declared and its package lists have been downloaded since: a record on
// the host holds the hash of the files at the last successful download, so a failure in between is not forgotten.
package repository

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "repository",
		Summary: "Repositories of apt, dnf and yum, and mirrors of the distribution's own",
		Doc: `Describes a repository for apt, for yum (which is dnf too), or for both; a host uses the part of its package manager, and a missing
part is an error (guard the task with when). After a change the package lists of the repository are downloaded, so that a wrong
address or key fails here and not in a later package task.

apt: a deb822 file /etc/apt/sources.list.d/NAME.sources with the key in /etc/apt/keyrings/NAME.gpg (no gpg program is needed). yum: /etc/yum.repos.d/NAME.repo.
mirror rewrites the addresses of files that are there, as mirrors of distributions describe it with sed: base URLs that begin with
from (commented out or not) begin with to, mirror lists of the same section are commented out. The first version of a file is kept beside it.

Kubernetes: pkgs.k8s.io has one repository per minor version, from 1.24 on, each with its own key (kubernetes/release#3485, #3497). CentOS 7: mirrorlist.centos.org
is gone, use vault.centos.org.`,
		New:   func() task.Task { return new(Repository) },
		Class: "package",
		Examples: []task.Example{
			{Title: "Kubernetes packages, on both families", YAML: `- id: kubernetes_repository
  repository:
    name: kubernetes
    apt:
      uris: https://pkgs.k8s.io/core:/stable:/v1.29/deb/
      suites: /
      key_url: https://pkgs.k8s.io/core:/stable:/v1.29/deb/Release.key
    yum:
      baseurl: https://pkgs.k8s.io/core:/stable:/v1.29/rpm/
      gpgkey: https://pkgs.k8s.io/core:/stable:/v1.29/rpm/repodata/repomd.xml.key
      exclude: [kubelet, kubeadm, kubectl]
`},
			{Title: "Rocky Linux from a mirror", YAML: `- id: rocky_mirror
  when: host.facts.os.id == "rocky"
  repository:
    name: rocky
    yum:
      mirror:
        files: /etc/yum.repos.d/[Rr]ocky*.repo
        from: http://dl.rockylinux.org/$contentdir
        to: https://mirrors.aliyun.com/rockylinux
`},
			{Title: "A local repository", YAML: `- id: local
  repository:
    name: local
    apt: {uris: "file:/srv/repo", suites: ./, trusted: true}
`},
		},
	}
}

// Repository are the parameters.
type Repository struct {
	Name        string        `json:"name" kf:"required" doc:"Name of the repository and of its files."`
	Apt         *Apt          `json:"apt" doc:"The repository for apt."`
	Yum         *Yum          `json:"yum" doc:"The repository for dnf and yum."`
	State       string        `json:"state" kf:"enum=present|absent" default:"present" doc:"Whether it shall be there."`
	Refresh     bool          `json:"refresh" default:"true" doc:"Whether to download its package lists after a change."`
	LockTimeout task.Duration `json:"lock_timeout" default:"10m" doc:"How long to wait for the lock of the package manager."`
}

// Apt is a repository for apt.
type Apt struct {
	URIs          task.Strings  `json:"uris" doc:"Addresses, https://.. or file:/.."`
	Suites        task.Strings  `json:"suites" doc:"Suites, for example bookworm; ending in / they are directories of a flat repository."`
	Components    task.Strings  `json:"components" doc:"Components, for example main; none with flat repositories."`
	Types         task.Strings  `json:"types" default:"deb" doc:"What the repository has: deb for packages, deb-src for their sources."`
	Architectures task.Strings  `json:"architectures" doc:"Architectures; default: the host's."`
	Key           *task.Content `json:"key" kf:"arm?=key,format=content" doc:"Key that signs the repository, armored."`
	KeySource     *task.Content `json:"key_source" kf:"arm?=key,format=source" doc:"File beside the playbook with that key, armored or binary."`
	KeyURL        string        `json:"key_url" kf:"arm?=key,format=url" doc:"Address of that key, armored or binary; the host downloads it once."`
	Trusted       bool          `json:"trusted" doc:"Whether to do without a signature."`
	Mirror        *Mirror       `json:"mirror" doc:"Instead of a repository of its own: rewrite addresses of those that are there. The files as they were are kept beside them, as .orig."`
}

// Yum is a repository for dnf and yum.
type Yum struct {
	BaseURL        task.Strings `json:"baseurl" doc:"Base URLs; $releasever and $basearch are filled in by the package manager."`
	Mirrorlist     string       `json:"mirrorlist" kf:"format=url" doc:"Address of a list of mirrors, instead of baseurl."`
	Description    string       `json:"description" doc:"Name for people."`
	GPGCheck       bool         `json:"gpgcheck" default:"true" doc:"Whether packages must be signed."`
	GPGKey         task.Strings `json:"gpgkey" doc:"Addresses of the keys, https://.. or file:///.."`
	Enabled        bool         `json:"enabled" default:"true" doc:"Whether it is used unless asked for."`
	Exclude        task.Strings `json:"exclude" doc:"Packages of it that system updates leave alone; the kind package installs them with disable_excludes."`
	Priority       int          `json:"priority" kf:"min=0" doc:"Lower numbers win, with the priorities plugin on yum; 0 = the tool's default."`
	ModuleHotfixes bool         `json:"module_hotfixes" doc:"Whether its packages are used although a module of the distribution hides them."`
	SSLVerify      bool         `json:"sslverify" default:"true" doc:"Whether its certificate is checked."`
	Mirror         *Mirror      `json:"mirror" doc:"Instead of a repository of its own: rewrite addresses of those that are there. The files as they were are kept beside them, as .orig."`
}

// Mirror rewrites repositories that are there.
type Mirror struct {
	From  string       `json:"from" kf:"required" doc:"Start of the addresses now, with variables as the files have them: http://dl.rockylinux.org/$contentdir."`
	To    string       `json:"to" kf:"required,format=url" doc:"What stands there instead."`
	Files task.Strings `json:"files" kf:"format=path" doc:"Files, as patterns; default: all of the package manager."`
}

var nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// Check implements task.Checker.
func (p *Repository) Check() error {
	var errs []error
	if !nameRE.MatchString(p.Name) {
		errs = append(errs, task.Failf("name %q: only letters, digits, _ . and - are possible, it names files", p.Name))
	}
	if p.Apt == nil && p.Yum == nil {
		errs = append(errs, task.Failf("neither apt nor yum is given"))
	}
	if p.State == "absent" {
		return errors.Join(errs...)
	}
	if a := p.Apt; a != nil && a.Mirror == nil {
		if len(a.URIs) == 0 || len(a.Suites) == 0 {
			errs = append(errs, task.Failf("apt: uris and suites are needed, or mirror"))
		}
		for _, s := range a.Suites {
			if strings.HasSuffix(s, "/") != (len(a.Components) == 0) {
				errs = append(errs, task.Failf("apt: suite %q: a suite that ends in / has no components, others need them", s))
			}
		}
	}
	if y := p.Yum; y != nil && y.Mirror == nil && len(y.BaseURL) == 0 && y.Mirrorlist == "" {
		errs = append(errs, task.Failf("yum: baseurl, mirrorlist or mirror is needed"))
	}
	return errors.Join(errs...)
}

// Touches implements task.Toucher.
func (p *Repository) Touches() task.Touches {
	return task.Touches{Writes: []string{"repository:" + p.Name}}
}

// Changes implements task.Task.
func (p *Repository) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	manager := h.Facts().PackageManager
	switch {
	case manager == "apt" && p.Apt != nil:
		if p.Apt.Mirror != nil {
			return p.mirrorChanges(ctx, h, p.Apt.Mirror, rewriteApt, aptFiles())
		}
		return p.aptChanges(ctx, h)
	case (manager == "dnf" || manager == "yum") && p.Yum != nil:
		if p.Yum.Mirror != nil {
			return p.mirrorChanges(ctx, h, p.Yum.Mirror, rewriteYum, []string{"/etc/yum.repos.d/*.repo"})
		}
		return p.yumChanges(ctx, h)
	}
	return nil, task.Failf("repository %s is not described for this host's package manager %q", p.Name, manager).
		WithHint("add the part `%s`, or leave such hosts out: when: host.facts.package_manager == ..", map[bool]string{true: "apt", false: "yum"}[manager == "apt"])
}

// Interface guards.
var (
	_ task.Checker = (*Repository)(nil)
	_ task.Toucher = (*Repository)(nil)
)
