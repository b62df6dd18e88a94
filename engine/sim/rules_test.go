package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sim"
)

// machines are hosts on which kubeadm can work, to try its rules on.
type machines struct {
	*testing.T
	w *sim.World
}

// newMachines makes n hosts, m1 to mN, as the part of the kinds' tests makes them.
func newMachines(t *testing.T, n int) machines {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("m%d", i+1))
	}
	p := openOn(t, "kinds/testdata/lib/containerd.yaml", names)
	m := machines{t, world(1)}
	if r := run(t, sim.NewSession(p, m.w)); r.ended.Exit != 0 {
		t.Fatal(r.failed)
	}
	return m
}

// sh runs a command line on a host; what it says is returned, with whether it succeeded.
func (m machines) sh(host, line string) (string, bool) {
	m.Helper()
	o := ask(m.T, m.w, host, strings.Fields(line)...)
	return o.Stdout + o.Stderr, o.OK()
}

// must is sh for what has to succeed.
func (m machines) must(host, line string) string {
	m.Helper()
	said, ok := m.sh(host, line)
	if !ok {
		m.Fatalf("%s: %s: %s", host, line, said)
	}
	return said
}

// refused is sh for what has to fail, with a text.
func (m machines) refused(host, line, want string) {
	m.Helper()
	if said, ok := m.sh(host, line); ok || !strings.Contains(said, want) {
		m.Errorf("%s: %s: succeeded %v, and does not say %q: %s", host, line, ok, want, said)
	}
}

// init makes a cluster on m1 whose endpoint is that host, and returns the arguments of a join.
func (m machines) init(more string) (join string) {
	m.Helper()
	said := m.must("m1", "kubeadm init --kubernetes-version v1.29.6 --pod-network-cidr 10.244.0.0/16 "+more)
	_, join, ok := strings.Cut(said, "\nkubeadm join ")
	if !ok {
		m.Fatalf("no join command in: %s", said)
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(join, "\\\n", " ")), " ")
}

const endpoint = "--control-plane-endpoint 100.64.1.1:6443"

// TestTokens: a token lives 24 hours unless it is given another time, and nobody joins with one that is over.
func TestTokens(t *testing.T) {
	m := newMachines(t, 4)
	join := m.init("")
	m.w.Pass(23 * time.Hour)
	m.must("m2", "kubeadm join "+join)
	m.w.Pass(2 * time.Hour)
	m.refused("m3", "kubeadm join "+join, "could not find a JWS signature in the cluster-info ConfigMap for token ID")
	short := strings.TrimSpace(m.must("m1", "kubeadm token create --ttl 2h --print-join-command --kubeconfig /etc/kubernetes/admin.conf"))
	wrong := strings.Replace(short, "sha256:", "sha256:0", 1)
	m.refused("m3", wrong, "none of the public keys")
	m.must("m3", short)
	m.w.Pass(2*time.Hour + time.Minute)
	m.refused("m4", short, "could not find a JWS signature")
}

// TestCertificateKeys: certificates stay in the cluster for two hours, and open with their key alone.
func TestCertificateKeys(t *testing.T) {
	m := newMachines(t, 3)
	join := m.init(endpoint+" --upload-certs") + " --control-plane --certificate-key "
	const key = "0000000000000000000000000000000000000000000000000000000000000002" // seed 1, first token
	m.refused("m2", "kubeadm join "+join+strings.Repeat("a", 64), "message authentication failed")
	m.must("m2", "kubeadm reset --force")
	m.w.Pass(119 * time.Minute)
	m.must("m2", "kubeadm join "+join+key)
	m.w.Pass(2 * time.Minute)
	m.refused("m3", "kubeadm join "+join+key, `Secret "kubeadm-certs" was not found`)
}

// TestNoFurtherControlPlane: a cluster without an endpoint of its own takes no second control plane.
func TestNoFurtherControlPlane(t *testing.T) {
	m := newMachines(t, 2)
	join := m.init("--upload-certs")
	m.refused("m2", "kubeadm join "+join+" --control-plane", "doesn't have a stable controlPlaneEndpoint address")
}

// TestInitOnce: kubeadm init does not run over what it has made; after a reset it does, and reset leaves the CNI's files.
func TestInitOnce(t *testing.T) {
	m := newMachines(t, 1)
	m.init("")
	m.refused("m1", "kubeadm init", "[ERROR Port-6443]")
	m.refused("m1", "kubeadm init", "[ERROR FileAvailable--etc-kubernetes-manifests-etcd.yaml]")
	h := m.w.Network.Host("m1")
	if err := h.Write("/etc/cni/net.d/10-flannel.conflist", "{}\n", 0o644); err != nil {
		t.Fatal(err)
	}
	m.must("m1", "kubeadm reset --force")
	if !h.Exists("/etc/cni/net.d/10-flannel.conflist") || h.Exists("/etc/kubernetes/admin.conf") || !h.Exists("/etc/kubernetes/pki") {
		t.Error("reset takes away kubeconfigs and the contents of its directories, and leaves these and the CNI's files")
	}
	m.init("")
}

