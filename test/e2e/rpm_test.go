package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRPM is what real dnf and rpm do and the simulator does not, on a host of the RPM family: what people are told then.
func TestRPM(t *testing.T) {
	l := needLab(t)
	const host = "k8s-wn02"
	l.sh(t, "up", "5")
	l.sh(t, "wipe", host, "rocky")
	inventory := filepath.Join(t.TempDir(), "inventory.yaml")
	text := strings.Replace(string(readFile(t, l.hosts(t, "user: root", host))), "groups: [workers]", "groups: [rocky]", 1)
	if err := os.WriteFile(inventory, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// another dnf has the lock, until kflow's has met it
	l.on(t, host, fmt.Sprintf(`printf '[slow]\nname=slow\nbaseurl=http://%s.1:8000/rpm/broken/\ngpgcheck=0\n' >/etc/yum.repos.d/slow.repo
		setsid sh -c 'dnf -y install slow; rm /etc/yum.repos.d/slow.repo' >/var/log/slow 2>&1 </dev/null &
		setsid sh -c 'until pgrep -f "install [j]q"; do sleep 0.2; done; while pgrep -f "install [j]q"; do sleep 0.2; done; touch /run/go-on' >/dev/null 2>&1 </dev/null &
		until pgrep -f 'rpm-tm[p]' >/dev/null; do sleep 0.1; done`, l.net)) // its scriptlet
	c := l.controller(t)
	r := c.want(t, 0, "run", l.playbook("rpm.yaml"), "-i", inventory, "-v")
	for _, want := range []string{
		"another package manager is running, waiting for its lock: RPMDB already locked by",
		"Import of key(s) didn't help, wrong key(s)?",
		"the signing key is missing or not the right one",
		"the packages are there, but not the key that signs them",
		"Package not-signed-1.0-1.el9.x86_64.rpm is not signed",
		"the package has no signature at all",
		"scriptlet failed, exit status 3",
		"nothing provides nobody-has-this >= 2 needed by needs-nobody-1.0-1.el9.x86_64",
		"what it needs cannot be had",
		"Error in POSTIN scriptlet in rpm package post-fails; it is installed",
	} {
		r.says(t, want)
	}
	installed := l.on(t, host, "rpm -q jq slow kubectl not-signed pre-fails needs-nobody post-fails || true")
	const wanted = "jq-1.0-1.el9.x86_64\nslow-1.0-1.el9.x86_64\nkubectl-1.29.3-150500.1.1.x86_64\npackage not-signed is not installed\n" +
		"package pre-fails is not installed\npackage needs-nobody is not installed\npost-fails-1.0-1.el9.x86_64"
	if installed != wanted {
		t.Errorf("on the host:\n%s", installed)
	}
	lastLine(t, r)
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
