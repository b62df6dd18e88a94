package kubeadm

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// configAPI is the version of kubeadm's configuration API for a version of Kubernetes: the newest it reads that the
// previous minor version can read too, so that kubeadm may be one minor version ahead.
//
//	1.11 v1alpha2   1.12 v1alpha3 (kubernetes#69055)   1.13, 1.14 v1beta1 (kubeadm#1296)   1.15-1.21 v1beta2 (kubernetes#107013)
//	1.22-1.30 v1beta3 (kubeadm#2459)   1.31 and later v1beta4 (kubernetes#125029)
func configAPI(v kube.Version) (string, error) {
	switch {
	case v.Major != 1 || v.Minor < 11:
		return "", task.Failf("Kubernetes %s: kubeadm before 1.11 is not supported", v)
	case v.Minor == 11:
		return "v1alpha2", nil
	case v.Minor == 12:
		return "v1alpha3", nil
	case v.Minor <= 14:
		return "v1beta1", nil
	case v.Minor <= 21:
		return "v1beta2", nil
	case v.Minor <= 30:
		return "v1beta3", nil
	}
	return "v1beta4", nil
}

// head is the start of a document.
func head(api, kind string) map[string]any {
	return map[string]any{"apiVersion": "kubeadm.k8s.io/" + api, "kind": kind}
}

// document writes documents as YAML: the same text for the same parameters.
func document(docs ...map[string]any) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	for _, d := range docs {
		if err := e.Encode(d); err != nil {
			return "", fmt.Errorf("kubeadm configuration: %w", err)
		}
	}
	return b.String(), e.Close()
}

