package cluster

import (
	"net"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

// discovery is how long kubeadm join tries to find a cluster it can trust.
const discovery = 5 * time.Minute

// init makes the first control plane.
func (a *adm) init() int {
	a.Printf("[init] Using Kubernetes version: %s\n", a.version())
	if !a.preflight(true) {
		return 1
	}
	cluster := documentOf(a.config, "ClusterConfiguration")
	for _, image := range imagesOf(a.version(), field(cluster, "imageRepository")) {
		a.Pull(host.RuntimeAt(a.socket()), image)
	}
	c, err := a.n.newCluster(a.h.Now())
	if err != nil {
		return a.Fail("%v", err)
	}
	address, port := a.address()
	c.cgroups, c.proxy = a.cgroups(), field(documentOf(a.config, "KubeProxyConfiguration"), "mode")
	c.version, c.config, c.external = a.version(), cluster, strings.Contains(cluster, "external:")
	if c.endpoint = field(cluster, "controlPlaneEndpoint"); c.endpoint == "" {
		c.endpoint = net.JoinHostPort(address, port)
	}
	if !a.certificates(c) || !a.kubeconfigs(c, net.JoinHostPort(address, port)) || !a.staticPods(c, address, port) ||
		!a.write(map[string]string{kubernetesDir + "kubelet.conf": c.kubeconfig(c.endpoint, "system:node:"+a.nodeName())}) {
		return 1
	}
	a.n.setPlane(&plane{cluster: c, host: a.h, port: port, since: a.h.Now()})
	if !c.external {
		a.n.addMember(c, &member{name: a.nodeName(), host: a.h})
	}
	if !a.startKubelet(c) {
		return 1
	}
	a.Printf("[wait-control-plane] Waiting for the kubelet to boot up the control plane\n")
	if !a.wait(c.endpoint, 4*time.Minute) {
		a.Errorf("error execution phase wait-control-plane: couldn't initialize a Kubernetes cluster\ntimed out waiting for the condition\n")
		return 1
	}
	a.n.register(c, a.nodeName(), a.h, true)
	a.Take(2500 * time.Millisecond)
	a.n.addons(c, a.h.Now())
	a.Printf("\nYour Kubernetes control-plane has initialized successfully!\n\n")
	a.firstToken(c)
	return 0
}

// address is where the API server of this host listens.
func (a *adm) address() (address, port string) {
	if address = field(a.config, "advertiseAddress"); address == "" {
		address = a.h.IP
	}
	if port = field(a.config, "bindPort"); port == "" || port == "0" {
		port = "6443"
	}
	return address, port
}

func (a *adm) nodeName() string {
	for _, name := range []string{within(a.config, "nodeRegistration", "name"), a.flags["--node-name"]} {
		if name != "" {
			return name
		}
	}
	return strings.ToLower(strings.TrimSpace(a.h.Text("/proc/sys/kernel/hostname")))
}

// wait asks an API server until it is ready.
func (a *adm) wait(endpoint string, limit time.Duration) bool {
	for start := a.h.Now(); a.h.Now().Sub(start) < limit; {
		if p := a.n.server(a.h, endpoint); p != nil && a.n.healthy(p) {
			return true
		}
		a.Take(3 * time.Second)
	}
	return false
}

// server is the control plane that answers at an address; nil = none.
func (n *Network) server(from *host.Host, endpoint string) *plane {
	p, how := n.reach(from, endpoint)
	if how != open {
		return nil
	}
	return p
}

func (n *Network) setPlane(p *plane) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.planes[p.host.Name] = p
}

func (n *Network) addMember(c *Cluster, m *member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c.members = append(slices.DeleteFunc(c.members, func(x *member) bool { return x.host == m.host }), m)
}

// taken tells whether another machine is ready under the name of a node.
func (n *Network) taken(c *Cluster, name string, h *host.Host) bool {
	n.mu.Lock()
	x := c.nodes[name]
	n.mu.Unlock()
	return x != nil && x.host != h && n.kubeletUp(x) && n.networked(c, x)
}

// register makes a node known.
func (n *Network) register(c *Cluster, name string, h *host.Host, control bool) {
	version := "v" + versionOf(h, "kubelet")
	if version == "v" { // minikube brings its own
		version = c.version
	}
	now := h.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	x := c.nodes[name]
	if x == nil || x.host != h { // another machine of that name takes its place
		x = &node{name: name, host: h, joined: now, labels: map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}}
		c.nodes[name] = x
	}
	x.version = version
	if control && !x.control {
		x.control = true
		x.marked(minorOf(version))
	}
}

