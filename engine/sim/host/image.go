package host

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kflow/kflow/engine/task"
)

// Image is a family of operating systems, freshly installed. It is shared by hosts and not changed.
type Image struct {
	ID       string // debian12, ubuntu24.04, rocky9, centos7
	OS       task.OS
	Kernel   string
	nic      string
	manager  string // apt, dnf, yum
	selinux  bool
	cgroup   int
	modules  []string // that can be loaded
	running  []string // units
	present  []string // packages
	programs map[string]Program
	base     *base
	catalog  map[string]*pkg
	brought  []string  // programs that come with packages of a site
	buffers  sync.Pool // of *bytes.Buffer
	versions sync.Map  // of Kubernetes, by repository
}

// Families are the names of the images there are.
func Families() []string { return []string{"debian12", "ubuntu24.04", "rocky9", "centos7"} }

// NewImage makes an image of a family, for which there are further packages; nil when there is none of that name.
func NewImage(family string, further ...Extra) *Image {
	var im *Image
	switch family {
	case "debian12":
		im = &Image{OS: task.OS{ID: "debian", Family: "debian", Version: "12", Major: 12, Name: "Debian GNU/Linux 12 (bookworm)", Code: "bookworm"},
			Kernel: "6.1.0-21-amd64", nic: "ens18", manager: "apt", cgroup: 2,
			running: []string{"ssh.service", "cron.service", "systemd-timesyncd.service"}}
	case "ubuntu24.04":
		im = &Image{OS: task.OS{ID: "ubuntu", Family: "debian", Version: "24.04", Major: 24, Name: "Ubuntu 24.04 LTS", Code: "noble"},
			Kernel: "6.8.0-31-generic", nic: "ens18", manager: "apt", cgroup: 2,
			running: []string{"ssh.service", "cron.service", "systemd-timesyncd.service", "ufw.service"}}
	case "rocky9":
		im = &Image{OS: task.OS{ID: "rocky", Family: "rhel", Version: "9.4", Major: 9, Name: "Rocky Linux 9.4 (Blue Onyx)"},
			Kernel: "5.14.0-427.13.1.el9_4.x86_64", nic: "ens18", manager: "dnf", selinux: true, cgroup: 2,
			running: []string{"sshd.service", "crond.service", "chronyd.service", "firewalld.service", "NetworkManager.service"}}
	case "centos7":
		im = &Image{OS: task.OS{ID: "centos", Family: "rhel", Version: "7", Major: 7, Name: "CentOS Linux 7 (Core)"},
			Kernel: "3.10.0-1160.el7.x86_64", nic: "eth0", manager: "yum", selinux: true, cgroup: 1,
			running: []string{"sshd.service", "crond.service", "firewalld.service", "NetworkManager.service", "postfix.service"}}
	default:
		return nil
	}
	im.ID = family
	im.programs = im.tools()
	im.catalog = im.packages()
	for _, e := range further {
		im.extend(e)
	}
	im.base = newBase()
	im.fill()
	return im
}

// fill writes the files of a fresh installation.
func (im *Image) fill() {
	b := im.base
	for _, dir := range []string{"/etc", "/root", "/run", "/tmp", "/usr/local/bin", "/usr/local/sbin", "/var/lib", "/var/log", "/opt", "/home", "/etc/sysctl.d",
		"/etc/modules-load.d", "/etc/systemd/system", "/proc/sys", "/sys/module", "/sys/class/net", "/usr/lib/sysctl.d", "/var/tmp", "/srv", "/mnt", "/etc/profile.d"} {
		b.put(dir, &node{mode: fs.ModeDir | 0o755})
	}
	b.put("/tmp", &node{mode: fs.ModeDir | fs.ModeSticky | 0o777})
	b.put("/root", &node{mode: fs.ModeDir | 0o700})
	for _, link := range []struct{ name, to string }{{"/bin", "usr/bin"}, {"/sbin", "usr/sbin"}, {"/lib", "usr/lib"}, {"/var/run", "/run"}, {"/etc/localtime", "/usr/share/zoneinfo/UTC"}} {
		b.put(link.name, &node{mode: fs.ModeSymlink | 0o777, target: link.to})
	}
	for name := range im.programs {
		if !slices.Contains(im.notInstalled(), name) {
			im.file("/usr/bin/"+name, "simulated "+name+"\n", 0o755)
		}
	}
	for _, zone := range zones() {
		im.file("/usr/share/zoneinfo/"+zone, "TZif2 "+zone+"\n", 0o644)
	}
	im.settings()
	im.kernelFiles()
	for _, name := range im.running {
		im.unitFile(name, "/usr/bin/systemd-sim")
		b.put(wants+name, &node{mode: fs.ModeSymlink | 0o777, target: "/usr/lib/systemd/system/" + name})
	}
	im.file("/usr/bin/systemd-sim", "simulated daemon\n", 0o755)
	for _, name := range im.present {
		for _, f := range im.catalog[name].files {
			im.file(f.path, f.text, f.mode)
		}
	}
}

