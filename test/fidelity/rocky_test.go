package fidelity

import (
	"fmt"
	"testing"

	"github.com/kflow/kflow/engine/sim/host"
)

// TestRocky compares the two on the RPM family: a lab host with real dnf and rpm, that calls itself a Rocky Linux 9.
func TestRocky(t *testing.T) { rocky().compare(t) }

// rockyRepo is the repository of the distribution, on both sides.
const rockyRepo = "[baseos]\nname=Rocky Linux 9\nbaseurl=http://" + domain + "/rpm/rocky9/\ngpgkey=http://" + domain + "/rpm/lab.asc\nenabled=1\ngpgcheck=1\n"

// rocky is the RPM family. What Debian's playbooks show of kinds that ask a family's questions is looked at here, too.
func rocky() family {
	return family{
		playbooks: []string{"testdata/rocky/*.yaml", "testdata/2*.yaml", "testdata/30-*.yaml", "testdata/6[01]*.yaml"},
		wipe:      []string{"rocky"}, image: "rocky9", excuses: rockyExcuses(),
		onLab: fmt.Sprintf(`printf 'UUID=5f1d / ext4 defaults 0 1\n/dev/mapper/rl-swap none swap sw 0 0\n' > /etc/fstab
			echo "$(grep files.fidelity.test /etc/hosts | cut -d' ' -f1) packages.cloud.google.com" >> /etc/hosts
			rm -f /etc/timezone; ln -sf /usr/share/zoneinfo/UTC /etc/localtime; printf %%s '%s' > /etc/yum.repos.d/rocky.repo
			echo 'options timeout:1 attempts:1' >> /etc/resolv.conf`, rockyRepo),
		inSim: func(t *testing.T, s *simulated, h *host.Host) {
			t.Helper()
			for _, name := range []string{"/etc/selinux/config", "/sys/fs/selinux/enforce"} { // there is none in the lab
				if err := h.Unlink(name); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Write("/etc/yum.repos.d/rocky.repo", rockyRepo, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, unit := range []string{"chronyd.service", "firewalld.service"} { // which a Rocky Linux has from its installation
				h.Stop(unit)
				for _, dir := range []string{"/etc/systemd/system/multi-user.target.wants/", "/usr/lib/systemd/system/"} {
					if err := h.Unlink(dir + unit); err != nil {
						t.Fatal(err)
					}
				}
			}
			s.must(t, h, "systemctl", "daemon-reload")
			h.Gather()
		}}
}

// rockyExcuses are those of the RPM family.
func rockyExcuses() []*excuse {
	return append(commonExcuses(), []*excuse{
		{in: "r23", match: `# Added lock on .*`, with: "# Added lock", reason: "the simulation has another date"},
		{in: "r33", match: `\(IP: [\d.]+\)`, with: "(IP)", reason: "the simulator has other addresses"},
		{in: "r36", match: `"sha256":"[0-9a-f]{64}"`, with: "", reason: "the simulator has package files of its own"},
		{in: "r40", match: ` /(?:usr/)?lib/systemd/system/`, with: " /usr/lib/systemd/system/", reason: "the systemd of the lab is Debian's, which names the link /lib"},
	}...)
}
