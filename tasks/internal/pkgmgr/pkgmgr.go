// Package pkgmgr speaks to the package managers of hosts: apt, dnf and yum, behind one interface.
//
// # Locks
//
// Package managers are one at a time, and a host that has just started often has one running by itself
// (unattended-upgrades, PackageKit). The answer is to wait, never to kill and never to remove a lock file: every command
// that takes a lock goes through Run, which tries again until the lock is free or Options.LockTimeout has passed
// (kubespray#8737, kubean-io/kubean#909, kubeone PR #2763, ansible/ansible#57189).
//
// # Versions
//
// What a playbook calls 1.29.6 is called 1.29.6-1.1 by apt, 1.29.6-150500.1.1 by dnf and was 1.20.2-00 in the old
// repositories. Matches accepts all of these; Compare tells older from newer as dpkg and rpm do.
package pkgmgr

import (
	"context"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Manager is the package manager of a host.
type Manager interface {
	// Name is apt, dnf or yum.
	Name() string
	// Query tells which of the packages are installed, with one command. Packages that are not are missing in the map.
	Query(ctx context.Context, h task.Host, names []string) (map[string]Installed, error)
	// Files reads name and version of package files that lie on the host.
	Files(ctx context.Context, h task.Host, paths []string) ([]Want, error)
	// Install installs packages and package files in one transaction.
	Install(ctx context.Context, h task.Host, wants []Want, files []string, o Options) error
	Remove(ctx context.Context, h task.Host, names []string, o Options) error
	// Hold makes system updates leave packages alone, or stops that. Installed.Held tells the present state.
	Hold(ctx context.Context, h task.Host, names []string, on bool, o Options) error
	// Refresh downloads the lists of packages.
	Refresh(ctx context.Context, h task.Host, o Options) error
}

// Installed is what is known of a package that is on the host.
type Installed struct {
	Versions []string // more than one for packages such as kernels
	Held     bool
	Broken   bool // unpacked but not configured: an installation was interrupted
}

// Want is a package to install.
type Want struct {
	Name    string
	Version string // as Matches takes it; "" = any
}

// Options are those of the commands that change something.
type Options struct {
	LockTimeout     time.Duration
	Recommends      bool // apt: also what packages recommend
	Downgrade       bool
	Held            bool // packages that are held may change
	Purge           bool // apt: remove configuration files too
	DisableRepos    []string
	EnableRepos     []string
	DisableExcludes string        // dnf, yum: repository whose excludes do not count
	MaxAge          time.Duration // of the package lists; 0 = refreshed only when that is needed, < 0 = always
	NoRefresh       bool
}

// Of returns the package manager of a host.
func Of(h task.Host) (Manager, error) {
	switch name := h.Facts().PackageManager; name {
	case "apt":
		return apt{}, nil
	case "dnf", "yum":
		return rpm{tool: name}, nil
	case "":
		return nil, task.Failf("no package manager was found on this host").WithHint("kflow knows apt, dnf and yum; install what is needed in another way, for example with `download`")
	default:
		return nil, task.Failf("package manager %s is not known", name)
	}
}

// lockPoll is the pause between two attempts to get a lock.
const lockPoll = 5 * time.Second

// Run runs a command of a package manager; it waits while another one holds the lock.
func Run(ctx context.Context, h task.Host, c task.Command, lockTimeout time.Duration) (task.Output, error) {
	start := h.Now()
	for said := false; ; {
		o, err := h.Run(ctx, c)
		if err != nil || o.OK() || !locked(o) {
			return o, err
		}
		if h.Now().Sub(start) >= lockTimeout {
			return o, task.Failf("the lock of the package manager was not free within %s", lockTimeout).WithOutput(o).Retryable().
				WithHint("see who holds it (`ps aux | grep -E 'apt|dpkg|dnf|yum'`), wait for its end, then resume; or give a longer lock_timeout. Do not remove the lock file")
		}
		if !said {
			h.Log("another package manager is running, waiting for its lock: " + lastLine(o))
			said = true
		}
		if err := h.Sleep(ctx, lockPoll); err != nil {
			return o, err
		}
	}
}

// locked tells whether a command failed because another process holds a lock.
func locked(o task.Output) bool {
	return containsAny(o.Stderr+o.Stdout,
		"Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock the administration directory",
		"Unable to lock directory", "is another process using it", "dpkg frontend lock was locked by another process",
		"dpkg frontend is locked by another process", "status database area is locked by another process",
		"Another app is currently holding the yum lock", "Existing lock /var/run/yum.pid",
		"can't create transaction lock on", "Failed to obtain the transaction lock", "Failed to obtain rpm transaction lock",
		"Waiting for process with pid")
}

func containsAny(s string, texts ...string) bool {
	for _, t := range texts {
		if strings.Contains(s, t) {
			return true
		}
	}
	return false
}

func lastLine(o task.Output) string {
	s := o.Tail(400)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// failure turns an exit code other than 0 into an error, with what to do now where that is known.
func failure(c task.Command, o task.Output) error {
	all := o.Stdout + o.Stderr
	if strings.Contains(all, "dpkg returned an error code") { // apt gives dpkg a terminal: what dpkg says of its errors is in Stdout
		o.Stderr = all
	}
	f := task.Failf("`%s` ended with exit code %d", c, o.Code).WithOutput(o)
	switch {
	case containsAny(all, "No space left on device", "You don't have enough free space", "more space needed on the"):
		return f.WithHint("the disk is full: free space on /var and / (`df -h`), then resume")
	case containsAny(all, "mirrorlist.centos.org", "Cannot find a valid baseurl for repo"):
		return f.WithHint("mirrorlist.centos.org is gone since July 2024: point the repositories to vault.centos.org or a mirror with `repository: {yum: {mirror: ..}}`")
	case containsAny(all, "does not have a Release file", " 404  ", "HTTP Error 404", "Status code: 404"):
		return f.WithHint("a repository is not at its address: check address and suite in the `repository` task (or the mirror's path); Google's Kubernetes repositories were removed in March 2024, use pkgs.k8s.io")
	case containsAny(all, "Temporary failure resolving", "Could not resolve", "Failed to fetch", "Failed to download metadata", "Curl error",
		"Connection timed out", "Connection failed", "Unable to connect to", "Hash Sum mismatch", "Couldn't resolve host"):
		return f.Retryable().WithHint("the repository cannot be reached or is being updated: check network, proxy and the address in `repository`, then resume")
	case containsAny(all, "NO_PUBKEY", "are not signed", "GPG key retrieval failed", "GPG check FAILED", "Public key for"):
		return f.WithHint("the signing key is missing or not the right one: set `key_url` (apt) or `gpgkey` (yum) of the repository; it differs for each minor version of Kubernetes")
	case containsAny(all, "Packages were downgraded and -y was used"):
		return f.WithHint("an older version is wanted than is installed: set allow_downgrade: true if that is meant")
	case containsAny(all, "Held packages were changed and -y was used", "held broken packages", "caused by held packages"):
		return f.WithHint("packages are held (`apt-mark showhold`): declare `hold: true` or `hold: false` for them here, or release them")
	}
	return f
}
