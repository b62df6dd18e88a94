package host_test

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/engine/task"
)

// still is a clock on which waiting takes no time.
type still struct{ now time.Time }

func (s *still) Now() time.Time { return s.now }
func (s *still) Sleep(ctx context.Context, d time.Duration) error {
	s.now = s.now.Add(d)
	return context.Cause(ctx)
}

func newHost(family, name string, im *host.Image) *host.Host {
	if im == nil {
		im = host.NewImage(family)
	}
	return host.New(host.Options{Name: name, IP: "10.0.0.1", Image: im, Seed: 1, Clock: &still{now: time.Unix(1e9, 0)}})
}

func TestFilesOfHostsOfOneImageAreTheirOwn(t *testing.T) {
	im := host.NewImage("debian12")
	a, b := newHost("", "a", im), newHost("", "b", im)
	ctx := t.Context()
	if err := a.WriteFile(ctx, "/etc/hosts", strings.NewReader("a\n"), task.Attr{Mode: 0o600, Owner: "nobody"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Remove(ctx, "/etc/fstab"); err != nil {
		t.Fatal(err)
	}
	info, err := a.Stat(ctx, "/etc/hosts")
	if err != nil || info.Mode != 0o600 || info.Owner != "nobody" || info.Size != 2 {
		t.Errorf("%+v, %v", info, err)
	}
	if b.Text("/etc/hosts") == "a\n" || !b.Exists("/etc/fstab") || a.Exists("/etc/fstab") {
		t.Error("a change on one host is seen on another")
	}
}

func TestFilesAndLinks(t *testing.T) {
	h, ctx := newHost("rocky9", "a", nil), t.Context()
	for _, step := range []error{
		h.MkdirAll(ctx, "/srv/one/two", task.Attr{}), h.Symlink(ctx, "one", "/srv/link"),
		h.WriteFile(ctx, "/srv/link/two/file", strings.NewReader("x"), task.Attr{}), h.Rename(ctx, "/srv/one", "/srv/other"),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	if h.Text("/srv/other/two/file") != "x" {
		t.Error("the file did not move with its directory")
	}
	if _, err := h.Stat(ctx, "/srv/link"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nowhere: %v", err)
	}
	if info, err := h.Lstat(ctx, "/srv/link"); err != nil || info.Target != "one" {
		t.Errorf("%+v, %v", info, err)
	}
	if names, err := h.Glob(ctx, "/srv/*/t*/f*"); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	if err := h.WriteFile(ctx, "/no/such/dir", strings.NewReader(""), task.Attr{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file in no directory: %v", err)
	}
	h.SetFull(true)
	if err := h.WriteFile(ctx, "/srv/more", strings.NewReader("x"), task.Attr{}); err == nil {
		t.Error("a full disk takes a file")
	}
}

func TestProgramsThatAreNotThere(t *testing.T) {
	h := newHost("debian12", "a", nil)
	if _, err := h.Run(t.Context(), task.Cmd("kubeadm", "init")); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a program that is not installed: %v", err)
	}
	if _, err := h.Run(t.Context(), task.Cmd("dnf", "install", "x")); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("dnf on Debian: %v", err)
	}
	var u *host.UnknownError
	if _, err := h.Run(t.Context(), task.Cmd("systemctl", "list-dependencies")); !errors.As(err, &u) || !strings.Contains(err.Error(), "systemctl list-dependencies") {
		t.Errorf("arguments that nobody has taught it: %v", err)
	}
}

func TestPackagesBringPrograms(t *testing.T) {
	for family, install := range map[string][]string{"debian12": {"apt-get", "-y", "install", "haproxy"}, "centos7": {"yum", "-y", "install", "haproxy"}} {
		h := newHost(family, "a", nil)
		if h.Which("haproxy") != "" {
			t.Errorf("%s: haproxy is there before it is installed", family)
		}
		if family == "debian12" {
			if o, err := h.Run(t.Context(), task.Cmd(install...)); err != nil || o.OK() {
				t.Errorf("apt-get installs without any list of packages: %+v, %v", o, err)
			}
			if o, err := h.Run(t.Context(), task.Cmd("apt-get", "update")); err != nil || !o.OK() {
				t.Fatalf("apt-get update: %+v, %v", o, err)
			}
		}
		o, err := h.Run(t.Context(), task.Cmd(install...))
		if err != nil || !o.OK() || h.Which("haproxy") == "" {
			t.Errorf("%s: %+v, %v", family, o, err)
		}
		if on, _ := h.Active("haproxy"); on != (family == "debian12") {
			t.Errorf("%s: haproxy runs: %v; Debian starts what it installs, Red Hat does not", family, on)
		}
		install[len(install)-1] = "no-such-package"
		if o, err := h.Run(t.Context(), task.Cmd(install...)); err != nil || o.OK() {
			t.Errorf("%s: a package that is not in the catalogue: %+v, %v", family, o, err)
		}
	}
}
