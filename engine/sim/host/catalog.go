package host

import (
	"io/fs"
	"regexp"
	"strings"
	"time"
)

// pkg is a package that can be had.
type pkg struct {
	name     string
	versions []string // newest first; of Kubernetes none: they depend on the repositories of the host
	files    []pkgFile
	units    []string // that it brings; started on Debian
	needs    []string
	takes    time.Duration // to install, besides the transaction
}

type pkgFile struct {
	path, text string
	mode       fs.FileMode
}

// installed is a package that is there.
type installed struct {
	version string
	held    bool
	broken  bool
}

// packages is the catalogue of the family.
func (im *Image) packages() map[string]*pkg {
	all := map[string]*pkg{}
	add := func(version string, p pkg) {
		p.versions = []string{im.full(version)}
		if p.takes == 0 {
			p.takes = 700 * time.Millisecond
		}
		all[p.name] = &p
	}
	for name, version := range plainPackages() {
		add(version, pkg{name: name})
	}
	for _, name := range []string{"ipvsadm", "ipset", "diffutils"} {
		add("1.31", pkg{name: name, files: program(name)})
	}
	chrony, conf := "chrony", "/etc/chrony/chrony.conf"
	if im.manager != "apt" {
		chrony, conf = "chronyd", "/etc/chrony.conf"
	}
	add("4.3", pkg{name: "chrony", files: append(daemon("/usr/sbin/chronyd", chrony), pkgFile{conf, "pool pool.ntp.org iburst\n", 0o644}), units: []string{chrony + ".service"}})
	add("2.6.12", pkg{name: "haproxy", units: []string{"haproxy.service"}, takes: 1500 * time.Millisecond,
		files: append(daemon("/usr/sbin/haproxy", "haproxy"), pkgFile{"/etc/haproxy/haproxy.cfg", "global\n\ndefaults\n", 0o644})})
	add("2.2.7", pkg{name: "keepalived", units: []string{"keepalived.service"},
		files: append(daemon("/usr/sbin/keepalived", "keepalived"), pkgFile{"/etc/keepalived/keepalived.conf.sample", "! sample\n", 0o644})})
	add("1.6.33", pkg{name: "containerd.io", files: daemon("/usr/bin/containerd", "containerd", "ctr", "runc"), units: []string{"containerd.service"}, takes: 4 * time.Second})
	add("24.0.9", pkg{name: "docker-ce-cli", files: program("docker"), takes: 3 * time.Second})
	add("24.0.9", pkg{name: "docker-ce", files: daemon("/usr/bin/dockerd", "docker"), units: []string{"docker.service"}, needs: []string{"containerd.io", "docker-ce-cli"}, takes: 5 * time.Second})
	all["kubeadm"] = &pkg{name: "kubeadm", files: program("kubeadm"), needs: []string{"kubelet", "cri-tools"}, takes: 2 * time.Second}
	all["kubectl"] = &pkg{name: "kubectl", files: program("kubectl"), takes: 2 * time.Second}
	all["kubelet"] = &pkg{name: "kubelet", files: daemon("/usr/bin/kubelet", "kubelet"), units: []string{"kubelet.service"}, needs: []string{"kubernetes-cni", "conntrack", "socat"}, takes: 3 * time.Second}
	add("1.29.0", pkg{name: "cri-tools", files: program("crictl")})
	var plugins []pkgFile
	for _, name := range []string{"bridge", "host-local", "loopback", "portmap"} {
		plugins = append(plugins, pkgFile{"/opt/cni/bin/" + name, "simulated " + name + " of the package\n", 0o755})
	}
	add("1.3.0", pkg{name: "kubernetes-cni", files: plugins})
	if im.manager != "apt" {
		all["conntrack"] = all["conntrack-tools"]
	}
	return all
}