// marked gives a control plane the labels and taints of its minor version: master became control-plane in several steps.
func (x *node) marked(minor int) {
	const older, newer = "node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane"
	x.taints = nil
	if minor < 24 {
		x.labels[older] = ""
	}
	if minor >= 20 {
		x.labels[newer] = ""
	}
	if minor < 25 {
		x.taints = append(x.taints, taint{Key: older, Effect: "NoSchedule"})
	}
	if minor >= 24 {
		x.taints = append(x.taints, taint{Key: newer, Effect: "NoSchedule"})
	}
}

// join makes this host a node.
func (a *adm) join() int {
	control := strings.Contains(a.config, "controlPlane:")
	if !a.preflight(control) {
		return 1
	}
	c, code := a.discover()
	if c == nil {
		return code
	}
	if control {
		if field(c.config, "controlPlaneEndpoint") == "" {
			return a.Fail("error execution phase preflight: \nOne or more conditions for hosting a new control plane instance is not satisfied.\n" +
				"unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address")
		}
		if code := a.prepare(c); code != 0 {
			return code
		}
	}
	if a.n.taken(c, a.nodeName(), a.h) {
		return a.Fail("error execution phase kubelet-start: a Node with name %q and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node", a.nodeName())
	}
	if !a.write(map[string]string{kubernetesDir + "bootstrap-kubelet.conf": c.kubeconfig(c.endpoint, "tls-bootstrap-token-user")}) || !a.startKubelet(c) {
		return 1
	}
	a.Printf("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap...\n")
	a.Take(3 * time.Second)
	if !a.wait(c.endpoint, 4*time.Minute) {
		return a.Fail("error execution phase kubelet-start: timed out waiting for the condition")
	}
	if !a.write(map[string]string{kubernetesDir + "kubelet.conf": c.kubeconfig(c.endpoint, "system:node:"+a.nodeName()), pki + "ca.crt": c.ca}) {
		return 1
	}
	_ = a.h.Unlink(kubernetesDir + "bootstrap-kubelet.conf")
	a.n.register(c, a.nodeName(), a.h, false)
	if control {
		if code := a.joinEtcd(c); code != 0 {
			return code
		}
		a.n.register(c, a.nodeName(), a.h, true)
	}
	a.Printf("\nThis node has joined the cluster\n")
	return 0
}

// discover finds the cluster that the configuration names, and trusts it.
func (a *adm) discover() (*Cluster, int) {
	endpoint, token := field(a.config, "apiServerEndpoint"), field(a.config, "token")
	a.Take(700 * time.Millisecond)
	start := a.h.Now()
	for {
		p := a.n.server(a.h, endpoint)
		why := `couldn't validate the identity of the API Server: Get "https://` + endpoint + `/api/v1/namespaces/kube-public/configmaps/cluster-info": dial tcp ` + endpoint + `: connect: connection refused`
		if p != nil && a.n.healthy(p) {
			now := p.host.Now()
			a.n.mu.Lock()
			until, known := p.cluster.tokens[token]
			hash := p.cluster.hash
			a.n.mu.Unlock()
			switch {
			case !known || now.After(until):
				id, _, _ := strings.Cut(token, ".")
				why = `couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID "` + id + `"`
			case !strings.Contains(a.config, hash):
				return nil, a.Fail("error execution phase preflight: couldn't validate the identity of the API Server: cluster CA found in cluster-info ConfigMap is invalid: none of the public keys %q are pinned", hash)
			case a.h.Now().Before(p.cluster.made.Add(-time.Hour)):
				return nil, a.Fail("error execution phase preflight: x509: certificate has expired or is not yet valid: current time %s is before %s",
					a.h.Now().Format(time.RFC3339), p.cluster.made.Add(-time.Hour).Format(time.RFC3339))
			default:
				return p.cluster, 0
			}
		}
		if a.h.Now().Sub(start) > discovery {
			return nil, a.Fail("error execution phase preflight: %s", why)
		}
		a.Take(5 * time.Second)
	}
}

