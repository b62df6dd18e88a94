package cluster

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

const (
	minikubeDir  = "/root/.minikube/profiles/minikube/"
	minikubePort = "8443"
)

// minikube is minikube with its driver none: a cluster of kubeadm's on the machine itself. Its other drivers need a user
// who is not root.
func (n *Network) minikube(p *host.Proc) int {
	flags, words := p.Flags("-o", "--output", "--driver", "--kubernetes-version", "--container-runtime", "--addons", "--image-repository")
	m := &mini{adm{Proc: p, n: n, h: p.Host, flags: flags}}
	switch strings.Join(words[:min(2, len(words))], " ") {
	case "version":
		p.Printf("minikube version: v%s\n", p.Host.Version("minikube"))
		return 0
	case "start":
		return m.start()
	case "status":
		return m.status()
	case "stop":
		p.Take(4 * time.Second)
		p.Host.Stop("kubelet")
		return 0
	case "delete":
		return m.remove()
	case "addons enable", "addons disable", "addons list":
		return m.addons(words[1:])
	}
	return p.Unknown()
}

// mini is one call of minikube. It does by itself what kubeadm would be told.
type mini struct{ adm }

// start starts the machine, and makes it first where there is none.
func (m *mini) start() int {
	if why := m.lacks(); why != "" {
		const missing = 80
		m.Errorf("X Exiting due to %s\n", why)
		return missing
	}
	if p := m.n.planeOf(m.h.Name); p != nil {
		m.Take(8 * time.Second)
		m.h.Start("kubelet")
		return m.ready(p.cluster)
	}
	version := first(m.flags["--kubernetes-version"], "v1.33.1")
	version = "v" + strings.TrimPrefix(version, "v")
	repository := m.flags["--image-repository"]
	m.config = "criSocket: unix://" + dockerdSocket + "\n---\nkind: ClusterConfiguration\nkubernetesVersion: " + version + "\nimageRepository: " + repository + "\n"
	for _, image := range imagesOf(version, repository) {
		m.Pull(host.Docker, image)
	}
	c, err := m.n.newCluster(m.h.Now())
	if err != nil {
		return m.Fail("%v", err)
	}
	at := net.JoinHostPort(m.h.IP, minikubePort)
	c.version, c.config, c.endpoint, c.cgroups = version, documentOf(m.config, "ClusterConfiguration"), at, m.h.DockerCgroups()
	binary := "/var/lib/minikube/binaries/" + version + "/kubelet"
	unit := "[Unit]\nWants=docker.socket\n[Service]\nExecStart=" + binary + "\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"
	if !m.certificates(c) || !m.kubeconfigs(c, at) || !m.staticPods(c, m.h.IP, minikubePort) || !m.write(map[string]string{
		binary: "simulated kubelet version " + strings.TrimPrefix(version, "v") + "\n", "/etc/systemd/system/kubelet.service": unit,
		minikubeDir + "config.json": `{"Name": "minikube", "Driver": "none"}`, "/root/.kube/config": c.kubeconfig(at, "minikube")}) {
		return 1
	}
	m.n.setPlane(&plane{cluster: c, host: m.h, port: minikubePort, since: m.h.Now()})
	m.n.addMember(c, &member{name: m.nodeName(), host: m.h})
	m.Call("systemctl", "daemon-reload")
	m.Call("systemctl", "enable", "kubelet")
	if !m.startKubelet(c) {
		return 1
	}
	return m.ready(c)
}

