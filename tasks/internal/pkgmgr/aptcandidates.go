package pkgmgr

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// resolve turns what is wanted into arguments of apt-get (kubeadm=1.29.6-1.1). The package lists are downloaded when that
// is asked for, when there are none, or when something cannot be found in them.
func (m apt) resolve(ctx context.Context, h task.Host, wants []Want, o Options) ([]string, error) {
	fresh, err := m.refreshFirst(ctx, h, o)
	if err != nil {
		return nil, err
	}
	args, err := m.candidates(ctx, h, wants)
	if f := new(task.Failure); err == nil || fresh || o.NoRefresh || !errors.As(err, &f) {
		return args, err
	}
	h.Log(err.Error() + "; downloading the package lists")
	if err := m.Refresh(ctx, h, o); err != nil {
		return nil, err
	}
	return m.candidates(ctx, h, wants)
}

// refreshFirst downloads the package lists when Options say so or when there are none.
func (m apt) refreshFirst(ctx context.Context, h task.Host, o Options) (done bool, err error) {
	if o.NoRefresh {
		return false, nil
	}
	stale := o.MaxAge < 0
	if !stale {
		lists, err := h.Glob(ctx, listsDir+"/*_*")
		if err != nil {
			return false, err
		}
		stale = len(lists) == 0
	}
	if !stale && o.MaxAge > 0 {
		info, err := h.Stat(ctx, listsDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		stale = h.Now().Sub(info.MTime) > o.MaxAge
	}
	if !stale {
		return false, nil
	}
	return true, m.Refresh(ctx, h, o)
}

// candidates finds the newest version of each package that matches what is wanted.
func (apt) candidates(ctx context.Context, h task.Host, wants []Want) ([]string, error) {
	argv := []string{"apt-cache", "policy"}
	for _, w := range wants {
		argv = append(argv, w.Name)
	}
	o, err := task.Must(ctx, h, task.Query(argv...))
	if err != nil {
		return nil, err
	}
	known := parsePolicy(o.Stdout)
	var args []string
	for _, w := range wants {
		arg, err := choose(w, known[w.Name])
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

// parsePolicy reads the output of `apt-cache policy`: versions of each package, newest first.
func parsePolicy(out string) map[string][]string {
	known := make(map[string][]string)
	name, table := "", false
	for line := range strings.Lines(out) {
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimLeft(line, " "), "***"))
		switch indent := len(line) - len(strings.TrimLeft(line, " *")); {
		case indent == 0:
			name, table = strings.TrimSuffix(text, ":"), false
			known[name] = nil
		case strings.HasPrefix(text, "Version table:"):
			table = true
		case table && indent <= 5:
			if f := strings.Fields(text); len(f) == 2 { // version and priority; lines of sources are indented further
				known[name] = append(known[name], f[0])
			}
		}
	}
	return known
}

func choose(w Want, versions []string) (string, error) {
	if len(versions) == 0 {
		return "", task.Failf("package %s is not in any repository of this host", w.Name).
			WithHint("check its name for this distribution (`apt-cache search %s`), and that a `repository` task for it runs earlier; a virtual package must be named by one that provides it", w.Name)
	}
	if w.Version == "" {
		return w.Name, nil
	}
	for _, v := range versions {
		if Matches(v, w.Version) {
			return w.Name + "=" + v, nil
		}
	}
	return "", notFound(w, versions)
}

// notFound is the error for a version no repository has; it names the versions there are.
func notFound(w Want, versions []string) error {
	const most = 8
	shown := versions
	if len(shown) > most {
		shown = shown[:most]
	}
	text := strings.Join(shown, ", ")
	if n := len(versions) - len(shown); n > 0 {
		text += ", .."
	}
	return task.Failf("version %s of package %s is not in any repository of this host", w.Version, w.Name).
		WithHint("there are: %s. Declare one of these, or a `repository` that has the other (pkgs.k8s.io has one per minor version, from 1.24 on)", text)
}
