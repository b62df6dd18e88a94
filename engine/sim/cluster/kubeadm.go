package cluster

import (
	"fmt"
	"maps"
	"path"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

const (
	kubernetesDir = "/etc/kubernetes/"
	pki           = kubernetesDir + "pki/"
	manifests     = kubernetesDir + "manifests/"
)

// Programs are the programs that need the network: kubeadm and kubectl.
func (n *Network) Programs() map[string]host.Program {
	return map[string]host.Program{"kubeadm": n.kubeadm, "kubectl": n.kubectl, "kubelet": n.kubelet, "minikube": n.minikube}
}

func (n *Network) kubelet(p *host.Proc) int {
	if len(p.Args) == 1 && p.Args[0] == "--version" {
		p.Printf("Kubernetes v%s\n", versionOf(p.Host, "kubelet"))
		return 0
	}
	return p.Unknown()
}

func versionOf(h *host.Host, name string) string {
	v, _, _ := strings.Cut(h.Installed(name), "-")
	return v
}

// adm is one call of kubeadm.
type adm struct {
	*host.Proc
	n      *Network
	h      *host.Host
	flags  map[string]string
	config string
}

func (n *Network) kubeadm(p *host.Proc) int {
	flags, words := p.Flags("--config", "--kubeconfig", "--ttl", "-o", "--output", "--kubernetes-version", "--image-repository", "--cri-socket", "--certificate-key",
		"--token", "--node-name", "--apiserver-advertise-address", "--pod-network-cidr", "--service-cidr", "--discovery-token-ca-cert-hash", "--control-plane-endpoint")
	a := &adm{Proc: p, n: n, h: p.Host, flags: flags}
	if len(words) == 2 && words[0] == "join" {
		flags["endpoint"], words = words[1], words[:1]
	}
	if code := a.configure(); code != 0 {
		return code
	}
	if len(words) == 0 {
		return p.Unknown()
	}
	if verb := words[0]; verb == "init" || verb == "join" || verb == "reset" || flags["--config"] != "" && verb != "config" {
		if why := a.sockets(); why != "" {
			return p.Fail("%s", why)
		}
	}
	return a.carryOut(words)
}

// carryOut is the command that words name.
func (a *adm) carryOut(words []string) int {
	switch strings.Join(words, " ") {
	case "version":
		a.Printf("v%s\n", versionOf(a.h, "kubeadm"))
		return 0
	case "config images list":
		return a.images()
	case "config images pull":
		for _, image := range imagesOf(a.flags["--kubernetes-version"], a.flags["--image-repository"]) {
			a.Pull(host.RuntimeAt(a.socket()), image)
		}
		return 0
	case "init":
		return a.init()
	case "join":
		return a.join()
	case "reset":
		return a.reset()
	case "token create":
		return a.token()
	case "init phase upload-certs":
		return a.uploadCerts()
	case "certs renew all", "alpha certs renew all", "alpha phase certs renew all":
		return a.renew(words[0] == "alpha")
	case "upgrade node":
		return a.upgradeNode()
	}
	if len(words) == 3 && words[0] == "upgrade" && words[1] == "apply" {
		return a.upgrade("v" + strings.TrimPrefix(words[2], "v"))
	}
	return a.Unknown()
}

func (a *adm) images() int {
	a.Take(200 * time.Millisecond)
	for _, image := range imagesOf(a.flags["--kubernetes-version"], a.flags["--image-repository"]) {
		a.Printf("%s\n", image)
	}
	return 0
}

// imagesOf are the images of a control plane.
func imagesOf(version, repository string) []string {
	version = "v" + strings.TrimPrefix(version, "v")
	minor := minorOf(version)
	own := repository == ""
	switch {
	case own && minor < 25:
		repository = "k8s.gcr.io"
	case own:
		repository = "registry.k8s.io"
	}
	pause := "3.1"
	for _, step := range []struct {
		from int
		tag  string
	}{{18, "3.2"}, {21, "3.4.1"}, {22, "3.5"}, {23, "3.6"}, {24, "3.7"}, {25, "3.8"}, {26, "3.9"}, {31, "3.10"}, {34, "3.10.1"}, {36, "3.10.2"}} {
		if minor >= step.from {
			pause = step.tag
		}
	}
	var out []string
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		out = append(out, repository+"/"+name+":"+version)
	}
	dns := repository + "/coredns:v1.11.1"
	if own && minor >= 21 || repository == "registry.k8s.io" {
		dns = repository + "/coredns/coredns:v1.11.1"
	}
	return append(out, dns, repository+"/pause:"+pause, repository+"/etcd:3.5.12-0")
}

func (a *adm) version() string {
	if v := field(a.config, "kubernetesVersion"); v != "" {
		return v
	}
	return "v" + versionOf(a.h, "kubeadm")
}

// write puts files there; it fails with what kubeadm says.
func (a *adm) write(files map[string]string) bool {
	for _, name := range sorted(files) {
		var err error
		for _, private := range []string{pki, pki + "etcd/", "/var/lib/etcd/"} {
			if err == nil && strings.HasPrefix(name, private) {
				err = a.h.Mkdir(path.Clean(private), 0o700)
			}
		}
		if err == nil {
			err = a.h.Write(name, files[name], 0o600)
		}
		if err != nil {
			a.Errorf("error execution phase: could not write %s: %v\n", name, err)
			return false
		}
	}
	return true
}

