package pkgmgr

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// apt is the package manager of Debian and Ubuntu.
type apt struct{}

// listsDir is where apt keeps the package lists it has downloaded.
const listsDir = "/var/lib/apt/lists"

func (apt) Name() string { return "apt" }

// Query implements Manager.
func (apt) Query(ctx context.Context, h task.Host, names []string) (map[string]Installed, error) {
	if len(names) == 0 {
		return nil, nil
	}
	c := task.Query(append([]string{"dpkg-query", "-W", "-f", `${Package} ${Version} ${Status}\n`}, names...)...)
	o, err := h.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	if o.Code > 1 { // 1 = one of the packages is not known
		return nil, failure(c, o)
	}
	found := make(map[string]Installed)
	for line := range strings.Lines(o.Stdout) {
		f := strings.Fields(line) // name, version, want, flag, status; no version where only the configuration is left
		if len(f) != 5 || f[4] == "config-files" || f[4] == "not-installed" {
			continue
		}
		i := found[f[0]]
		i.Held = f[2] == "hold"
		i.Broken = i.Broken || f[4] != "installed" && !strings.HasPrefix(f[4], "triggers-")
		i.Versions = append(i.Versions, f[1])
		found[f[0]] = i
	}
	return found, nil
}

// Files implements Manager.
func (apt) Files(ctx context.Context, h task.Host, paths []string) ([]Want, error) {
	var all []Want
	for _, path := range paths {
		o, err := task.Must(ctx, h, task.Query("dpkg-deb", "-W", "--showformat", `${Package} ${Version}\n`, path))
		if err != nil {
			return nil, damaged(err)
		}
		f := strings.Fields(o.Stdout)
		if len(f) != 2 {
			return nil, task.Failf("%s is not a Debian package", path).WithOutput(o).WithHint("the file is damaged, or something else: get it again, with a checksum")
		}
		all = append(all, Want{Name: f[0], Version: f[1]})
	}
	return all, nil
}

// Install implements Manager.
func (m apt) Install(ctx context.Context, h task.Host, wants []Want, files []string, o Options) error {
	var args []string
	if len(wants) > 0 {
		found, err := m.resolve(ctx, h, wants, o)
		if err != nil {
			return err
		}
		args = found
	}
	return m.change(ctx, h, o, "install", append(args, files...)...)
}

// Remove implements Manager.
func (m apt) Remove(ctx context.Context, h task.Host, names []string, o Options) error {
	verb := "remove"
	if o.Purge {
		verb = "purge"
	}
	return m.change(ctx, h, o, verb, names...)
}

// Hold implements Manager.
func (apt) Hold(ctx context.Context, h task.Host, names []string, on bool, o Options) error {
	verb := "unhold"
	if on {
		verb = "hold"
	}
	c := task.Cmd(append([]string{"apt-mark", verb}, names...)...)
	out, err := Run(ctx, h, c, o.LockTimeout)
	if err == nil && !out.OK() {
		return failure(c, out)
	}
	return err
}

// change runs apt-get; an installation that was interrupted before is finished first.
func (apt) change(ctx context.Context, h task.Host, o Options, verb string, args ...string) error {
	argv := append(aptGet(o), verb)
	for _, f := range []struct {
		on   bool
		flag string
	}{
		{verb == "install" && !o.Recommends, "--no-install-recommends"}, {o.Downgrade, "--allow-downgrades"},
		{o.Held, "--allow-change-held-packages"}, {slices.Contains(o.DisableRepos, "*"), "--no-download"},
	} {
		if f.on {
			argv = append(argv, f.flag)
		}
	}
	c := task.Cmd(append(argv, args...)...).WithEnv(aptEnv()...).Streamed()
	out, err := Run(ctx, h, c, o.LockTimeout)
	for try := 0; err == nil && !out.OK() && try < 2 && interrupted(out); try++ {
		if err = heal(ctx, h, o, out); err != nil {
			return err
		}
		out, err = Run(ctx, h, c, o.LockTimeout)
	}
	if err == nil && !out.OK() {
		return failure(c, out)
	}
	return err
}

// interrupted tells whether apt-get refuses because an earlier installation was cut off: a kill, a lost connection, a
// power cut.
func interrupted(out task.Output) bool {
	said := out.Stdout + out.Stderr
	return slices.ContainsFunc([]string{"dpkg was interrupted", "needs to be reinstalled", "bad inconsistent state", "--fix-broken install", "dpkg returned an error code"},
		func(s string) bool { return strings.Contains(said, s) })
}

// heal finishes an installation that was interrupted, as apt asks for. A package that was cut off while its files were
// written can't be finished: it is taken away, and what needs it is mended.
func heal(ctx context.Context, h task.Host, o Options, why task.Output) error {
	h.Log("dpkg was interrupted earlier; finishing that with `dpkg --configure -a`")
	c := task.Cmd("dpkg", "--force-confdef", "--force-confold", "--configure", "-a").WithEnv(aptEnv()...).Streamed()
	out, err := Run(ctx, h, c, o.LockTimeout)
	if err != nil || out.OK() && strings.Contains(why.Stdout+why.Stderr, "dpkg was interrupted") {
		return err
	}
	torn, err := halfInstalled(ctx, h)
	if err != nil {
		return err
	}
	if len(torn) > 0 {
		h.Log("taking away what is half installed: " + strings.Join(torn, ", "))
		c = task.Cmd(append([]string{"dpkg", "--force-remove-reinstreq", "--force-depends", "--remove"}, torn...)...).WithEnv(aptEnv()...).Streamed()
		if out, err = Run(ctx, h, c, o.LockTimeout); err == nil && !out.OK() {
			err = failure(c, out)
		}
		if err != nil {
			return err
		}
	}
	c = task.Cmd(append(aptGet(o), "--no-install-recommends", "--fix-broken", "install")...).WithEnv(aptEnv()...).Streamed()
	if out, err = Run(ctx, h, c, o.LockTimeout); err == nil && !out.OK() {
		err = failure(c, out)
	}
	return err
}

// halfInstalled are the packages of which dpkg has written a part only.
func halfInstalled(ctx context.Context, h task.Host) ([]string, error) {
	o, err := task.Must(ctx, h, task.Query("dpkg-query", "-W", "-f", `${Package} ${Status}\n`))
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(o.Stdout) {
		if f := strings.Fields(line); len(f) == 4 && f[2] == "reinstreq" {
			names = append(names, f[0])
		}
	}
	return names, nil
}

// aptGet is apt-get with the options all its commands get: answers to all questions, existing configuration files are
// kept. apt before 2.0 does not know the lock option and Run waits instead.
func aptGet(o Options) []string {
	return []string{
		"apt-get", "-y", "-q", "-o", fmt.Sprintf("DPkg::Lock::Timeout=%d", int(o.LockTimeout/time.Second)), "-o", "Acquire::Retries=3",
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
	}
}

// aptEnv keeps debconf from asking, and needrestart from restarting services (kubelet, containerd) on its own.
func aptEnv() []string {
	return []string{"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l"}
}

// Refresh implements Manager.
func (apt) Refresh(ctx context.Context, h task.Host, o Options) error {
	c := task.Cmd(append(aptGet(o), "update")...).WithEnv(aptEnv()...).Streamed()
	out, err := Run(ctx, h, c, o.LockTimeout)
	if err == nil && !out.OK() {
		return failure(c, out)
	}
	return err
}