func (im *Image) file(name, text string, mode fs.FileMode) {
	im.base.put(name, &node{mode: mode, data: text})
}

func (im *Image) unitFile(name, program string) {
	im.file("/usr/lib/systemd/system/"+name, unitText(name, program), 0o644)
}

func unitText(name, program string) string {
	return fmt.Sprintf("[Unit]\nDescription=%s\n[Service]\nExecStart=%s\n[Install]\nWantedBy=multi-user.target\n", name, program)
}

// settings are the files of /etc that tasks read.
func (im *Image) settings() {
	os := im.OS
	im.file("/etc/os-release", fmt.Sprintf("ID=%s\nVERSION_ID=%q\nPRETTY_NAME=%q\nVERSION_CODENAME=%s\n", os.ID, os.Version, os.Name, os.Code), 0o644)
	im.file("/etc/hosts", "127.0.0.1 localhost\n", 0o644)
	im.file("/etc/resolv.conf", "nameserver 192.168.10.1\n", 0o644)
	im.file("/etc/sysctl.conf", "# sysctl settings\n", 0o644)
	im.file("/etc/environment", "", 0o644)
	im.accounts()
	im.file("/etc/ssh/sshd_config", "PermitRootLogin prohibit-password\nUseDNS no\n", 0o600)
	swap := map[string]string{"debian12": "UUID=0c2f", "ubuntu24.04": "/swap.img", "rocky9": "/dev/mapper/rl-swap", "centos7": "/dev/mapper/centos-swap"}[im.ID]
	im.file("/etc/fstab", "UUID=5f1d / ext4 defaults 0 1\n"+swap+" none swap sw 0 0\n", 0o644)
	im.file("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"+strings.Replace(swap, "UUID=0c2f", "/dev/sda5", 1)+" partition 2097148 0 -2\n", 0o444)
	if im.manager == "apt" {
		im.file("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 localhost.localdomain localhost\n", 0o644)
		im.file("/etc/timezone", "Etc/UTC\n", 0o644)
		im.base.put("/etc/apt/apt.conf.d", &node{mode: fs.ModeDir | 0o755})
		im.base.put("/etc/localtime", &node{mode: fs.ModeSymlink | 0o777, target: "/usr/share/zoneinfo/Etc/UTC"})
		im.file("/etc/apt/sources.list.d/"+os.ID+".sources", "Types: deb\nURIs: http://debian.example.org/debian\nSuites: "+os.Code+"\nComponents: main\n", 0o644)
		return
	}
	im.file("/etc/selinux/config", "# This file controls the state of SELinux.\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", 0o644)
	im.file("/sys/fs/selinux/enforce", "1", 0o644)
	im.file("/etc/NetworkManager/NetworkManager.conf", "[main]\n", 0o644)
	if im.ID == "rocky9" {
		im.file("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n", 0o644)
		im.file("/etc/yum.repos.d/rocky.repo", "[baseos]\nname=Rocky Linux $releasever - BaseOS\nmirrorlist=https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo=BaseOS-$releasever\n#baseurl=http://dl.rockylinux.org/$contentdir/$releasever/BaseOS/$basearch/os/\ngpgcheck=1\nenabled=1\n", 0o644)
		return
	}
	im.file("/etc/yum.conf", "[main]\ngpgcheck=1\n", 0o644)
	im.file("/etc/yum.repos.d/CentOS-Base.repo", "[base]\nname=CentOS-$releasever - Base\n#mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=os\nbaseurl=http://vault.centos.org/7.9.2009/os/$basearch/\ngpgcheck=1\n", 0o644)
}

