package host

import (
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pkg is a package that can be had.
type pkg struct {
	name     string
	origin   string   // of the repositories that have it
	provides []string // further names by which it can be asked for
	versions []string // newest first; of Kubernetes none: they depend on the repositories of the host
	files    []pkgFile
	dirs     []string // empty ones
	units    []string // that it brings; started on Debian
	needs    []string
	excludes []string      // packages it does not go with
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

	forOthers bool // others needed it, nobody named it
}

// packages is the catalogue of the family.
func (im *Image) packages() map[string]*pkg {
	all := map[string]*pkg{}
	add := func(version string, p pkg) {
		if version != "" {
			p.versions = []string{im.full(version)}
		}
		if p.takes == 0 {
			p.takes = 700 * time.Millisecond
		}
		if p.origin == "" {
			p.origin = distribution
		}
		all[p.name] = &p
	}
	for name, version := range plainPackages() {
		add(version, pkg{name: name})
	}
	for _, name := range []string{"ipvsadm", "ipset", "diffutils"} {
		add("1.31", pkg{name: name, files: program(name)})
	}
	add("1.4.7", pkg{name: "conntrack", files: program("conntrack")})
	im.daemons(add)
	im.dockerPackages(add)
	im.kubernetesPackages(add)
	if im.manager == "apt" {
		return all
	}
	add("1.4.6", pkg{name: "conntrack-tools", provides: []string{"conntrack"}, files: program("conntrack")})
	delete(all, "conntrack")
	add("1.1.12", pkg{name: "runc"})
	add("8", pkg{name: "epel-release", files: []pkgFile{{"/etc/yum.repos.d/epel.repo",
		"[epel]\nname=Extra Packages for Enterprise Linux\nmetalink=https://mirrors.fedoraproject.org/metalink?repo=epel\nenabled=1\ngpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-EPEL\n", 0o644}}})
	if im.manager == "dnf" { // CentOS 7 has it itself
		add("1.7.1", pkg{name: "bridge-utils", origin: epel, files: program("brctl")})
		add("4.3.0", pkg{name: "python3-dnf-plugin-versionlock", files: versionlock("/etc/dnf/plugins/")})
	} else {
		add("1.1.31", pkg{name: "yum-plugin-versionlock", files: versionlock("/etc/yum/pluginconf.d/")})
	}
	return all
}

func versionlock(dir string) []pkgFile {
	return []pkgFile{{dir + "versionlock.conf", "[main]\nenabled = 1\nlocklist = " + dir + "versionlock.list\n", 0o644}, {dir + "versionlock.list", "", 0o644}}
}

// daemons are services of the distribution.
func (im *Image) daemons(add func(string, pkg)) {
	chrony, conf := "chrony", "/etc/chrony/chrony.conf"
	if im.manager != "apt" {
		chrony, conf = "chronyd", "/etc/chrony.conf"
	}
	add("4.3", pkg{name: "chrony", files: append(daemon("/usr/sbin/chronyd", chrony), pkgFile{conf, "pool pool.ntp.org iburst\n", 0o644}), units: []string{chrony + ".service"}})
	add("2.6.12", pkg{name: "haproxy", units: []string{"haproxy.service"}, takes: 1500 * time.Millisecond,
		files: append(daemon("/usr/sbin/haproxy", "haproxy"), pkgFile{"/etc/haproxy/haproxy.cfg", "global\n\ndefaults\n", 0o644})})
	add("2.2.7", pkg{name: "keepalived", units: []string{"keepalived.service"},
		files: append(daemon("/usr/sbin/keepalived", "keepalived"), pkgFile{"/etc/keepalived/keepalived.conf.sample", "! sample\n", 0o644})})
	add("1.22.1", pkg{name: "nginx", units: []string{"nginx.service"}, dirs: []string{"/etc/nginx/conf.d"},
		files: append(daemon("/usr/sbin/nginx", "nginx"), pkgFile{"/etc/nginx/nginx.conf", "events {}\nhttp { include /etc/nginx/conf.d/*.conf; }\n", 0o644})})
	server := "nfs-utils"
	if im.manager == "apt" {
		server = "nfs-kernel-server"
	}
	add("2.6.2", pkg{name: server, units: []string{"nfs-server.service"}, files: daemon("/usr/sbin/rpc.nfsd", "nfs-server")})
	if im.manager == "apt" {
		add("1.6.20", pkg{name: "containerd", files: daemon("/usr/bin/containerd", "containerd", "ctr"), units: []string{"containerd.service"}, needs: []string{"runc"}, takes: 4 * time.Second})
		add("1.1.5", pkg{name: "runc", files: []pkgFile{{"/usr/sbin/runc", "simulated runc version 1.1.5\n", 0o755}}})
	}
}

// dockerPackages are those of Docker's own repository. Its containerd.io comes with a configuration that switches the CRI
// off.
func (im *Image) dockerPackages(add func(string, pkg)) {
	conf := pkgFile{"/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n", 0o644}
	add("1.6.33", pkg{name: "containerd.io", origin: docker, files: append(daemon("/usr/bin/containerd", "containerd", "ctr", "runc"), conf),
		units: []string{"containerd.service"}, excludes: []string{"runc"}, takes: 4 * time.Second})
	needs := []string{"containerd.io", "docker-ce-cli"}
	socket := pkgFile{"/usr/lib/systemd/system/docker.socket", "[Unit]\nDescription=Docker Socket for the API\n[Socket]\nListenStream=/run/docker.sock\n[Install]\nWantedBy=sockets.target\n", 0o644}
	unit := pkgFile{"/usr/lib/systemd/system/docker.service", strings.Replace(unitText("docker", "/usr/bin/dockerd"), "[Service]",
		"After=network-online.target docker.socket firewalld.service containerd.service\nWants=network-online.target containerd.service\nRequires=docker.socket\n[Service]", 1), 0o644}
	files := []pkgFile{{"/usr/bin/dockerd", "simulated docker\n", 0o755}, unit, socket}
	cli := pkg{name: "docker-ce-cli", origin: docker, files: program("docker"), takes: 3 * time.Second}
	engine := pkg{name: "docker-ce", origin: docker, files: files, units: []string{"docker.service"}, needs: needs, takes: 5 * time.Second}
	for _, version := range []string{"26.1.4", "24.0.9", "20.10.24", "18.06.1.ce"} {
		for _, p := range []*pkg{&cli, &engine} {
			if version != "18.06.1.ce" || im.ID == "centos7" && p.name == "docker-ce" {
				p.versions = append(p.versions, im.dockerVersion(p.name, version))
			}
		}
	}
	add("", cli)
	add("", engine)
	if im.manager == "apt" { // the distribution's own, in one piece
		add("20.10.24", pkg{name: "docker.io", files: append(slices.Clone(files), program("docker")...), units: []string{"docker.service"},
			needs: []string{"containerd", "runc", "iptables"}, takes: 5 * time.Second})
	}
	for _, name := range []string{"docker-buildx-plugin", "docker-compose-plugin"} {
		add("0.14.0", pkg{name: name, origin: docker})
	}
}

// dockerVersion is a version of Docker as its repositories write it: with an epoch, from 18.09 on.
func (im *Image) dockerVersion(name, version string) string {
	switch {
	case strings.HasSuffix(version, "ce"):
		return version + "-3.el7"
	case im.manager == "apt":
		return "5:" + version + "-1~" + im.OS.ID + "." + im.OS.Version + "~" + im.OS.Code
	}
	return map[string]string{"docker-ce": "3:", "docker-ce-cli": "1:"}[name] + im.full(version)
}

// parts are the files of a version of a package, and what it needs: Docker came in one piece before 18.09.
func (p *pkg) parts(version string) (files []pkgFile, needs []string) {
	if p.name == "docker-ce" && strings.HasPrefix(version, "18.06") {
		return append(slices.Clone(p.files), program("docker")...), nil
	}
	return p.files, p.needs
}

// kubernetesPackages are those of the repositories of Kubernetes.
func (im *Image) kubernetesPackages(add func(string, pkg)) {
	add("", pkg{name: "kubeadm", origin: kubernetes, files: program("kubeadm"), needs: []string{"kubelet", "cri-tools"}, takes: 2 * time.Second})
	add("", pkg{name: "kubectl", origin: kubernetes, files: program("kubectl"), takes: 2 * time.Second})
	add("", pkg{name: "kubelet", origin: kubernetes, files: daemon("/usr/bin/kubelet", "kubelet"), units: []string{"kubelet.service"},
		needs: []string{"kubernetes-cni", "conntrack", "socat"}, takes: 3 * time.Second})
	add("1.29.0", pkg{name: "cri-tools", origin: kubernetes, files: program("crictl")})
	var plugins []pkgFile
	for _, name := range []string{"bridge", "host-local", "loopback", "portmap"} {
		plugins = append(plugins, pkgFile{"/opt/cni/bin/" + name, "simulated " + name + " of the package\n", 0o755})
	}
	add("1.3.0", pkg{name: "kubernetes-cni", origin: kubernetes, files: plugins})
}

// find is the package of a name, or the one that provides it; nil when there is none.
func (im *Image) find(name string) *pkg {
	if p := im.catalog[name]; p != nil {
		return p
	}
	for _, p := range im.catalog {
		if slices.Contains(p.provides, name) {
			return p
		}
	}
	return nil
}

// plainPackages bring nothing that matters here.
func plainPackages() map[string]string {
	all := map[string]string{}
	for _, name := range strings.Fields(`socat curl wget vim git jq tar gzip unzip bash-completion nfs-common nfs-utils net-tools telnet
		lrzsz tree psmisc rsync sysstat iotop iftop ca-certificates gnupg gpg apt-transport-https software-properties-common lsb-release yum-utils
		device-mapper-persistent-data lvm2 epel-release ebtables ethtool iproute iproute2 iptables iptables-services libseccomp libseccomp2 kmod tzdata
		openssl python3 make gcc ntpdate ntp open-iscsi iscsi-initiator-utils dnf-plugins-core policycoreutils container-selinux bridge-utils nmap-ncat
		netcat-openbsd cron sudo procps procps-ng util-linux htop nano tmux less lsof strace tcpdump bind-utils dnsutils ncurses-term file xz-utils xz
		bzip2 which man-db logrotate rsyslog unattended-upgrades dnf-automatic haveged`) {
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
var kubernetesVersion = regexp.MustCompile(`v1\.(\d+)`)

// kubernetes are the versions of a package in a repository: one minor version in the new ones, up to 1.28 in the old.
func (im *Image) kubernetes(url string, p *pkg) []string {
	if len(p.versions) > 0 {
		return p.versions
	}
	if have, ok := im.versions.Load(url); ok {
		return have.([]string)
	}
	out := im.versionsAt(url)
	im.versions.Store(url, out)
	return out
}

// versionsAt are the versions of Kubernetes in a repository.
func (im *Image) versionsAt(url string) []string {
	var minors []string
	if m := kubernetesVersion.FindStringSubmatch(url); m != nil {
		minors = []string{m[1]}
	} else {
		for minor := 28; minor >= 11; minor-- {
			minors = append(minors, itoa(minor))
		}
	}
	suffix := map[string]string{"apt": "-1.1", "dnf": "-150500.1.1", "yum": "-0"}[im.manager]
	if strings.Contains(url, "/v1.") && im.manager == "yum" {
		suffix = "-150500.1.1"
	}
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
	files, _ := p.parts(version)
	for _, dir := range p.dirs {
		if err := h.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, f := range files {
		text := f.text
		if f.mode == 0o755 && !strings.Contains(text, "version ") {
			text = strings.TrimSpace(text) + " version " + plainVersion(version) + "\n"
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
	if err := h.account(p.name); err != nil {
		return err
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

// plainVersion is a version without epoch and revision.
func plainVersion(version string) string {
	version = version[strings.IndexByte(version, ':')+1:]
	return strings.SplitN(version, "-", 2)[0]
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
	return strconv.Itoa(n)
}
