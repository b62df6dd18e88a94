package cluster

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

// upgrade brings the cluster, and the control plane of this host, to a version.
func (a *adm) upgrade(want string) int {
	a.Printf("[preflight] Running pre-flight checks.\n")
	c, code := a.api(kubernetesDir + "admin.conf")
	if c == nil {
		return code
	}
	a.Take(3 * time.Second)
	if why := a.misaligned(c, want); why != "" {
		return a.Fail("[upgrade/version] FATAL: the --version argument is invalid due to these fatal errors:\n\n\t- %s\n\nPlease fix the misalignments highlighted above and try upgrading again", why)
	}
	if why := a.n.controlPlanesNotReady(c); why != "" {
		return a.Fail("[preflight] Some fatal errors occurred:\n\t[ERROR ControlPlaneNodesReady]: there are NotReady control-planes in the cluster: %s", why)
	}
	for _, image := range imagesOf(want, field(c.config, "imageRepository")) {
		a.Pull(host.RuntimeAt(a.socket()), image)
	}
	a.n.mu.Lock()
	c.version = want
	a.n.mu.Unlock()
	if code := a.restartPlane(c); code != 0 {
		return code
	}
	a.n.noteVersion(c, want)
	a.Take(4 * time.Second)
	a.Printf("[upgrade/successful] SUCCESS! Your cluster was upgraded to %q. Enjoy!\n", want)
	return 0
}

// misaligned is why a cluster cannot go to a version with this kubeadm; "" where it can.
func (a *adm) misaligned(c *Cluster, want string) string {
	own := "v" + versionOf(a.h, "kubeadm")
	switch is, to := numbers(c.version), numbers(want); {
	case before(numbers(own), to):
		return fmt.Sprintf("Specified version to upgrade to %q is higher than the kubeadm version %q. Upgrade kubeadm first using the tool you used to install kubeadm", want, own)
	case before(to, is):
		return fmt.Sprintf("Specified version to upgrade to %q is lower than the version %q of the cluster", want, c.version)
	case to[1] > is[1]+1:
		return fmt.Sprintf("Specified version to upgrade to %q is too high; kubeadm can upgrade only 1 minor version at a time", want)
	}
	return ""
}

// numbers are those of a version: v1.29.6.
func numbers(version string) (out [3]int) {
	for i, part := range strings.SplitN(strings.TrimPrefix(version, "v"), ".", len(out)) {
		out[i], _ = strconv.Atoi(part)
	}
	return out
}

func before(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// controlPlanesNotReady names them; "" where all are.
func (n *Network) controlPlanesNotReady(c *Cluster) string {
	var names []string
	for _, x := range n.nodes(c) {
		if x.control && (!n.kubeletUp(x) || !n.networked(c, x)) {
			names = append(names, x.name)
		}
	}
	return strings.Join(names, ", ")
}

// restartPlane writes the manifests of this host's control plane in the version of the cluster; its API is away for a while.
func (a *adm) restartPlane(c *Cluster) int {
	p := a.n.planeOf(a.h.Name)
	if p == nil {
		return a.Fail("[upgrade/staticpods] FATAL: this host has no control plane")
	}
	a.Printf("[upgrade/staticpods] Writing new Static Pod manifests to \"/etc/kubernetes/tmp\"\n")
	address := a.h.IP
	if m := regexp.MustCompile(`--advertise-address=(\S+)`).FindStringSubmatch(a.h.Text(manifests + "kube-apiserver.yaml")); m != nil {
		address = m[1]
	}
	a.Take(15 * time.Second)
	if !a.staticPods(c, address, p.port) || !a.kubeletConfig(c) {
		return 1
	}
	a.n.setPlane(&plane{cluster: c, host: a.h, port: p.port, since: a.h.Now()})
	if !a.wait(address+":"+p.port, 5*time.Minute) {
		return a.Fail("[upgrade/apply] FATAL: fatal error when trying to upgrade the control plane: static pod hash for component kube-apiserver on Node %s did not change after 5m0s: timed out waiting for the condition", a.nodeName())
	}
	return 0
}

// kubeletConfig writes the configuration of the kubelet, which reads it when it is restarted.
func (a *adm) kubeletConfig(c *Cluster) bool {
	return a.write(map[string]string{"/var/lib/kubelet/config.yaml": "kind: KubeletConfiguration\ncgroupDriver: " + c.cgroups + "\n"})
}

var versionLine = regexp.MustCompile(`(?m)^kubernetesVersion:.*$`)

// noteVersion keeps the version of a cluster in its configuration.
func (n *Network) noteVersion(c *Cluster, version string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !versionLine.MatchString(c.config) {
		c.config = strings.TrimRight(c.config, "\n") + "\nkubernetesVersion: " + version + "\n"
	}
	c.config = versionLine.ReplaceAllString(c.config, "kubernetesVersion: "+version)
	if o := c.objects["ConfigMap/kube-system/kubeadm-config"]; o != nil {
		o.data = map[string]any{"kind": o.kind, "metadata": o.data["metadata"], "data": map[string]any{"ClusterConfiguration": c.config}}
	}
}

// upgradeNode brings what this host has of the cluster to the version of the cluster.
func (a *adm) upgradeNode() int {
	a.Printf("[upgrade] Reading configuration from the cluster...\n")
	c, code := a.api(kubernetesDir + "kubelet.conf")
	if c == nil {
		return code
	}
	a.Take(1500 * time.Millisecond)
	if p := a.n.planeOf(a.h.Name); p != nil {
		for _, image := range imagesOf(c.version, field(c.config, "imageRepository")) {
			a.Pull(host.RuntimeAt(a.socket()), image)
		}
		if code := a.restartPlane(c); code != 0 {
			return code
		}
	} else if !a.kubeletConfig(c) {
		return 1
	}
	a.Printf("[upgrade] The configuration for this node was successfully updated!\n")
	return 0
}