// lacks says what the driver none does not find on the machine; "" = all is there.
func (m *mini) lacks() string {
	docker, _ := m.h.Active("docker")
	shim, _ := m.h.Active("cri-docker.socket")
	switch {
	case m.flags["--driver"] == "docker" && !strings.Contains(strings.Join(m.Args, " "), "--force"):
		return `DRV_AS_ROOT: The "docker" driver should not be used with root privileges.`
	case m.flags["--driver"] != "none":
		return "the simulator knows minikube with --driver=none"
	case m.h.Which("conntrack") == "":
		return "GUEST_MISSING_CONNTRACK: Sorry, Kubernetes requires conntrack to be installed in root's path"
	case m.h.Which("crictl") == "":
		return "GUEST_MISSING_CONNTRACK: Sorry, Kubernetes requires crictl to be installed in root's path"
	case !docker:
		return "PROVIDER_DOCKER_NOT_RUNNING: deadline exceeded running \"docker version\""
	case m.h.Which("cri-dockerd") == "" || !shim:
		return "NOT_FOUND_CRI_DOCKERD: the none driver with Kubernetes v1.24+ and the docker container-runtime requires cri-dockerd"
	case !m.h.Exists("/opt/cni/bin/bridge"):
		return "NOT_FOUND_CNI_PLUGINS: the none driver with Kubernetes v1.24+ requires containernetworking-plugins"
	}
	m.Call("systemctl", "start", "cri-docker.service")
	return ""
}

// ready waits for the API, and puts minikube's own network there.
func (m *mini) ready(c *Cluster) int {
	if !m.wait(c.endpoint, 4*time.Minute) {
		return m.Fail("X Exiting due to GUEST_START: wait 6m0s for node: wait for apiserver: timed out")
	}
	m.n.register(c, m.nodeName(), m.h, true)
	m.n.mu.Lock()
	c.nodes[m.nodeName()].taints = nil
	known := c.objects["ConfigMap/kube-system/kubeadm-config"] != nil
	m.n.mu.Unlock()
	if !known {
		m.n.addons(c, m.h.Now())
	}
	if !m.write(map[string]string{"/etc/cni/net.d/1-k8s.conflist": `{"name": "bridge", "plugins": [{"type": "bridge"}]}`}) {
		return 1
	}
	m.Take(3 * time.Second)
	m.Printf("* Done! kubectl is now configured to use \"minikube\" cluster and \"default\" namespace by default\n")
	return 0
}

func (m *mini) status() int {
	const stopped, none = 7, 85
	p := m.n.planeOf(m.h.Name)
	if p == nil || !m.h.Exists(minikubeDir+"config.json") {
		m.Errorf("* Profile \"minikube\" not found. Run \"minikube profile list\" to view all profiles.\n")
		return none
	}
	m.Take(300 * time.Millisecond)
	state, code := "Running", 0
	if !m.n.up(p) {
		state, code = "Stopped", stopped
	}
	m.Printf("minikube\ntype: Control Plane\nhost: Running\nkubelet: %s\napiserver: %s\nkubeconfig: Configured\n", state, state)
	return code
}

func (m *mini) remove() int {
	m.Take(5 * time.Second)
	m.reset()
	for _, name := range []string{"/root/.minikube", "/root/.kube/config", "/etc/systemd/system/kubelet.service", "/var/lib/minikube", "/etc/cni/net.d/1-k8s.conflist"} {
		_ = m.h.Unlink(name)
	}
	return 0
}

// addons lists, enables and disables what minikube brings; the simulator has metrics-server.
func (m *mini) addons(words []string) int {
	p := m.n.planeOf(m.h.Name)
	if p == nil {
		return m.Fail("X Exiting due to MK_ADDON_ENABLE_PAUSED: no cluster")
	}
	const addon = "metrics-server"
	key := "Deployment/kube-system/" + addon
	m.Take(2 * time.Second)
	m.n.mu.Lock()
	defer m.n.mu.Unlock()
	switch {
	case words[0] == "list":
		state := "disabled"
		if p.cluster.objects[key] != nil {
			state = "enabled"
		}
		m.Printf(`{"%s": {"Profile": "minikube", "Status": "%s"}}`+"\n", addon, state)
	case len(words) < 2 || words[1] != addon:
		return m.Unknown()
	case words[0] == "enable" && p.cluster.objects[key] == nil:
		p.cluster.objects[key] = &object{kind: "Deployment", group: "apps", ns: "kube-system", name: addon, applied: m.h.Now(), text: fmt.Sprintf("%q", addon),
			data: map[string]any{"kind": "Deployment", "metadata": map[string]any{"name": addon, "namespace": "kube-system"}, "spec": map[string]any{"replicas": 1}}}
	case words[0] == "disable":
		delete(p.cluster.objects, key)
	}
	return 0
}