// certificates writes those of a control plane.
func (a *adm) certificates(c *Cluster) bool {
	a.Printf("[certs] Using certificateDir folder \"/etc/kubernetes/pki\"\n")
	a.Take(2500 * time.Millisecond)
	leaf, err := c.leaf(a.h.Now())
	if err != nil {
		return false
	}
	files := map[string]string{pki + "ca.crt": c.ca, pki + "etcd/ca.crt": c.ca, pki + "front-proxy-ca.crt": c.ca, pki + "sa.pub": "simulated\n"}
	for _, name := range []string{"ca.key", "sa.key", "front-proxy-ca.key", "apiserver.key", "apiserver-kubelet-client.key", "apiserver-etcd-client.key",
		"front-proxy-client.key", "etcd/ca.key", "etcd/peer.key", "etcd/server.key", "etcd/healthcheck-client.key"} {
		files[pki+name] = "simulated key\n"
	}
	for _, name := range leaves() {
		files[pki+name] = leaf
	}
	if c.external { // its certificates were brought
		maps.DeleteFunc(files, func(name, _ string) bool {
			return strings.HasPrefix(name, pki+"etcd/") || strings.HasPrefix(name, pki+"apiserver-etcd-client.")
		})
	}
	return a.write(files)
}

// kubeconfigs writes those of a control plane.
func (a *adm) kubeconfigs(c *Cluster, address string) bool {
	a.Printf("[kubeconfig] Using kubeconfig folder \"/etc/kubernetes\"\n")
	a.Take(800 * time.Millisecond)
	files := map[string]string{kubernetesDir + "admin.conf": c.kubeconfig(c.endpoint, "kubernetes-admin")}
	for _, name := range []string{"controller-manager", "scheduler"} {
		files[kubernetesDir+name+".conf"] = c.kubeconfig(address, name)
	}
	return a.write(files)
}

// staticPods writes the manifests of a control plane.
func (a *adm) staticPods(c *Cluster, address, port string) bool {
	a.Printf("[control-plane] Using manifest folder \"/etc/kubernetes/manifests\"\n")
	a.Take(400 * time.Millisecond)
	files := map[string]string{}
	for i, image := range imagesOf(c.version, field(c.config, "imageRepository"))[:3] {
		name := []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}[i]
		text := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\nspec:\n  containers:\n  - command:\n    - " + name + "\n"
		if i == 0 {
			text += fmt.Sprintf("    - --advertise-address=%s\n    - --secure-port=%s\n", address, port)
		}
		files[manifests+name+".yaml"] = text + "    image: " + image + "\n"
	}
	if !c.external {
		files[manifests+"etcd.yaml"] = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: etcd\n"
		files["/var/lib/etcd/member/snap/db"] = "simulated\n"
	}
	return a.write(files)
}

// startKubelet writes its configuration and starts it.
func (a *adm) startKubelet(c *Cluster) bool {
	a.Printf("[kubelet-start] Starting the kubelet\n")
	files := map[string]string{
		"/var/lib/kubelet/config.yaml":       "kind: KubeletConfiguration\ncgroupDriver: " + c.cgroups + "\n",
		"/var/lib/kubelet/kubeadm-flags.env": "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix://" + a.socket() + "\"\n",
	}
	if !a.write(files) {
		return false
	}
	a.Take(700 * time.Millisecond)
	a.h.Start("kubelet")
	return true
}

func (a *adm) token() int {
	a.Take(300 * time.Millisecond)
	c, code := a.api(a.flags["--kubeconfig"])
	if c == nil {
		return code
	}
	ttl := a.flags["--ttl"]
	if t := field(documentOf(a.config, "InitConfiguration"), "ttl"); t != "" {
		ttl = t
	}
	life, err := time.ParseDuration(ttl)
	if err != nil || life == 0 {
		life = 24 * time.Hour
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	token := c.mint(a.n.seed, "", a.h.Now().Add(life))
	if _, join := a.flags["--print-join-command"]; join {
		a.Printf("kubeadm join %s --token %s --discovery-token-ca-cert-hash %s\n", c.endpoint, token, c.hash)
		return 0
	}
	a.Printf("%s\n", token)
	return 0
}

// certificatesLive is how long uploaded certificates stay in the cluster.
const certificatesLive = 2 * time.Hour

func (a *adm) uploadCerts() int {
	a.Take(500 * time.Millisecond)
	c, code := a.api(kubernetesDir + "admin.conf")
	if c == nil {
		return code
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	c.key, c.keyUntil = field(a.config, "certificateKey"), a.h.Now().Add(certificatesLive)
	a.Printf("[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n")
	return 0
}

// api finds the cluster behind a kubeconfig, or says why it does not answer.
func (a *adm) api(kubeconfig string) (*Cluster, int) {
	c, why := a.n.ask(a.h, a.h.Text(kubeconfig), "")
	if c == nil {
		return nil, a.Fail("%s", why)
	}
	return c, 0
}
