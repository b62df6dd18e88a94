package pkgmgr

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
)

// The plugin versionlock is used where it is installed: its list is what administrators look at. Elsewhere the packages
// are named in the line `exclude` of the tool's configuration; Options.Held overrides both.
func (m rpm) lockFiles() (plugin, list, conf string) {
	if m.tool == "yum" {
		return "/etc/yum/pluginconf.d/versionlock.conf", "/etc/yum/pluginconf.d/versionlock.list", "/etc/yum.conf"
	}
	return "/etc/dnf/plugins/versionlock.conf", "/etc/dnf/plugins/versionlock.list", "/etc/dnf/dnf.conf"
}

// markHeld sets Held of packages.
func (m rpm) markHeld(ctx context.Context, h task.Host, found map[string]Installed) error {
	plugin, list, conf := m.lockFiles()
	locks, listed, err := hostfile.Read(ctx, h, list)
	if err != nil {
		return err
	}
	if listed { // of a plugin that is switched off it means nothing
		setting, there, err := hostfile.Read(ctx, h, plugin)
		if err != nil {
			return err
		}
		if !there || disabledRE.MatchString(setting) {
			locks = ""
		}
	}
	text, _, err := hostfile.Read(ctx, h, conf)
	if err != nil {
		return err
	}
	excluded := excludes(text)
	for name, i := range found {
		locked := lockedTo(locks, name)
		i.Held = locked != "" || slices.Contains(excluded, name)
		i.Locked = locked != "" && fitsLock(i.Versions[len(i.Versions)-1], locked)
		i.Stale = locked != "" && !i.Locked
		found[name] = i
	}
	return nil
}

// lockedTo finds the version, or pattern, that a list of versionlock locks name to; "" = none. The list has lines such as
// kubeadm-0:1.29.6-150500.1.1.* (dnf) or 0:kubeadm-1.13.1-0.* (yum), and what people write: kubeadm-1.29.*.
func lockedTo(list, name string) string {
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		epoch := ""
		if before, after, ok := strings.Cut(line, ":"); ok && strings.Trim(before, "0123456789") == "" {
			epoch, line = before+":", after
		}
		if rest, ok := strings.CutPrefix(line, name+"-"); ok && rest != "" && digit(rest[0]) {
			return strings.TrimPrefix(epoch+rest, "0:")
		}
	}
	return ""
}

// fitsLock tells whether a version is one that a lock names: with or without architecture, or release.
func fitsLock(version, lock string) bool {
	short, _, _ := strings.Cut(version, "-")
	return slices.ContainsFunc([]string{version + ".arch", version, short}, func(v string) bool {
		ok, _ := path.Match(lock, v)
		return ok
	})
}

// Hold implements Manager.
func (m rpm) Hold(ctx context.Context, h task.Host, names []string, on bool, o Options) error {
	plugin, list, conf := m.lockFiles()
	setting, locking, err := hostfile.Read(ctx, h, plugin)
	if err != nil {
		return err
	}
	locking = locking && !disabledRE.MatchString(setting)
	locks, _, err := hostfile.Read(ctx, h, list)
	if err != nil {
		return err
	}
	was := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return lockedTo(locks, n) == "" })
	if locking && len(was) > 0 { // dnf leaves a lock that is there as it is, of whichever version
		if err := m.versionlock(ctx, h, "delete", was, o); err != nil {
			return err
		}
	}
	if locking && on {
		return m.versionlock(ctx, h, "add", names, o)
	}
	text, _, err := hostfile.Read(ctx, h, conf)
	if err != nil {
		return err
	}
	if after := setExcludes(text, names, on); after != text {
		return hostfile.Write(ctx, h, conf, after, task.Attr{})
	}
	return nil
}

// disabledRE finds the line that switches the plugin off.
var disabledRE = regexp.MustCompile(`(?mi)^[ \t]*enabled[ \t]*=[ \t]*(0|no|false|off)[ \t]*$`)

func (m rpm) versionlock(ctx context.Context, h task.Host, verb string, names []string, o Options) error {
	c := task.Cmd(append([]string{m.tool, "-y", "versionlock", verb}, names...)...)
	out, err := Run(ctx, h, c, o.LockTimeout)
	if err == nil && !out.OK() {
		return failure(c, out)
	}
	return err
}

// excludes are the packages that the main section of a configuration excludes.
func excludes(conf string) []string {
	var all []string
	for _, line := range strings.Split(conf, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && isExclude(key) {
			all = append(all, strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' })...)
		}
	}
	return all
}

func isExclude(key string) bool {
	key = strings.TrimSpace(key)
	return key == "exclude" || key == "excludepkgs"
}

// setExcludes adds names to the line `exclude` of the section main, or takes them out.
func setExcludes(conf string, names []string, on bool) string {
	all := slices.DeleteFunc(excludes(conf), func(n string) bool { return slices.Contains(names, n) })
	if on {
		all = append(all, names...)
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimRight(conf, "\n"), "\n") {
		if key, _, ok := strings.Cut(line, "="); ok && isExclude(key) {
			continue
		}
		lines = append(lines, line)
	}
	if len(all) > 0 {
		at := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "[main]" })
		if at < 0 {
			lines = append([]string{"[main]"}, lines...)
			at = 0
		}
		lines = slices.Insert(lines, at+1, "exclude="+strings.Join(all, " "))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}
