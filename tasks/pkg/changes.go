package pkg

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/notyet"
	"github.com/kflow/kflow/tasks/internal/pkgmgr"
)

// Changes implements task.Task.
func (p *Package) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	m, err := pkgmgr.Of(h)
	if err != nil {
		return nil, err
	}
	files, inFiles, err := p.localFiles(ctx, h, m)
	if err != nil {
		return nil, err
	}
	wants := append(p.wants(m.Name()), inFiles...)
	found, err := m.Query(ctx, h, namesOf(wants))
	if p.found = found; err != nil {
		return nil, err
	}
	o, err := p.options(m)
	if err != nil {
		return nil, err
	}
	if p.State == "absent" {
		return p.removal(m, o, wants, found), nil
	}
	return p.installation(m, o, wants, found, files)
}

// localFiles are the package files, and what they hold.
func (p *Package) localFiles(ctx context.Context, h task.Host, m pkgmgr.Manager) (files []string, wants []pkgmgr.Want, err error) {
	for _, pattern := range p.Files {
		found, err := h.Glob(ctx, pattern)
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 0 {
			return nil, nil, notyet.Failf("path:"+pattern, "there is no package file %s on this host", pattern).
				WithHint("files are looked for on the host, not beside the playbook: bring them first (`download`, or `file` with source), and let this task need that one")
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, nil, nil
	}
	wants, err = m.Files(ctx, h, files)
	return files, wants, err
}

// wants are the packages declared by name.
func (p *Package) wants(manager string) []pkgmgr.Want {
	var all []pkgmgr.Want
	for _, e := range p.Names {
		version := e.Version
		if version == "" {
			version = p.Version
		}
		for _, name := range e.names(manager) {
			all = append(all, pkgmgr.Want{Name: name, Version: version})
		}
	}
	return all
}

// installation finds what is to be installed and held.
func (p *Package) installation(m pkgmgr.Manager, o pkgmgr.Options, wants []pkgmgr.Want, found map[string]pkgmgr.Installed, files []string) ([]task.Change, error) {
	var todo []pkgmgr.Want
	var diff, toHold []string
	byFile := len(wants) - len(files) // those after it come from files
	var fromFiles []string
	for i, w := range wants {
		have, there := found[w.Name]
		right := there && !have.Broken && slices.ContainsFunc(have.Versions, func(v string) bool { return pkgmgr.Matches(v, w.Version) })
		if p.Hold != nil && (have.Held != *p.Hold || *p.Hold && (have.Stale || have.Locked && !right)) {
			toHold = append(toHold, w.Name) // also anew, in the new version
		}
		if right {
			continue
		}
		if there && !p.AllowDowngrade && pkgmgr.Older(w.Version, have.Versions[len(have.Versions)-1]) {
			return nil, task.Failf("%s %s is installed, which is newer than %s", w.Name, strings.Join(have.Versions, ", "), w.Version).
				WithHint("set allow_downgrade: true if the older version is meant, or declare the newer one")
		}
		if there && !have.Broken && !p.AllowUpgrade {
			return nil, task.Failf("%s %s is installed, which is older than %s", w.Name, strings.Join(have.Versions, ", "), w.Version).
				WithHint("this task installs, and does not upgrade: nodes of a cluster are upgraded one after the other, the control plane first (playbooks/upgrade.yaml). Set allow_upgrade: true where new packages are all that is needed")
		}
		diff = append(diff, fmt.Sprintf("%s: %s -> %s", w.Name, state(have), orAny(w.Version)))
		if i >= byFile {
			fromFiles = append(fromFiles, files[i-byFile])
		} else {
			todo = append(todo, w)
		}
	}
	var changes []task.Change
	if diff != nil {
		changes = append(changes, task.Change{
			Summary: "install " + namesInDiff(diff), Diff: strings.Join(diff, "\n"),
			Apply: func(ctx context.Context, h task.Host) error { return m.Install(ctx, h, todo, fromFiles, o) },
		})
	}
	return append(changes, p.holding(m, o, toHold)...), nil
}

// holding is the change of holds.
func (p *Package) holding(m pkgmgr.Manager, o pkgmgr.Options, names []string) []task.Change {
	if len(names) == 0 {
		return nil
	}
	verb := "release"
	if *p.Hold {
		verb = "hold"
	}
	return []task.Change{{
		Summary: verb + " " + strings.Join(names, ", "),
		Apply:   func(ctx context.Context, h task.Host) error { return m.Hold(ctx, h, names, *p.Hold, o) },
	}}
}

// removal finds what is to be removed.
func (p *Package) removal(m pkgmgr.Manager, o pkgmgr.Options, wants []pkgmgr.Want, found map[string]pkgmgr.Installed) []task.Change {
	var names, diff []string
	for _, w := range wants {
		if have, there := found[w.Name]; there {
			names = append(names, w.Name)
			diff = append(diff, fmt.Sprintf("%s: %s -> absent", w.Name, state(have)))
		}
	}
	if names == nil {
		return nil
	}
	return []task.Change{{
		Summary: "remove " + strings.Join(names, ", "), Diff: strings.Join(diff, "\n"),
		Apply: func(ctx context.Context, h task.Host) error { return m.Remove(ctx, h, names, o) },
	}}
}

// options are those of the package manager.
func (p *Package) options(m pkgmgr.Manager) (pkgmgr.Options, error) {
	age, never, err := p.refresh()
	if m.Name() == "apt" && (len(p.EnableRepositories) > 0 || slices.ContainsFunc(p.DisableRepositories, func(r string) bool { return r != "*" })) {
		return pkgmgr.Options{}, task.Failf("apt cannot leave out or enable single repositories").
			WithHint("with apt only disable_repositories: \"*\" is possible; give the version of the package instead")
	}
	return pkgmgr.Options{
		LockTimeout: p.LockTimeout.D(), Recommends: p.Recommends, Downgrade: p.AllowDowngrade, Held: p.Hold != nil, Purge: p.Purge,
		DisableRepos: p.DisableRepositories, EnableRepos: p.EnableRepositories, DisableExcludes: p.DisableExcludes,
		MaxAge: age, NoRefresh: never,
	}, err
}

// refresh reads the parameter of that name.
func (p *Package) refresh() (age time.Duration, never bool, err error) {
	switch p.Refresh {
	case "", "auto":
		return 0, false, nil
	case "true":
		return -1, false, nil
	case "false":
		return 0, true, nil
	}
	age, err = time.ParseDuration(p.Refresh)
	if err != nil || age <= 0 {
		return 0, false, task.Failf("refresh: %q is not auto, true, false or an age such as 24h", p.Refresh)
	}
	return age, false, nil
}

// Outputs implements task.Outputter.
func (p *Package) Outputs(ctx context.Context, h task.Host) (any, error) {
	m, err := pkgmgr.Of(h)
	if err != nil {
		return nil, err
	}
	names := namesOf(p.wants(m.Name()))
	if p.found == nil {
		if p.found, err = m.Query(ctx, h, names); err != nil {
			return nil, err
		}
	}
	out := Outputs{Versions: make(map[string]string)}
	for _, name := range names {
		if i, there := p.found[name]; there {
			out.Versions[name] = i.Versions[len(i.Versions)-1]
		}
	}
	return out, nil
}

func namesOf(wants []pkgmgr.Want) []string {
	names := make([]string, 0, len(wants))
	for _, w := range wants {
		names = append(names, w.Name)
	}
	return unique(names)
}

func unique(names []string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// namesInDiff are the names before the colons.
func namesInDiff(diff []string) string {
	names := make([]string, len(diff))
	for i, d := range diff {
		names[i], _, _ = strings.Cut(d, ":")
	}
	return strings.Join(names, ", ")
}

func state(i pkgmgr.Installed) string {
	switch {
	case len(i.Versions) == 0:
		return "absent"
	case i.Broken:
		return strings.Join(i.Versions, ", ") + " (half installed)"
	}
	return strings.Join(i.Versions, ", ")
}

func orAny(version string) string {
	if version == "" {
		return "present"
	}
	return version
}
