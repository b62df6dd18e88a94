package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// object is what the API gives out.
type object struct {
	kind, group, ns, name string
	labels                map[string]string
	onNode                string // of a pod
	data                  map[string]any
	applied               time.Time
	text                  string // as it was applied
}

func (o *object) ref() string {
	kind := strings.ToLower(o.kind)
	if o.group != "" {
		kind += "." + o.group
	}
	return kind + "/" + o.name
}

// state is what kubectl get says of the object, in a word or two.
func (o *object) state() string {
	status, _ := o.data["status"].(map[string]any)
	switch o.kind {
	case "Node":
		role := "<none>"
		if _, control := o.labels["node-role.kubernetes.io/control-plane"]; control {
			role = "control-plane"
		}
		ready := "NotReady"
		if conditions, _ := status["conditions"].([]any); len(conditions) > 0 && conditions[0].(map[string]any)["status"] == "True" {
			ready = "Ready"
		}
		if spec, _ := o.data["spec"].(map[string]any); spec["unschedulable"] == true {
			ready += ",SchedulingDisabled"
		}
		info, _ := status["nodeInfo"].(map[string]any)
		return fmt.Sprint(ready, "   ", role, "   ", info["kubeletVersion"])
	case "Pod":
		return fmt.Sprint(status["phase"])
	case "DaemonSet":
		return fmt.Sprint(status["numberReady"], "/", status["desiredNumberScheduled"])
	case "Deployment", "StatefulSet":
		return fmt.Sprint(status["readyReplicas"], "/", status["replicas"])
	}
	return "Active"
}

// kindOf is the kind that a word of kubectl means.
func kindOf(word string) string {
	word, _, _ = strings.Cut(strings.ToLower(word), ".")
	for _, k := range []string{"Node", "Pod", "ConfigMap", "Secret", "Namespace", "DaemonSet", "Deployment", "StatefulSet", "Service", "ServiceAccount",
		"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "PodDisruptionBudget"} {
		lower := strings.ToLower(k)
		if word == lower || word == lower+"s" {
			return k
		}
	}
	short := map[string]string{"no": "Node", "po": "Pod", "cm": "ConfigMap", "ns": "Namespace", "ds": "DaemonSet", "deploy": "Deployment", "sts": "StatefulSet",
		"svc": "Service", "sa": "ServiceAccount", "crd": "CustomResourceDefinition", "pdb": "PodDisruptionBudget"}
	if k := short[word]; k != "" {
		return k
	}
	return word
}

