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
	"errors"
	"slices"
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
	Locked   bool // held in exactly this version: a lock that is to be renewed when the version changes
	Stale    bool // held by a lock of another version than is installed
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
			h.Log("another package manager is running, waiting for its lock: " + lockLine(o))
			said = true
		}
		if err := h.Sleep(ctx, lockPoll); err != nil {
			return o, err
		}
	}
}

// locked tells whether a command failed because another process holds a lock.
func locked(o task.Output) bool { return lockLine(o) != "" }

// lockLine is what a package manager says of a lock that another process holds; "" when it says nothing of one.
func lockLine(o task.Output) string {
	for line := range strings.Lines(o.Stderr + "\n" + o.Stdout) {
		if containsAny(line,
			"Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock the administration directory",
			"Unable to lock directory", "is another process using it", "dpkg frontend lock was locked by another process",
			"dpkg frontend is locked by another process", "status database area is locked by another process",
			"Another app is currently holding the yum lock", "Existing lock /var/run/yum.pid",
			"already locked by", // dnf: RPMDB, Metadata, with exit_on_lock
			"can't create transaction lock on", "Failed to obtain the transaction lock", "Failed to obtain rpm transaction lock",
			"Waiting for process with pid") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func containsAny(s string, texts ...string) bool {
	for _, t := range texts {
		if strings.Contains(s, t) {
			return true
		}
	}
	return false
}

// failure turns an exit code other than 0 into an error, with what to do now where that is known.
func failure(c task.Command, o task.Output) error {
	all := o.Stdout + o.Stderr
	if strings.Contains(all, "dpkg returned an error code") { // apt gives dpkg a terminal: what dpkg says of its errors is in Stdout
		o.Stderr = all
	}
	f := task.Failf("`%s` ended with exit code %d", short(c.Argv), o.Code)
	for _, a := range advices() {
		if !containsAny(all, a.texts...) {
			continue
		}
		if !containsAny(o.Stderr, a.texts...) { // apt says what excludes what on Stdout, and on Stderr only that it gives up
			o.Stderr = all
		}
		f.Transient, f.Hint = a.transient, a.hint
		break
	}
	return f.WithOutput(o)
}

// ExpiredKey tells whether an error of Refresh says that the key of a repository has expired or was replaced.
func ExpiredKey(err error) bool {
	var f *task.Failure
	return errors.As(err, &f) && containsAny(f.Output, expired()...)
}

func expired() []string {
	return []string{"EXPKEYSIG", "KEYEXPIRED", "The following signatures were invalid"}
}

// damaged says what to do with package files that cannot be read.
func damaged(err error) error {
	var f *task.Failure
	if errors.As(err, &f) && f.Hint == "" {
		return f.WithHint("a package file is damaged, or something else: get it again, with a checksum")
	}
	return err
}

// short is a command line without the options that say nothing to people.
func short(argv []string) string {
	var words []string
	for i, w := range argv {
		plain := []string{"-y", "-q", "-o", "--no-install-recommends", "--allow-change-held-packages", "--disableplugin=versionlock", "--disableexcludes=main"}
		if slices.Contains(plain, w) || i > 0 && argv[i-1] == "-o" || strings.HasPrefix(w, "--setopt=") || strings.HasPrefix(w, "--force-conf") {
			continue
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// advice is what to do about a text in the output of a package manager.
type advice struct {
	texts     []string
	hint      string
	transient bool
}

// advices are tried in order; the first that fits counts.
func advices() []advice {
	return []advice{
		{texts: []string{"No space left on device", "You don't have enough free space", "more space needed on the"},
			hint: "the disk is full: free space on /var and / (`df -h`), then resume"},
		{texts: []string{"mirrorlist.centos.org", "Cannot find a valid baseurl for repo"},
			hint: "mirrorlist.centos.org is gone since July 2024: point the repositories to vault.centos.org or a mirror with `repository: {yum: {mirror: ..}}`"},
		{texts: []string{"Conflicting values set for option Signed-By"},
			hint: "two files describe one repository with different keys (`grep -r URIs /etc/apt/sources.list.d; grep -r deb /etc/apt/sources.list.d`): remove the older one, `file: {path: /etc/apt/sources.list.d/NAME.list, absent: true}`, before this task"},
		{texts: []string{"is not valid yet (invalid for another", "is not yet valid"},
			hint: "the clock of this host is behind (`timedatectl`): set it right (chrony) before packages are installed, then resume"},
		{texts: []string{"Unknown repo: "},
			hint: "enable_repositories names a repository that this host does not have (`dnf repolist --all`): check its name, and that its `repository` task runs earlier"},
		{texts: []string{"There are no enabled repositories"},
			hint: "disable_repositories leaves none: name those to use in enable_repositories, or give package files that lie on the host"},
		{texts: []string{"\nStatus code: ", "\nCurl error"}, // at the start of a line: of no list and no package
			hint: "the packages are there, but not the key that signs them: check the address `gpgkey` of the repository"},
		{texts: []string{"does not have a Release file", " 404  ", "HTTP Error 404", "Status code: 404"},
			hint: "a repository is not at its address: check address and suite in the `repository` task (or the mirror's path); Google's Kubernetes repositories were removed in March 2024, use pkgs.k8s.io"},
		{texts: expired(),
			hint: "the signing key on this host has expired or was replaced: remove it (`file: {path: /etc/apt/keyrings/NAME.gpg, absent: true}`) and let the `repository` task get the new one"},
		{texts: []string{"Certificate verification failed", "SSL certificate problem", "certificate verify failed", "Peer's Certificate"},
			hint: "the certificate of a repository is not trusted here: a clock that is wrong (`timedatectl`), a proxy with a certificate of its own, or an old package ca-certificates"},
		{texts: []string{"Temporary failure resolving", "Could not resolve", "Failed to fetch", "Failed to download metadata", "Curl error",
			"Connection timed out", "Connection failed", "Unable to connect to", "Hash Sum mismatch", "Couldn't resolve host"}, transient: true,
			hint: "the repository cannot be reached or is being updated: check network, proxy and the address in `repository`, then resume"},
		{texts: []string{".rpm is not signed"},
			hint: "the package has no signature at all: take it from a repository whose packages have, or, if the repository is your own, set gpgcheck: false in it"},
		{texts: []string{"NO_PUBKEY", "are not signed", "GPG key retrieval failed", "GPG check FAILED", "Public key for"},
			hint: "the signing key is missing or not the right one: set `key_url` (apt) or `gpgkey` (yum) of the repository; it differs for each minor version of Kubernetes"},
		{texts: []string{"Packages were downgraded and -y was used"},
			hint: "an older version is wanted than is installed: set allow_downgrade: true if that is meant"},
		{texts: []string{" Conflicts: ", " conflicts with ", " Breaks: "},
			hint: "it cannot be there together with a package that is: remove that one before (`package: {names: [..], state: absent}`); Docker's packages exclude the distribution's docker.io, containerd, runc and podman-docker"},
		{texts: []string{"Held packages were changed and -y was used", "caused by held packages"},
			hint: "packages are held (`apt-mark showhold`): declare `hold: true` or `hold: false` for them here, or release them"},
		{texts: []string{"but it is not installable", "but it is not going to be installed", "have unmet dependencies", "nothing provides", "held broken packages"},
			hint: "what it needs cannot be had: a repository is missing (EPEL, CRB, universe), is of another release of the distribution, or a package that it needs is held (`apt-mark showhold`) or excluded"},
	}
}