// set sets a text unless it is empty.
func set(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

// section sets a map unless it is empty.
func section(m map[string]any, key string, value map[string]any) {
	if len(value) > 0 {
		m[key] = value
	}
}

// setArgs sets flags: a map, and from v1beta4 on a list of name and value.
func setArgs(m map[string]any, key string, args map[string]string, v kube.Version) {
	if len(args) == 0 {
		return
	}
	if !v.AtLeast(31) {
		plain := make(map[string]any, len(args))
		for name, value := range args {
			plain[name] = value
		}
		m[key] = plain
		return
	}
	var list []any
	for _, name := range slices.Sorted(maps.Keys(args)) {
		list = append(list, map[string]any{"name": name, "value": args[name]})
	}
	m[key] = list
}

// documents are the configuration of kubeadm init.
func (p *Init) documents(h task.Host, v kube.Version) ([]map[string]any, error) {
	api, err := configAPI(v)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(api, "v1alpha") {
		return p.alphaDocuments(h, v, api), nil
	}
	init := head(api, "InitConfiguration")
	section(init, "localAPIEndpoint", p.localEndpoint())
	init["nodeRegistration"] = p.registration(h, v)
	if t := p.TimeoutForControlPlane; t != 0 && v.AtLeast(31) {
		init["timeouts"] = map[string]any{"controlPlaneComponentHealthCheck": t.D().String()}
	}
	cluster := head(api, "ClusterConfiguration")
	p.common(cluster, v)
	apiServer := map[string]any{}
	if len(p.CertSANs) > 0 {
		apiServer["certSANs"] = []string(p.CertSANs)
	}
	if t := p.TimeoutForControlPlane; t != 0 && !v.AtLeast(31) {
		apiServer["timeoutForControlPlane"] = t.D().String()
	}
	controllers, scheduler := map[string]any{}, map[string]any{}
	setArgs(apiServer, "extraArgs", p.ExtraArgs.APIServer, v)
	setArgs(controllers, "extraArgs", p.ExtraArgs.ControllerManager, v)
	setArgs(scheduler, "extraArgs", p.ExtraArgs.Scheduler, v)
	section(cluster, "apiServer", apiServer)
	section(cluster, "controllerManager", controllers)
	section(cluster, "scheduler", scheduler)
	docs := []map[string]any{merge(init, p.InitConfiguration), merge(cluster, p.ClusterConfiguration)}
	return append(docs, p.componentDocuments()...), nil
}

// componentDocuments are the configurations of kubelet and kube-proxy.
func (p *Init) componentDocuments() []map[string]any {
	var docs []map[string]any
	if len(p.Kubelet) > 0 {
		docs = append(docs, merge(map[string]any{"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}, p.Kubelet))
	}
	if len(p.KubeProxy) > 0 {
		docs = append(docs, merge(map[string]any{"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}, p.KubeProxy))
	}
	return docs
}

// common are the fields of ClusterConfiguration that have been the same since 1.11.
func (p *Init) common(cluster map[string]any, v kube.Version) {
	cluster["kubernetesVersion"] = v.String()
	set(cluster, "controlPlaneEndpoint", p.ControlPlaneEndpoint)
	set(cluster, "imageRepository", p.ImageRepository)
	set(cluster, "clusterName", p.ClusterName)
	set(cluster, "certificatesDir", p.CertificatesDir)
	network := map[string]any{}
	set(network, "serviceSubnet", strings.Join(p.ServiceSubnet, ","))
	set(network, "podSubnet", strings.Join(p.PodSubnet, ","))
	set(network, "dnsDomain", p.DNSDomain)
	section(cluster, "networking", network)
	section(cluster, "etcd", p.etcd(v))
	if len(p.FeatureGates) > 0 {
		cluster["featureGates"] = p.FeatureGates
	}
}

func (p *Init) etcd(v kube.Version) map[string]any {
	if p.Etcd != nil && p.Etcd.External != nil {
		x := p.Etcd.External
		ext := map[string]any{"endpoints": x.Endpoints}
		set(ext, "caFile", x.CAFile)
		set(ext, "certFile", x.CertFile)
		set(ext, "keyFile", x.KeyFile)
		return map[string]any{"external": ext}
	}
	local := map[string]any{}
	if dir := p.Etcd.dataDir(); dir != defaultDataDir {
		local["dataDir"] = dir
	}
	setArgs(local, "extraArgs", p.ExtraArgs.Etcd, v)
	if len(local) == 0 {
		return nil
	}
	return map[string]any{"local": local}
}

func (p *Init) localEndpoint() map[string]any {
	e := map[string]any{}
	set(e, "advertiseAddress", p.AdvertiseAddress)
	if p.BindPort != 0 {
		e["bindPort"] = p.BindPort
	}
	return e
}

// alphaDocuments are the configuration as 1.11 and 1.12 had it.
func (p *Init) alphaDocuments(h task.Host, v kube.Version, api string) []map[string]any {
	cluster := head(api, "ClusterConfiguration")
	p.common(cluster, v)
	setArgs(cluster, "apiServerExtraArgs", p.ExtraArgs.APIServer, v)
	setArgs(cluster, "controllerManagerExtraArgs", p.ExtraArgs.ControllerManager, v)
	setArgs(cluster, "schedulerExtraArgs", p.ExtraArgs.Scheduler, v)
	if len(p.CertSANs) > 0 {
		cluster["apiServerCertSANs"] = []string(p.CertSANs)
	}
	if api == "v1alpha3" {
		init := head(api, "InitConfiguration")
		section(init, "apiEndpoint", p.localEndpoint())
		init["nodeRegistration"] = p.registration(h, v)
		docs := []map[string]any{merge(init, p.InitConfiguration), merge(cluster, p.ClusterConfiguration)}
		return append(docs, p.componentDocuments()...)
	}
	endpoint := p.localEndpoint()
	set(endpoint, "controlPlaneEndpoint", p.ControlPlaneEndpoint)
	delete(cluster, "controlPlaneEndpoint")
	cluster["kind"] = "MasterConfiguration"
	section(cluster, "api", endpoint)
	cluster["nodeRegistration"] = p.registration(h, v)
	if len(p.Kubelet) > 0 {
		cluster["kubeletConfiguration"] = map[string]any{"baseConfig": p.Kubelet}
	}
	if len(p.KubeProxy) > 0 {
		cluster["kubeProxy"] = map[string]any{"config": p.KubeProxy}
	}
	return []map[string]any{merge(merge(cluster, p.ClusterConfiguration), p.InitConfiguration)}
}

// merge puts over on top of m, map by map.
func merge(m, over map[string]any) map[string]any {
	out := maps.Clone(m)
	for key, value := range over {
		below, ok1 := out[key].(map[string]any)
		above, ok2 := value.(map[string]any)
		if ok1 && ok2 {
			value = merge(below, above)
		}
		out[key] = value
	}
	return out
}