func namespaced(kind string) bool {
	return !slices.Contains([]string{"Node", "Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "PriorityClass", "StorageClass"}, kind)
}

// object finds one object.
func (n *Network) object(c *Cluster, kind, ns, name string) *object {
	if !namespaced(kind) {
		ns = ""
	}
	switch kind {
	case "Node":
		n.mu.Lock()
		x := c.nodes[name]
		n.mu.Unlock()
		if x == nil {
			return nil
		}
		return n.nodeObject(c, x)
	case "Namespace":
		n.mu.Lock()
		defer n.mu.Unlock()
		if !c.namespaces[name] {
			return nil
		}
		return &object{kind: kind, name: name, data: map[string]any{"kind": kind, "metadata": map[string]any{"name": name}}}
	case "Pod":
		for _, o := range n.pods(c, ns) {
			if o.name == name {
				return o
			}
		}
		return nil
	}
	n.mu.Lock()
	o := c.objects[kind+"/"+ns+"/"+name]
	n.mu.Unlock()
	return n.withStatus(c, o)
}

// list finds all objects of a kind; namespace * is all.
func (n *Network) list(c *Cluster, kind, ns string) []*object {
	switch kind {
	case "Node":
		var out []*object
		for _, x := range n.nodes(c) {
			out = append(out, n.nodeObject(c, x))
		}
		return out
	case "Pod":
		return n.pods(c, ns)
	}
	n.mu.Lock()
	var stored []*object
	for _, key := range sorted(c.objects) {
		if o := c.objects[key]; o.kind == kind && (ns == "*" || o.ns == ns || o.ns == "") {
			stored = append(stored, o)
		}
	}
	n.mu.Unlock()
	for i, o := range stored {
		stored[i] = n.withStatus(c, o)
	}
	return stored
}

func (n *Network) nodes(c *Cluster) []*node {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*node, 0, len(c.nodes))
	for _, name := range sorted(c.nodes) {
		out = append(out, c.nodes[name])
	}
	return out
}

// nodeObject is a node as the API shows it.
func (n *Network) nodeObject(c *Cluster, x *node) *object {
	status, message := "True", "kubelet is posting ready status"
	switch {
	case !n.kubeletUp(x):
		status, message = "Unknown", "Kubelet stopped posting node status."
	case !n.networked(c, x):
		status, message = "False", "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
	}
	version := kubeletVersion(x)
	taints := []any{}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range x.taints {
		taints = append(taints, map[string]any{"key": t.Key, "value": t.Value, "effect": t.Effect})
	}
	labels := map[string]any{}
	for k, v := range x.labels {
		labels[k] = v
	}
	return &object{kind: "Node", name: x.name, labels: x.labels, data: map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": x.name, "labels": labels},
		"spec": map[string]any{"unschedulable": x.unschedulable, "taints": taints},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status, "message": message}},
			"nodeInfo": map[string]any{"kubeletVersion": version}},
	}}
}

// kubeletVersion is that of the kubelet that runs: a package that came after its start changes nothing.
func kubeletVersion(x *node) string {
	if _, v, ok := strings.Cut(x.host.StartedWith("kubelet"), "version "); ok {
		return "v" + strings.TrimSpace(v)
	}
	return x.version
}

func (n *Network) kubeletUp(x *node) bool {
	on, _ := x.host.Active("kubelet")
	return on && !n.Down(x.host.Name)
}

