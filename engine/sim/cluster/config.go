package cluster

import (
	"fmt"
	"strings"
	"time"
)

// configure reads the configuration of a call: of its file, or made of its flags. It returns an exit code.
func (a *adm) configure() int {
	file := a.flags["--config"]
	if file == "" {
		a.config = a.fromFlags()
		return 0
	}
	if a.config = a.h.Text(file); a.config == "" {
		return a.Fail("unable to read config from %q: open %s: no such file or directory", file, file)
	}
	minor := minorOf(versionOf(a.h, "kubeadm"))
	for _, doc := range strings.Split(a.config, "\n---\n") {
		api, ok := strings.CutPrefix(field(doc, "apiVersion"), "kubeadm.k8s.io/")
		if !ok {
			continue
		}
		if first, last, known := configAPI(api); !known || minor < first {
			return a.Fail("no kind %q is registered for version \"kubeadm.k8s.io/%s\" in scheme", field(doc, "kind"), api)
		} else if minor > last {
			return a.Fail("your configuration file uses an old API spec: \"kubeadm.k8s.io/%s\" (kind: %q). Please use kubeadm v1.%d instead and run 'kubeadm config migrate --old-config old.yaml --new-config new.yaml', which will write the new, similar spec using a newer API version.",
				api, field(doc, "kind"), last)
		}
	}
	wanted := minorOf(field(documentOf(a.config, "ClusterConfiguration"), "kubernetesVersion"))
	if wanted > 0 && wanted < minor-1 {
		return a.Fail("this version of kubeadm only supports deploying clusters with the control plane version >= 1.%d.0. Current version: %s", minor-1, a.version())
	}
	return 0
}

// configAPI says which minor versions of kubeadm read a version of its configuration.
func configAPI(api string) (first, last int, known bool) {
	const newest = 1 << 10
	switch api {
	case "v1alpha2":
		return 11, 12, true
	case "v1alpha3":
		return 12, 14, true
	case "v1beta1":
		return 13, 21, true
	case "v1beta2":
		return 15, 26, true
	case "v1beta3":
		return 22, 35, true
	case "v1beta4":
		return 31, newest, true
	}
	return 0, 0, false
}

// fromFlags is the configuration that the flags of a call stand for; "" where there are none of it.
func (a *adm) fromFlags() string {
	var b strings.Builder
	for _, f := range []struct{ flag, line string }{
		{"endpoint", "apiServerEndpoint"}, {"--token", "token"}, {"--discovery-token-ca-cert-hash", "caCertHashes"}, {"--cri-socket", "criSocket"},
		{"--certificate-key", "certificateKey"}, {"--apiserver-advertise-address", "advertiseAddress"},
	} {
		if v := a.flags[f.flag]; v != "" {
			fmt.Fprintf(&b, "%s: %s\n", f.line, v)
		}
	}
	if _, control := a.flags["--control-plane"]; control {
		b.WriteString("controlPlane:\n")
	}
	text := b.String()
	b.Reset()
	for _, f := range []struct{ flag, line string }{
		{"--kubernetes-version", "kubernetesVersion"}, {"--image-repository", "imageRepository"}, {"--pod-network-cidr", "podSubnet"},
		{"--service-cidr", "serviceSubnet"}, {"--control-plane-endpoint", "controlPlaneEndpoint"},
	} {
		if v := a.flags[f.flag]; v != "" {
			fmt.Fprintf(&b, "%s: %s\n", f.line, v)
		}
	}
	if b.Len() == 0 {
		return text
	}
	return text + "---\nkind: ClusterConfiguration\n" + b.String()
}

// firstToken is the one that kubeadm init makes, for 24 hours unless its configuration says otherwise.
func (a *adm) firstToken(c *Cluster) {
	doc := documentOf(a.config, "InitConfiguration")
	life, err := time.ParseDuration(field(doc, "ttl"))
	if err != nil || life == 0 {
		life = 24 * time.Hour
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	token := c.mint(a.n.seed, field(doc, "token"), a.h.Now().Add(life))
	a.Printf("kubeadm join %s --token %s \\\n\t--discovery-token-ca-cert-hash %s\n", c.endpoint, token, c.hash)
	if _, upload := a.flags["--upload-certs"]; upload {
		c.key, c.keyUntil = first(field(a.config, "certificateKey"), fmt.Sprintf("%064x", a.n.seed+uint64(c.minted))), a.h.Now().Add(certificatesLive)
	}
}