// TestTwoMembersNeedBoth: with the second control plane the first alone has no quorum any more.
func TestTwoMembersNeedBoth(t *testing.T) {
	m := newMachines(t, 2)
	join := m.init(endpoint + " --upload-certs")
	m.must("m2", "kubeadm join "+join+" --control-plane --certificate-key 0000000000000000000000000000000000000000000000000000000000000002")
	m.must("m1", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes")
	m.w.Network.SetDown("m2", true)
	m.refused("m1", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes", "etcdserver: request timed out")
	m.w.Network.SetDown("m2", false)
	m.must("m1", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes")
	m.must("m2", "kubeadm reset --force") // takes its member out
	m.must("m1", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes")
}

// TestNamesAreTaken: a machine does not join under the name of one that is ready.
func TestNamesAreTaken(t *testing.T) {
	m := newMachines(t, 2)
	join := m.init("")
	for _, name := range []string{"m1", "m2"} {
		if err := m.w.Network.Host(name).Write("/etc/cni/net.d/10-bridge.conf", "{}\n", 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.must("m2", "hostnamectl set-hostname m1")
	m.refused("m2", "kubeadm join "+join, `a Node with name "m1" and status "Ready" already exists in the cluster`)
}

// TestConfigurationAPIs: each kubeadm reads some versions of its configuration.
func TestConfigurationAPIs(t *testing.T) {
	m := newMachines(t, 1)
	for _, c := range []struct{ api, refused string }{{"v1beta2", "old API spec"}, {"v1beta4", "no kind"}, {"v1beta3", ""}} {
		text := "apiVersion: kubeadm.k8s.io/" + c.api + "\nkind: ClusterConfiguration\nkubernetesVersion: v1.29.6\n"
		if err := m.w.Network.Host("m1").Write("/root/kubeadm.yaml", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if c.refused != "" {
			m.refused("m1", "kubeadm init --config /root/kubeadm.yaml", c.refused)
		} else {
			m.must("m1", "kubeadm init --config /root/kubeadm.yaml")
		}
	}
	m.refused("m1", "kubeadm init --kubernetes-version v1.28.3", "the kubelet version is higher than the control plane version")
}

// TestSockets: with a second runtime every command of kubeadm that looks for one must be told which.
func TestSockets(t *testing.T) {
	m := newMachines(t, 1)
	if err := m.w.Network.Host("m1").Write("/run/cri-dockerd.sock", "", 0o660); err != nil {
		t.Fatal(err)
	}
	m.refused("m1", "kubeadm init", "found multiple CRI endpoints on the host")
	m.refused("m1", "kubeadm init --cri-socket unix:///var/run/cri-dockerd.sock", "[ERROR CRI]")
	m.must("m1", "kubeadm init --cri-socket unix:///run/containerd/containerd.sock")
	m.refused("m1", "kubeadm reset --force", "found multiple CRI endpoints on the host")
}

// TestMinikubeLooksFirst: its driver none brings nothing of what it needs, refuses what is missing, and root on Docker.
func TestMinikubeLooksFirst(t *testing.T) {
	m := newMachines(t, 1)
	h := m.w.Network.Host("m1")
	if err := h.Write("/usr/local/bin/minikube", "simulated minikube version 1.36.0\n", 0o755); err != nil {
		t.Fatal(err)
	}
	m.refused("m1", "minikube start --driver=docker", "DRV_AS_ROOT")
	m.refused("m1", "minikube status", `Profile "minikube" not found`)
	m.refused("m1", "minikube start --driver=none", "PROVIDER_DOCKER_NOT_RUNNING")
	if err := h.Unlink("/usr/bin/conntrack"); err != nil {
		t.Fatal(err)
	}
	m.refused("m1", "minikube start --driver=none", "GUEST_MISSING_CONNTRACK")
}

// TestOneHolder: the virtual address is held by one keepalived, that of the highest priority whose haproxy runs.
func TestOneHolder(t *testing.T) {
	w := world(1)
	if r := run(t, sim.NewSession(open(t, flagship, nil), w)); r.ended.Exit != 0 {
		t.Fatal(r.failed)
	}
	const vip = "192.168.10.240"
	holder := func(want string) {
		t.Helper()
		var holders []string
		for _, name := range []string{"k8s-mn01", "k8s-mn02", "k8s-mn03"} {
			if w.Network.Holds(name, vip) {
				holders = append(holders, name)
			}
		}
		if strings.Join(holders, " ") != want {
			t.Errorf("%v hold the address, not %s", holders, want)
		}
	}
	holder("k8s-mn01")
	ask(t, w, "k8s-mn01", "systemctl", "stop", "haproxy")
	holder("k8s-mn02")
	w.Network.SetDown("k8s-mn02", true)
	holder("k8s-mn03")
	ask(t, w, "k8s-mn01", "systemctl", "start", "haproxy")
	holder("k8s-mn01")
}

// hostsNamed is an inventory of hosts without groups.
func hostsNamed(names []string) func(*playbook.Playbook, *inventory.Inventory) (*inventory.Inventory, diag.List) {
	return func(*playbook.Playbook, *inventory.Inventory) (*inventory.Inventory, diag.List) {
		inv := &inventory.Inventory{File: "simulated"}
		for i, name := range names {
			address := fmt.Sprintf("100.64.1.%d", i+1)
			inv.Hosts = append(inv.Hosts, inventory.Host{Name: name, Address: address, NodeIP: address, Connection: "sim", Vars: map[string]any{}})
		}
		return inv, diag.List{}
	}
}