// networked tells whether the network of a node is set up: by a file that somebody has put there, or by a DaemonSet.
func (n *Network) networked(c *Cluster, x *node) bool {
	if files, err := x.host.List("/etc/cni/net.d"); err == nil && len(files) > 0 {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range c.objects {
		if o.kind == "DaemonSet" && strings.Contains(o.text, "/etc/cni/net.d") && c.runsOn(o, x) && !x.host.Now().Before(podReady(o, x).Add(2*time.Second)) {
			return true
		}
	}
	return false
}

// runsOn tells whether the pod of a DaemonSet gets ready on a node at all. flannel looks for br_netfilter, and for a
// network of the node's pods that lies in its own. Network.mu is held.
func (c *Cluster) runsOn(o *object, x *node) bool {
	if o == nil || !strings.Contains(o.text, "flannel") {
		return true
	}
	pods := field(c.config, "podSubnet")
	subnet, err := netip.ParsePrefix(strings.Split(pods, ",")[0])
	config := c.objects["ConfigMap/"+o.ns+"/kube-flannel-cfg"]
	if err != nil || config == nil || !x.host.Exists("/proc/sys/net/bridge/bridge-nf-call-iptables") {
		return false
	}
	data, _ := config.data["data"].(map[string]any)
	text, _ := data["net-conf.json"].(string)
	var network struct{ Network netip.Prefix }
	return json.Unmarshal([]byte(text), &network) == nil && network.Network.Contains(subnet.Addr()) && network.Network.Bits() <= subnet.Bits()
}

// podReady is when the pod of a DaemonSet is ready on a node.
func podReady(o *object, x *node) time.Time {
	from := o.applied
	if x.joined.After(from) {
		from = x.joined
	}
	spread := time.Duration(len(x.name)*37+int(x.name[len(x.name)-1])*53) * time.Millisecond
	return from.Add(18*time.Second + spread%(6*time.Second))
}

// addons are what kubeadm puts into a new cluster.
func (n *Network) addons(c *Cluster, now time.Time) {
	put := func(kind, group, ns, name string, data map[string]any) {
		data["kind"] = kind
		data["metadata"] = map[string]any{"name": name, "namespace": ns, "generation": 1}
		c.objects[kind+"/"+ns+"/"+name] = &object{kind: kind, group: group, ns: ns, name: name, data: data, applied: now}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	put("ConfigMap", "", "kube-system", "kubeadm-config", map[string]any{"data": map[string]any{"ClusterConfiguration": c.config}})
	put("ConfigMap", "", "kube-system", "kubelet-config", map[string]any{})
	put("ConfigMap", "", "kube-system", "kube-proxy", map[string]any{})
	put("ConfigMap", "", "kube-public", "cluster-info", map[string]any{})
	put("DaemonSet", "apps", "kube-system", "kube-proxy", map[string]any{"spec": map[string]any{}})
	put("Deployment", "apps", "kube-system", "coredns", map[string]any{"spec": map[string]any{"replicas": 2}})
}

// apply takes objects over from standard input or a file.
func (k *ctl) apply() int {
	items, code := k.input()
	for _, it := range items {
		k.Take(30 * time.Millisecond)
		if c := k.put(it); c != 0 {
			code = c
		}
	}
	return code
}

func (k *ctl) put(it *object) int {
	n := k.n
	now := k.Host.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if it.kind == "Namespace" {
		k.c.namespaces[it.name] = true
	}
	if it.ns != "" && !k.c.namespaces[it.ns] {
		return k.Fail("Error from server (NotFound): namespaces %q not found", it.ns)
	}
	key := it.kind + "/" + it.ns + "/" + it.name
	have := k.c.objects[key]
	verb := "created"
	it.applied = now
	if have != nil {
		verb = "configured"
		if have.text == it.text {
			verb, it.applied = "unchanged", have.applied
		}
	}
	k.c.objects[key] = it
	k.Printf("%s %s\n", it.ref(), verb)
	return 0
}

// input reads the objects that are applied.
func (k *ctl) input() ([]*object, int) {
	if first(k.flags["-f"], k.flags["--filename"]) != "-" {
		return nil, k.Unknown()
	}
	var list struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(k.Stdin()), &list); err != nil {
		return nil, k.Fail("error: unable to decode \"STDIN\": %v", err)
	}
	var out []*object
	for _, data := range list.Items {
		meta, _ := data["metadata"].(map[string]any)
		text, _ := json.Marshal(data)
		o := &object{kind: fmt.Sprint(data["kind"]), data: data, text: string(text)}
		o.name, _ = meta["name"].(string)
		if o.ns, _ = meta["namespace"].(string); o.ns == "" {
			o.ns = k.ns
		}
		if !namespaced(o.kind) || strings.HasPrefix(o.kind, "Cluster") {
			o.ns = ""
		}
		if api, _ := data["apiVersion"].(string); strings.Contains(api, "/") {
			o.group, _, _ = strings.Cut(api, "/")
		}
		out = append(out, o)
	}
	return out, 0
}

// diff says which objects differ from what was applied.
func (k *ctl) diff() int {
	items, code := k.input()
	if code != 0 {
		return code
	}
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	for _, it := range items {
		have := k.c.objects[it.kind+"/"+it.ns+"/"+it.name]
		if have != nil && have.text == it.text {
			continue
		}
		code = 1
		file := fmt.Sprintf("v1.%s.%s.%s", it.kind, it.ns, it.name)
		k.Printf("diff -u -N /tmp/LIVE/%s /tmp/MERGED/%s\n--- /tmp/LIVE/%s\n+++ /tmp/MERGED/%s\n@@ -0,0 +1 @@\n+kind: %s\n", file, file, file, file, it.kind)
	}
	return code
}
