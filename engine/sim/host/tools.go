package host

import (
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// tools are the programs of this package, by name.
func (im *Image) tools() map[string]Program {
	quiet := func(time.Duration) Program { return func(*Proc) int { return 0 } }
	return map[string]Program{
		"systemctl": systemctl, "journalctl": journalctl, "hostnamectl": hostnamectl, "timedatectl": timedatectl,
		"modprobe": modprobe, "swapoff": swapoff, "setenforce": setenforce, "pgrep": pgrep, "pidof": pidof,
		"shutdown": shutdown, "reboot": shutdown, "true": quiet(0), "false": func(*Proc) int { return 1 }, "sync": quiet(0),
		"apt-get": aptGet, "apt-cache": aptCache, "apt-mark": aptMark, "dpkg": dpkg, "dpkg-deb": dpkgDeb, "dpkg-query": dpkgQuery,
		"dnf": dnf, "yum": dnf, "rpm": rpm,
		"haproxy": haproxy, "nginx": nginx, "keepalived": quiet(0), "ipvsadm": quiet(0), "ipset": quiet(0),
		"docker": dockerTool, "containerd": containerd, "ctr": ctr, "crictl": crictl, "ip": ipTool, "uname": uname, "diff": quiet(0),
	}
}

func journalctl(p *Proc) int {
	p.Printf("-- no entries: this host is simulated --\n")
	return 0
}

func hostnamectl(p *Proc) int {
	_, words := p.Flags()
	if len(words) != 2 || words[0] != "set-hostname" && words[0] != "hostname" {
		return p.Unknown()
	}
	p.Take(100 * time.Millisecond)
	for _, file := range []string{"/etc/hostname", "/proc/sys/kernel/hostname"} {
		if err := p.Host.write(file, words[1]+"\n", task.Attr{}); err != nil {
			return p.Fail("%v", err)
		}
	}
	return 0
}

func timedatectl(p *Proc) int {
	_, words := p.Flags()
	if len(words) != 2 || words[0] != "set-timezone" {
		return p.Unknown()
	}
	p.Take(100 * time.Millisecond)
	if !p.Host.Exists("/usr/share/zoneinfo/" + words[1]) {
		return p.Fail("Failed to set time zone: Invalid or not installed time zone '%s'", words[1])
	}
	if err := p.Host.link("../usr/share/zoneinfo/"+words[1], "/etc/localtime"); err != nil {
		return p.Fail("%v", err)
	}
	if p.Host.Exists("/etc/timezone") {
		_ = p.Host.write("/etc/timezone", words[1]+"\n", task.Attr{})
	}
	return 0
}

func modprobe(p *Proc) int {
	flags, words := p.Flags()
	_, dry := flags["--dry-run"]
	for _, name := range words {
		name = strings.ReplaceAll(name, "-", "_")
		if !slices.Contains(p.Host.o.Image.modules, name) {
			return p.Fail("modprobe: FATAL: Module %s not found in directory /lib/modules/%s", name, p.Host.o.Image.Kernel)
		}
		if _, resolve := flags["--resolve-alias"]; resolve {
			p.Printf("%s\n", name)
			continue
		}
		if !dry {
			p.Take(60 * time.Millisecond)
			p.Host.loadModule(name)
		}
	}
	return 0
}

// loadModule does what a module brings: its line, its settings.
func (h *Host) loadModule(name string) {
	loaded := h.Text("/proc/modules")
	if strings.Contains("\n"+loaded, "\n"+name+" ") {
		return
	}
	settings := map[string][]string{
		"br_netfilter": {"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables", "net/bridge/bridge-nf-call-arptables"},
		"nf_conntrack": {"net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_buckets", "net/netfilter/nf_conntrack_tcp_timeout_established",
			"net/netfilter/nf_conntrack_tcp_timeout_close_wait"},
		"ip_vs": {"net/ipv4/vs/conntrack", "net/ipv4/vs/conn_reuse_mode", "net/ipv4/vs/expire_nodest_conn"},
	}
	if name == "nf_conntrack_ipv4" {
		h.loadModule("nf_conntrack")
		loaded = h.Text("/proc/modules")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	put := func(path, text string) {
		_ = h.files.mkdirs(path[:strings.LastIndexByte(path, '/')], func() *node { return &node{mode: fs.ModeDir | 0o755, owner: "root", group: "root"} })
		h.files.set(path, &node{mode: 0o644, owner: "root", group: "root", data: h.share(text), mtime: h.now()})
	}
	put("/proc/modules", loaded+name+" 40960 0 - Live 0x0\n")
	value := "0\n"
	if name == "br_netfilter" && h.o.Image.ID != "centos7" { // which switches it off in its own settings
		value = "1\n"
	}
	for _, key := range settings[name] {
		put("/proc/sys/"+key, value)
	}
}

func swapoff(p *Proc) int {
	p.Take(1500 * time.Millisecond)
	p.Host.setSwaps(nil)
	return 0
}

func setenforce(p *Proc) int {
	value := map[string]string{"0": "0", "1": "1", "Permissive": "0", "Enforcing": "1"}[strings.Join(p.Args, " ")]
	if value == "" {
		return p.Unknown()
	}
	if !p.Host.Exists("/sys/fs/selinux/enforce") {
		return p.Fail("setenforce: SELinux is disabled")
	}
	if err := p.Host.write("/sys/fs/selinux/enforce", value, task.Attr{}); err != nil {
		return p.Fail("%v", err)
	}
	return 0
}

func pgrep(p *Proc) int {
	_, words := p.Flags()
	if len(words) != 1 {
		return p.Unknown()
	}
	h := p.Host
	h.mu.Lock()
	n := h.running[words[0]]
	h.mu.Unlock()
	if n > 0 {
		p.Printf("4242\n")
		return 0
	}
	return 1
}

func pidof(p *Proc) int {
	if len(p.Args) == 1 {
		if on, _ := p.Host.Active(p.Args[0]); on {
			p.Printf("4243\n")
			return 0
		}
	}
	return 1
}

func uname(p *Proc) int {
	says := map[string]string{"-r": p.Host.o.Image.Kernel, "-m": "x86_64", "-s": "Linux", "-n": firstWord(p.Host.Text("/proc/sys/kernel/hostname"))}
	if len(p.Args) != 1 || says[p.Args[0]] == "" {
		return p.Unknown()
	}
	p.Printf("%s\n", says[p.Args[0]])
	return 0
}

func ipTool(p *Proc) int {
	if len(p.Args) > 1 && p.Args[0] == "link" && p.Args[1] == "delete" {
		_ = p.Host.Unlink("/sys/class/net/" + p.Args[len(p.Args)-1])
		return 0
	}
	return p.Unknown()
}

func shutdown(p *Proc) int {
	p.Host.Reboot()
	return 0
}

func haproxy(p *Proc) int {
	flags, _ := p.Flags("-f")
	if file := flags["-f"]; file != "" && !strings.Contains(p.Host.Text(file), "frontend") && !strings.Contains(p.Host.Text(file), "listen") {
		return p.Fail("[ALERT] config : no frontend in %s", file)
	}
	return 0
}