// kernelFiles are those of /proc and /sys.
func (im *Image) kernelFiles() {
	im.modules = []string{"overlay", "br_netfilter", "nf_conntrack", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh", "ip_vs_lc", "ip_tables", "ip6_tables", "tun",
		"bridge", "ip_set", "xt_set", "ipt_set", "ipt_rpfilter", "ipt_REJECT", "ipip", "vxlan", "rbd", "iptable_nat", "iptable_filter"}
	if im.ID == "centos7" {
		im.modules = append(im.modules, "nf_conntrack_ipv4")
	}
	im.file(uptime, "0.00 0.00\n", 0o444)
	im.file("/proc/modules", "ext4 800000 1 - Live 0x0\n", 0o444)
	im.file("/proc/filesystems", "nodev\tproc\n\text4\n", 0o444)
	im.file("/sys/class/net/"+im.nic+"/address", "52:54:00:00:00:01\n", 0o444)
	for key, value := range sysctls() {
		im.file("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), strings.Join(strings.Fields(value), "\t")+"\n", 0o644)
	}
	if im.ID == "centos7" {
		im.file("/proc/sys/fs/may_detach_mounts", "0\n", 0o644)
		im.file("/proc/sys/net/ipv4/tcp_tw_recycle", "0\n", 0o644)
	}
}

// notInstalled are the programs that come with packages that are not there at first.
func (im *Image) notInstalled() []string {
	names := append([]string{"haproxy", "keepalived", "nginx", "ipvsadm", "ipset", "containerd", "ctr", "crictl", "nerdctl", "docker"}, im.brought...)
	for name := range im.programs {
		foreign := map[string]bool{"apt-get": true, "apt-cache": true, "apt-mark": true, "dpkg": true, "dpkg-deb": true, "dpkg-query": true}[name]
		red := map[string]bool{"dnf": true, "yum": true, "rpm": true, "setenforce": true, "getenforce": true, "nmcli": true}[name]
		if foreign && im.manager != "apt" || red && im.manager == "apt" || name == "dnf" && im.manager == "yum" {
			names = append(names, name)
		}
	}
	return names
}

func zones() []string {
	return []string{"UTC", "Etc/UTC", "Asia/Shanghai", "Asia/Tokyo", "Asia/Kolkata", "Europe/Berlin", "Europe/London", "Europe/Paris", "America/New_York", "America/Los_Angeles"}
}

// sysctls are the settings of a fresh kernel.
func sysctls() map[string]string {
	values := maps.Clone(map[string]string{
		"fs.file-max": "9223372036854775807", "fs.nr_open": "1048576", "fs.inotify.max_user_instances": "128", "fs.inotify.max_user_watches": "65536",
		"kernel.pid_max": "4194304", "kernel.hostname": "localhost", "kernel.panic": "0", "kernel.panic_on_oops": "1", "kernel.threads-max": "63000",
		"kernel.msgmax": "8192", "kernel.shmmax": "18446744073692774399", "kernel.sysrq": "16",
		"net.core.netdev_max_backlog": "1000", "net.core.rmem_default": "212992", "net.core.rmem_max": "212992", "net.core.somaxconn": "4096",
		"net.core.wmem_default": "212992", "net.core.wmem_max": "212992", "net.core.optmem_max": "20480", "net.core.default_qdisc": "fq_codel",
		"net.ipv4.ip_forward": "0", "net.ipv4.ip_nonlocal_bind": "0", "net.ipv4.ip_local_port_range": "32768 60999",
		"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_wmem": "4096 16384 4194304",
		"vm.max_map_count": "65530", "vm.overcommit_memory": "0", "vm.panic_on_oom": "0", "vm.swappiness": "60", "vm.min_free_kbytes": "67584",
		"vm.dirty_ratio": "20", "vm.dirty_background_ratio": "10",
	})
	for _, key := range []string{"fin_timeout", "keepalive_intvl", "keepalive_probes", "keepalive_time", "max_orphans", "max_syn_backlog", "max_tw_buckets",
		"syn_retries", "synack_retries", "syncookies", "timestamps", "tw_reuse", "slow_start_after_idle", "mtu_probing", "retries2", "fastopen"} {
		values["net.ipv4.tcp_"+key] = "2"
	}
	for _, family := range []string{"net.ipv4", "net.ipv6"} {
		for i := range 3 {
			values[fmt.Sprintf("%s.neigh.default.gc_thresh%d", family, i+1)] = fmt.Sprint(128 << (2 * i))
		}
		values[family+".neigh.default.gc_stale_time"] = "60"
		for _, dev := range []string{"all", "default", "lo"} {
			values[family+".conf."+dev+".forwarding"] = "0"
			values[family+".conf."+dev+".accept_redirects"] = "1"
		}
	}
	for _, dev := range []string{"all", "default", "lo"} {
		values["net.ipv6.conf."+dev+".disable_ipv6"] = "0"
		for _, key := range []string{"arp_announce", "arp_ignore", "rp_filter", "send_redirects", "accept_source_route", "secure_redirects"} {
			values["net.ipv4.conf."+dev+"."+key] = "0"
		}
	}
	return values
}
