package cluster

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

// Sockets of container runtimes.
const (
	containerdSocket = "/run/containerd/containerd.sock"
	dockerdSocket    = "/run/cri-dockerd.sock"
	dockershim       = "/run/dockershim.sock"
)

// noShim is the minor version from which the kubelet does not speak to Docker by itself.
const noShim = 24

func (a *adm) minor() int { return minorOf(a.version()) }

// given is the socket that the call names; "" when it names none.
func (a *adm) given() string {
	s := strings.TrimPrefix(first(field(a.config, "criSocket"), a.flags["--cri-socket"]), "unix://")
	return strings.Replace(s, "/var/run/", "/run/", 1)
}

// socket is the one that is used: what the call names, or what there is.
func (a *adm) socket() string {
	if s := a.given(); s != "" {
		return s
	}
	if docker, _ := a.h.Active("docker"); docker && a.minor() < noShim {
		return dockershim
	}
	if !a.h.Exists(containerdSocket) && a.h.Exists(dockerdSocket) {
		return dockerdSocket
	}
	return containerdSocket
}

// sockets says what kubeadm says where more than one runtime is there and none is named; "" = nothing.
func (a *adm) sockets() string {
	if a.given() != "" || a.minor() < noShim || !a.h.Exists(containerdSocket) || !a.h.Exists(dockerdSocket) {
		return ""
	}
	return "found multiple CRI endpoints on the host. Please define which one do you wish to use by setting the 'criSocket' field in the kubeadm configuration file: " +
		"unix:///var/run/containerd/containerd.sock, unix:///var/run/cri-dockerd.sock"
}

// runtime says why the container runtime does not answer at its socket; "" = it does.
func (a *adm) runtime() string {
	unit := unitOf(a.socket())
	if unit == "cri-docker" { // started by its socket, when somebody asks
		if on, _ := a.h.Active("cri-docker.socket"); on {
			a.Call("systemctl", "start", "cri-docker.service")
		}
	}
	on, _ := a.h.Active(unit)
	switch {
	case !on || a.socket() != dockershim && !a.h.Exists(a.socket()):
		return "container runtime is not running: " + a.socket()
	case unit == "containerd" && criOff.MatchString(a.h.StartedWith(unit)):
		return "container runtime is not running: rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService"
	}
	return ""
}

func unitOf(socket string) string {
	switch {
	case strings.Contains(socket, "cri-dockerd"):
		return "cri-docker"
	case strings.Contains(socket, "dockershim"):
		return "docker"
	}
	return "containerd"
}

var (
	systemdCgroup = regexp.MustCompile(`SystemdCgroup\s*=\s*true`)
	criOff        = regexp.MustCompile(`disabled_plugins\s*=\s*\[[^\]]*cri`)
)

// runtimeCgroups is the cgroup driver of the runtime behind a socket, as it was told when it started.
func runtimeCgroups(h *host.Host, socket string) string {
	if unitOf(socket) != "containerd" {
		return h.DockerCgroups()
	}
	if systemdCgroup.MatchString(h.StartedWith("containerd")) {
		return "systemd"
	}
	return "cgroupfs"
}

// cgroups is the cgroup driver that kubeadm gives kubelets: what the configuration says, systemd from 1.22 on, before that
// Docker's.
func (a *adm) cgroups() string {
	driver := field(documentOf(a.config, "KubeletConfiguration"), "cgroupDriver")
	switch {
	case driver != "":
		return driver
	case a.minor() >= 22:
		return "systemd"
	case unitOf(a.socket()) == "docker":
		return a.h.DockerCgroups()
	}
	return "cgroupfs"
}

// podsRun tells whether the kubelet of a host runs pods, and since when: its runtime answers, and both have the same
// cgroup driver.
func podsRun(h *host.Host) (bool, time.Time) {
	on, since := h.Active("kubelet")
	_, socket, _ := strings.Cut(h.Text("/var/lib/kubelet/kubeadm-flags.env"), "unix://")
	socket = strings.TrimRight(socket, "\"\n")
	if running, _ := h.Active(unitOf(socket)); !on || !running {
		return false, since
	}
	kubelet := field(h.Text("/var/lib/kubelet/config.yaml"), "cgroupDriver")
	return kubelet == "" || kubelet == runtimeCgroups(h, socket) || asksRuntime(h, socket), since
}

// asksRuntime tells whether the kubelet takes the driver from the runtime: from 1.31 on, and from runtimes that tell.
func asksRuntime(h *host.Host, socket string) bool {
	const gate = 31
	return minorOf(versionOf(h, "kubelet")) >= gate && (unitOf(socket) != "containerd" || strings.HasPrefix(h.Version("containerd"), "2"))
}

// preflight are the checks before init and join.
func (a *adm) preflight(control bool) bool {
	a.Printf("[preflight] Running pre-flight checks\n")
	a.Take(1500 * time.Millisecond)
	var errs []string
	ignored := strings.Split(a.flags["--ignore-preflight-errors"], ",")
	check := func(name string, ok bool, why string) {
		if !ok && !slices.Contains(ignored, name) && !slices.Contains(ignored, "all") {
			errs = append(errs, "\t[ERROR "+name+"]: "+why)
		}
	}
	why := a.runtime()
	check("CRI", why == "", why)
	check("Swap", !a.h.Swap(), "running with swap on is not supported. Please disable swap")
	check("FileContent--proc-sys-net-ipv4-ip_forward", setTo1(a.h, "net/ipv4/ip_forward"), "/proc/sys/net/ipv4/ip_forward contents are not set to 1")
	if a.minor() < 30 {
		check("FileContent--proc-sys-net-bridge-bridge-nf-call-iptables", setTo1(a.h, "net/bridge/bridge-nf-call-iptables"),
			"/proc/sys/net/bridge/bridge-nf-call-iptables does not exist or is not set to 1")
	}
	check("FileExisting-conntrack", a.h.Which("conntrack") != "", "conntrack not found in system path")
	kubelet := minorOf(versionOf(a.h, "kubelet"))
	check("KubeletVersion", kubelet <= a.minor(), "the kubelet version is higher than the control plane version. This is not a supported version skew and may lead to a malfunctional cluster")
	files := []string{kubernetesDir + "kubelet.conf"}
	if control {
		for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
			files = append(files, manifests+name+".yaml")
		}
		p := a.n.planeOf(a.h.Name)
		_, port := a.address()
		check("Port-"+port, (p == nil || !a.n.up(p)) && !a.n.balances(a.h, port), "Port "+port+" is in use")
		check("DirAvailable--var-lib-etcd", !a.h.Exists("/var/lib/etcd/member"), "/var/lib/etcd is not empty")
	}
	for _, name := range files {
		check("FileAvailable-"+strings.ReplaceAll(name, "/", "-"), !a.h.Exists(name), name+" already exists")
	}
	if len(errs) == 0 {
		return true
	}
	a.Errorf("error execution phase preflight: [preflight] Some fatal errors occurred:\n%s\n", strings.Join(errs, "\n"))
	return false
}

func setTo1(h *host.Host, key string) bool { return strings.TrimSpace(h.Text("/proc/sys/"+key)) == "1" }