// prepare gets the certificates of a further control plane and writes its files.
func (a *adm) prepare(c *Cluster) int {
	a.Printf("[download-certs] Downloading the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n")
	a.Take(800 * time.Millisecond)
	a.n.mu.Lock()
	key, until := c.key, c.keyUntil
	a.n.mu.Unlock()
	wanted := field(a.config, "certificateKey")
	switch {
	case wanted == "" && a.h.Exists(pki+"ca.key"):
	case key == "" || a.h.Now().After(until):
		return a.Fail(`error execution phase control-plane-prepare/download-certs: error downloading certs: error downloading the secret: Secret "kubeadm-certs" was not found in the "kube-system" Namespace. This Secret might have expired.`)
	case key != wanted:
		return a.Fail("error execution phase control-plane-prepare/download-certs: error downloading certs: error decoding secret data with provided key: cipher: message authentication failed")
	}
	for _, image := range imagesOf(c.version, field(c.config, "imageRepository")) {
		a.Pull(host.RuntimeAt(a.socket()), image)
	}
	address, port := a.address()
	if !a.certificates(c) || !a.kubeconfigs(c, net.JoinHostPort(address, port)) {
		return 1
	}
	return 0
}

// learners is the minor version from which kubeadm lets a member of etcd learn before it has a vote.
const learners = 29

// joinEtcd adds a member to etcd, first as a learner, and starts the control plane of this host.
func (a *adm) joinEtcd(c *Cluster) int {
	address, port := a.address()
	if !c.external {
		a.Printf("[etcd] Announced new etcd member joining to the existing etcd cluster\n")
		a.n.mu.Lock()
		another := slices.ContainsFunc(c.members, func(m *member) bool { return m.learner && m.host != a.h })
		a.n.mu.Unlock()
		const fails = "error execution phase control-plane-join/etcd: error creating local etcd static pod manifest file: "
		switch {
		case another && minorOf(c.version) < learners:
			return a.Fail(fails + "etcdserver: unhealthy cluster")
		case another:
			return a.Fail(fails + "etcdserver: too many learner members in cluster")
		}
		a.n.addMember(c, &member{name: a.nodeName(), host: a.h, learner: true})
	}
	if !a.staticPods(c, address, port) {
		return 1
	}
	a.n.setPlane(&plane{cluster: c, host: a.h, port: port, since: a.h.Now()})
	a.Printf("[etcd] Waiting for the new etcd member to join the cluster. This can take up to 40s\n")
	a.Take(6 * time.Second)
	if !c.external {
		if !a.wait(c.endpoint, 40*time.Second) {
			return a.Fail("error execution phase control-plane-join/etcd: can only promote a learner member which is in sync with leader")
		}
		a.n.addMember(c, &member{name: a.nodeName(), host: a.h})
	}
	a.Printf("[mark-control-plane] Marking the node %s as control-plane\n", a.nodeName())
	a.Take(700 * time.Millisecond)
	return 0
}

// reset takes away what kubeadm has made on this host.
func (a *adm) reset() int {
	a.Printf("[reset] Running reset\n")
	a.Take(2 * time.Second)
	if p := a.n.planeOf(a.h.Name); p != nil {
		a.leaveEtcd(p)
		a.n.mu.Lock()
		delete(a.n.planes, a.h.Name)
		a.n.mu.Unlock()
	}
	a.h.Stop("kubelet")
	for _, name := range []string{"admin.conf", "super-admin.conf", "kubelet.conf", "bootstrap-kubelet.conf", "controller-manager.conf", "scheduler.conf"} {
		_ = a.h.Unlink(kubernetesDir + name)
	}
	for _, dir := range []string{pki, manifests, "/var/lib/kubelet/", "/var/lib/etcd/"} { // their contents; they stay
		entries, _ := a.h.List(dir)
		for _, e := range entries {
			_ = a.h.Unlink(dir + e.Name)
		}
	}
	a.Take(1500 * time.Millisecond)
	return 0
}

// leaveEtcd takes the member of this host out of etcd, where that is possible.
func (a *adm) leaveEtcd(p *plane) {
	c := p.cluster
	a.n.mu.Lock()
	mine := slices.IndexFunc(c.members, func(m *member) bool { return m.host == a.h })
	last := len(c.members) == 1
	a.n.mu.Unlock()
	if mine < 0 || last {
		return
	}
	if s := a.n.server(a.h, c.endpoint); s == nil || !a.n.healthy(s) {
		a.Printf("[reset] Failed to remove etcd member: the API does not answer\n")
		return
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(m *member) bool { return m.host == a.h })
}
