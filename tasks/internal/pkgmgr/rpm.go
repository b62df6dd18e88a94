package pkgmgr

import (
	"context"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// rpm is the package manager of the RHEL family: dnf, or yum up to version 7.
type rpm struct{ tool string }

func (m rpm) Name() string { return m.tool }

const rpmFormat = `%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n`

// Query implements Manager. A name no package has may be one that a package provides (vim is vim-enhanced): a second
// command asks for these.
func (m rpm) Query(ctx context.Context, h task.Host, names []string) (map[string]Installed, error) {
	if len(names) == 0 {
		return nil, nil
	}
	o, err := h.Run(ctx, task.Query(append([]string{"rpm", "-q", "--qf", rpmFormat}, names...)...))
	if err != nil {
		return nil, err
	}
	found := make(map[string]Installed)
	for _, w := range parseRPM(o.Stdout) {
		found[w.Name] = Installed{Versions: append(found[w.Name].Versions, w.Version)}
	}
	for _, name := range names {
		if _, ok := found[name]; ok {
			continue
		}
		o, err := h.Run(ctx, task.Query("rpm", "-q", "--whatprovides", "--qf", rpmFormat, name))
		if err != nil {
			return nil, err
		}
		if ws := parseRPM(o.Stdout); o.OK() && len(ws) > 0 {
			found[name] = Installed{Versions: []string{ws[0].Version}}
		}
	}
	return found, m.markHeld(ctx, h, found)
}

// parseRPM reads lines of rpmFormat; others (`package x is not installed`) are left out.
func parseRPM(out string) []Want {
	var all []Want
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) == 2 && strings.Contains(f[1], ":") {
			all = append(all, Want{Name: f[0], Version: strings.TrimPrefix(f[1], "0:")})
		}
	}
	return all
}

// Files implements Manager.
func (rpm) Files(ctx context.Context, h task.Host, paths []string) ([]Want, error) {
	o, err := task.Must(ctx, h, task.Query(append([]string{"rpm", "-qp", "--nosignature", "--qf", rpmFormat}, paths...)...))
	if err != nil {
		return nil, damaged(err)
	}
	all := parseRPM(o.Stdout)
	if len(all) != len(paths) {
		return nil, task.Failf("%d package files were asked for, rpm reads %d", len(paths), len(all)).WithOutput(o)
	}
	return all, nil
}

// Install implements Manager. The tools themselves look for versions: kubeadm-1.29.6 is any release of it.
func (m rpm) Install(ctx context.Context, h task.Host, wants []Want, files []string, o Options) error {
	older, err := m.older(ctx, h, wants, o)
	if err != nil {
		return err
	}
	var install, downgrade []string
	for _, w := range wants {
		arg := w.Name
		if v := strings.TrimPrefix(w.Version, "v"); v != "" {
			arg += "-" + v
		}
		if older[w.Name] {
			downgrade = append(downgrade, arg)
		} else {
			install = append(install, arg)
		}
	}
	if len(downgrade) > 0 {
		if err := m.change(ctx, h, o, wants, "downgrade", downgrade...); err != nil {
			return err
		}
	}
	if install = append(install, files...); len(install) == 0 {
		return nil
	}
	return m.change(ctx, h, o, wants, "install", install...)
}

// older tells which packages are there in a newer version than is wanted.
func (m rpm) older(ctx context.Context, h task.Host, wants []Want, o Options) (map[string]bool, error) {
	if !o.Downgrade || len(wants) == 0 {
		return nil, nil
	}
	var names []string
	for _, w := range wants {
		names = append(names, w.Name)
	}
	found, err := m.Query(ctx, h, names)
	if err != nil {
		return nil, err
	}
	older := make(map[string]bool)
	for _, w := range wants {
		if have := found[w.Name].Versions; len(have) > 0 {
			older[w.Name] = Older(w.Version, have[len(have)-1])
		}
	}
	return older, nil
}

// Remove implements Manager. To dnf, a package that is excluded is not there.
func (m rpm) Remove(ctx context.Context, h task.Host, names []string, o Options) error {
	wants := make([]Want, len(names))
	for i, name := range names {
		wants[i].Name = name
	}
	return m.change(ctx, h, o, wants, "remove", names...)
}