// plainPackages bring nothing that matters here.
func plainPackages() map[string]string {
	all := map[string]string{}
	for _, name := range strings.Fields(`socat conntrack conntrack-tools curl wget vim git jq tar gzip unzip bash-completion nfs-common nfs-utils net-tools telnet
		lrzsz tree psmisc rsync sysstat iotop iftop htop ca-certificates gnupg gpg apt-transport-https software-properties-common lsb-release yum-utils
		device-mapper-persistent-data lvm2 epel-release ebtables ethtool iproute iproute2 iptables iptables-services libseccomp libseccomp2 kmod tzdata
		openssl python3 make gcc ntpdate ntp open-iscsi iscsi-initiator-utils dnf-plugins-core policycoreutils container-selinux bridge-utils nmap-ncat
		netcat-openbsd cron sudo procps procps-ng util-linux`) {
		all[name] = "1.0"
	}
	return all
}

func program(names ...string) []pkgFile {
	var out []pkgFile
	for _, n := range names {
		out = append(out, pkgFile{"/usr/bin/" + n, "simulated " + n + "\n", 0o755})
	}
	return out
}

func daemon(path, unit string, more ...string) []pkgFile {
	out := append(program(more...), pkgFile{path, "simulated " + unit + "\n", 0o755})
	return append(out, pkgFile{"/usr/lib/systemd/system/" + unit + ".service", unitText(unit, path), 0o644})
}

// full is a version as the package manager writes it.
func (im *Image) full(version string) string {
	switch im.ID {
	case "debian12":
		return version + "-1"
	case "ubuntu24.04":
		return version + "-1ubuntu1"
	case "rocky9":
		return version + "-1.el9"
	}
	return version + "-1.el7"
}

// kubernetesVersion finds the minor version that the address of a repository names.
func kubernetesVersion() *regexp.Regexp { return regexp.MustCompile(`v1\.(\d+)`) }

// Versions are the versions of a package that the repositories of the host have, newest first.
func (h *Host) Versions(name string) []string {
	p := h.o.Image.catalog[name]
	if p == nil || len(p.versions) > 0 {
		if p == nil {
			return nil
		}
		return p.versions
	}
	var out []string
	for _, pattern := range []string{"/etc/apt/sources.list.d/*.sources", "/etc/apt/sources.list.d/*.list", "/etc/yum.repos.d/*.repo"} {
		files, _ := h.match(pattern)
		for _, file := range files {
			text := h.Text(file)
			if strings.Contains(text, "kubernetes") || strings.Contains(text, "pkgs.k8s.io") {
				out = append(out, h.o.Image.kubernetes(text)...)
			}
		}
	}
	return out
}

// kubernetes are the versions in a repository: one minor version in the new ones, up to 1.28 in the old.
func (im *Image) kubernetes(text string) []string {
	var minors []string
	if m := kubernetesVersion().FindStringSubmatch(text); m != nil {
		minors = []string{m[1]}
	} else {
		for minor := 28; minor >= 11; minor-- {
			minors = append(minors, itoa(minor))
		}
	}
	suffix := map[string]string{"apt": "-1.1", "dnf": "-150500.1.1", "yum": "-0"}[im.manager]
	var out []string
	for _, minor := range minors {
		for patch := 20; patch >= 0; patch-- {
			out = append(out, "1."+minor+"."+itoa(patch)+suffix)
		}
	}
	return out
}

// put installs a version of a package, with its files.
func (h *Host) put(p *pkg, version string) error {
	for _, f := range p.files {
		text := f.text
		if len(p.versions) == 0 {
			text = strings.TrimSpace(text) + " version " + strings.SplitN(version, "-", 2)[0] + "\n"
		}
		if strings.HasPrefix(f.path, "/etc/") && h.Exists(f.path) {
			continue // a configuration file of its own is kept
		}
		if strings.HasSuffix(f.path, ".service") {
			text = f.text
		}
		if err := h.Write(f.path, text, f.mode); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	have := h.packages[p.name]
	if have == nil {
		have = &installed{}
		h.packages[h.share(p.name)] = have
	}
	have.version, have.broken = version, false
	return nil
}

// Installed is the version of a package that is there; "" when it is not.
func (h *Host) Installed(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.packages[name]; i != nil {
		return i.version
	}
	return ""
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