func (m rpm) change(ctx context.Context, h task.Host, o Options, wants []Want, verb string, args ...string) error {
	argv := m.argv(o)
	if o.MaxAge < 0 && verb == "install" && m.tool == "dnf" {
		argv = append(argv, "--refresh")
	}
	c := task.Cmd(append(append(argv, verb), args...)...).Streamed()
	out, err := Run(ctx, h, c, o.LockTimeout)
	if err != nil {
		return err
	}
	all := out.Stdout + out.Stderr
	if w, ok := m.unknown(all, wants); ok { // yum installs the others and says 0
		if verb == "remove" {
			return task.Failf("package %s is held: an exclude of this host keeps it as it is", w.Name).
				WithHint("declare `hold: false` here, too, or take it out of the line exclude in %s", m.confFile())
		}
		return m.candidates(ctx, h, w, o)
	}
	if !out.OK() {
		return failure(c, out)
	}
	for line := range strings.Lines(all) { // that is no failure for rpm: the package is there
		if strings.HasPrefix(line, "Error in ") && strings.Contains(line, " scriptlet in rpm package") {
			h.Log(strings.TrimSpace(line) + "; it is installed, but what the scriptlet does was not done: `rpm -q --scripts PACKAGE` shows it")
		}
	}
	return nil
}

// argv is the tool with the options all its commands get. With exit_on_lock it does not wait for ever: Run waits.
func (m rpm) argv(o Options) []string {
	argv := []string{m.tool, "-y", "--setopt=exit_on_lock=True"}
	for _, r := range o.DisableRepos {
		argv = append(argv, "--disablerepo="+r)
	}
	for _, r := range o.EnableRepos {
		argv = append(argv, "--enablerepo="+r)
	}
	if o.DisableExcludes != "" {
		argv = append(argv, "--disableexcludes="+o.DisableExcludes)
	}
	if o.Held {
		argv = append(argv, "--disableexcludes=main", "--disableplugin=versionlock")
	}
	return argv
}

// unknown finds the package that the tool says it does not have.
func (rpm) unknown(out string, wants []Want) (Want, bool) {
	for line := range strings.Lines(out) {
		name, ok := strings.CutPrefix(line, "No match for argument: ")
		if !ok {
			name, ok = strings.CutPrefix(line, "All matches were filtered out by exclude filtering for argument: ")
		}
		if !ok {
			if name, ok = strings.CutPrefix(line, "No package "); ok {
				name, _, ok = strings.Cut(name, " available")
			}
		}
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		if i := slices.IndexFunc(wants, func(w Want) bool {
			return name == w.Name || strings.HasPrefix(name, w.Name+"-"+strings.TrimPrefix(w.Version, "v"))
		}); i >= 0 {
			return wants[i], true
		}
	}
	return Want{}, false
}

// candidates is the error for a package that cannot be had, with the versions there are.
func (m rpm) candidates(ctx context.Context, h task.Host, w Want, o Options) error {
	versions, err := m.versions(ctx, h, w, m.argv(o))
	if err != nil {
		return err
	}
	there := slices.ContainsFunc(versions, func(v string) bool { return Matches(v, w.Version) }) // dnf lists what a lock keeps away
	if len(versions) > 0 && !there {
		return notFound(w, versions)
	}
	hidden, err := m.versions(ctx, h, w, append(m.argv(o), "--disableexcludes=all", "--disableplugin=versionlock"))
	if err != nil {
		return err
	}
	if there || len(hidden) > 0 {
		return task.Failf("package %s is there, but an exclude or a version lock of this host keeps it away", w.Name).
			WithHint("a lock (`%s versionlock list`) is lifted by `hold: true` or `hold: false` here, an exclude by `disable_excludes: REPOSITORY` (main for the one in %s)", m.tool, m.confFile())
	}
	return task.Failf("package %s is not in any repository of this host", w.Name).
		WithHint("check its name for this distribution (`%s provides '*/%s'`), and that a `repository` task for it runs earlier (EPEL?)", m.tool, w.Name)
}

// versions are the versions of a package that the repositories show, newest first.
func (m rpm) versions(ctx context.Context, h task.Host, w Want, argv []string) ([]string, error) {
	out, err := h.Run(ctx, task.Query(append(argv, "-q", "--showduplicates", "list", w.Name)...))
	if err != nil {
		return nil, err
	}
	var versions []string
	available := out.Stdout // without what is installed, which need not be in any repository
	if _, after, ok := strings.Cut(out.Stdout, "Available Packages"); ok || strings.Contains(out.Stdout, "Installed Packages") {
		available = after
	}
	for line := range strings.Lines(available) {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasPrefix(f[0], w.Name+".") {
			versions = append(versions, f[1])
		}
	}
	slices.Reverse(versions)
	return slices.Compact(versions), nil
}

func (m rpm) confFile() string {
	_, _, conf := m.lockFiles()
	return conf
}

// Refresh implements Manager.
func (m rpm) Refresh(ctx context.Context, h task.Host, o Options) error {
	argv := append(m.argv(o), "makecache")
	c := task.Cmd(argv...).Streamed()
	out, err := Run(ctx, h, c, o.LockTimeout)
	if err == nil && !out.OK() {
		return failure(c, out)
	}
	return err
}
