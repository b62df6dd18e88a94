package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// withStatus is an object with the status it has by now.
func (n *Network) withStatus(c *Cluster, o *object) *object {
	if o == nil || o.kind != "DaemonSet" && o.kind != "Deployment" && o.kind != "StatefulSet" {
		return o
	}
	now := n.clock.Now()
	nodes := n.nodes(c)
	copied := *o
	copied.data = maps.Clone(o.data)
	meta, _ := o.data["metadata"].(map[string]any)
	meta = maps.Clone(meta)
	meta["generation"] = 1
	copied.data["metadata"] = meta
	status := map[string]any{"observedGeneration": 1}
	if o.kind == "DaemonSet" {
		ready := 0
		for _, x := range nodes {
			if n.podUp(c, o, x, now) {
				ready++
			}
		}
		status["desiredNumberScheduled"], status["updatedNumberScheduled"], status["currentNumberScheduled"] = len(nodes), len(nodes), len(nodes)
		status["numberReady"], status["numberAvailable"] = ready, ready
	} else {
		want := replicas(o)
		ready := 0
		if at, ok := n.scheduled(c, o, nodes); ok && !now.Before(at) {
			ready = want
		}
		status["replicas"], status["updatedReplicas"], status["readyReplicas"], status["availableReplicas"] = want, want, ready, ready
	}
	copied.data["status"] = status
	return &copied
}

// podUp tells whether the pod of a DaemonSet is ready on a node.
func (n *Network) podUp(c *Cluster, o *object, x *node, now time.Time) bool {
	n.mu.Lock()
	runs := c.runsOn(o, x)
	n.mu.Unlock()
	return runs && !now.Before(podReady(o, x)) && n.kubeletUp(x)
}

func replicas(o *object) int {
	spec, _ := o.data["spec"].(map[string]any)
	switch r := spec["replicas"].(type) {
	case float64:
		return int(r)
	case int:
		return r
	}
	return 1
}

// scheduled is when the pods of a deployment are ready: a while after the first node is; those on the network of the
// host need no network of pods.
func (n *Network) scheduled(c *Cluster, o *object, nodes []*node) (time.Time, bool) {
	hostNetwork := strings.Contains(o.text, `"hostNetwork":true`)
	var best time.Time
	found := false
	for _, x := range nodes {
		if x.unschedulable || !n.kubeletUp(x) || !hostNetwork && !n.networked(c, x) {
			continue
		}
		at := x.joined.Add(time.Second)
		if !hostNetwork {
			at = n.netReady(c, x)
		}
		if at.Before(o.applied) {
			at = o.applied
		}
		if !found || at.Before(best) {
			best, found = at, true
		}
	}
	return best.Add(9 * time.Second), found
}

// netReady is when the network of a node was set up.
func (n *Network) netReady(c *Cluster, x *node) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range c.objects {
		if o.kind == "DaemonSet" && strings.Contains(o.text, "/etc/cni/net.d") {
			return podReady(o, x)
		}
	}
	return x.joined
}

// pods are the pods of a namespace; * is all.
func (n *Network) pods(c *Cluster, ns string) []*object {
	now := n.clock.Now()
	nodes := n.nodes(c)
	var out []*object
	add := func(ns, name, component, on, owner string, ready bool) {
		out = append(out, podObject(ns, name, component, on, owner, ready))
	}
	if ns == "*" || ns == "kube-system" {
		for _, x := range nodes {
			if !x.control {
				continue
			}
			p := n.planeOf(x.host.Name)
			for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
				if component != "etcd" || !c.external {
					add("kube-system", component+"-"+x.name, component, x.name, "Node", p != nil && n.up(p))
				}
			}
		}
	}
	n.mu.Lock()
	var loads []*object
	for _, key := range sorted(c.objects) {
		if o := c.objects[key]; (ns == "*" || o.ns == ns) && slices.Contains([]string{"DaemonSet", "Deployment", "StatefulSet"}, o.kind) {
			loads = append(loads, o)
		}
	}
	n.mu.Unlock()
	for _, o := range loads {
		if o.kind == "DaemonSet" {
			for _, x := range nodes {
				add(o.ns, o.name+"-"+x.name, o.name, x.name, o.kind, n.podUp(c, o, x, now))
			}
			continue
		}
		at, ok := n.scheduled(c, o, nodes)
		for i := range replicas(o) {
			add(o.ns, fmt.Sprintf("%s-%d", o.name, i), o.name, "", "ReplicaSet", ok && !now.Before(at))
		}
	}
	return out
}

func podObject(ns, name, component, on, owner string, ready bool) *object {
	phase, state := "Pending", "False"
	if ready {
		phase, state = "Running", "True"
	}
	labels := map[string]string{"component": component, "k8s-app": component, "app": component}
	meta := map[string]any{"name": name, "namespace": ns, "labels": map[string]any{"component": component, "k8s-app": component},
		"ownerReferences": []any{map[string]any{"kind": owner}}}
	if owner == "Node" {
		meta["annotations"] = map[string]any{"kubernetes.io/config.mirror": "x"}
	}
	return &object{kind: "Pod", ns: ns, name: name, labels: labels, onNode: on, data: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta,
		"spec": map[string]any{"nodeName": on}, "status": map[string]any{"phase": phase, "conditions": []any{map[string]any{"type": "Ready", "status": state}}}}}
}

// edit changes nodes and objects.
func (k *ctl) edit() int {
	k.Take(200 * time.Millisecond)
	verb, args := k.words[0], k.words[1:]
	if verb == "delete" {
		return k.remove(args)
	}
	if len(args) > 0 && (args[0] == "node" || args[0] == "nodes") {
		args = args[1:]
	}
	if len(args) == 0 {
		return k.Unknown()
	}
	name := strings.TrimPrefix(args[0], "node/")
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	x := k.c.nodes[name]
	if x == nil {
		return k.Fail("Error from server (NotFound): nodes %q not found", name)
	}
	switch verb {
	case "cordon", "drain":
		x.unschedulable = true
	case "uncordon":
		x.unschedulable = false
	case "label":
		for _, a := range args[1:] {
			if key, value, ok := strings.Cut(a, "="); ok {
				x.labels[key] = value
			} else {
				delete(x.labels, strings.TrimSuffix(a, "-"))
			}
		}
	case "taint":
		x.setTaints(args[1:])
	}
	return 0
}

func (x *node) setTaints(args []string) {
	for _, a := range args {
		rest, remove := strings.CutSuffix(a, "-")
		keyValue, effect, _ := strings.Cut(rest, ":")
		key, value, _ := strings.Cut(keyValue, "=")
		x.taints = slices.DeleteFunc(x.taints, func(t taint) bool { return t.Key == key && (effect == "" || t.Effect == effect) })
		if !remove {
			x.taints = append(x.taints, taint{key, value, effect})
		}
	}
}

func (k *ctl) remove(args []string) int {
	if len(args) > 1 && !strings.Contains(args[0], "/") {
		for i := range args[1:] {
			args[i+1] = args[0] + "/" + args[i+1]
		}
		args = args[1:]
	}
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	for _, ref := range args {
		kind, name, _ := strings.Cut(ref, "/")
		kind = kindOf(kind)
		if kind == "Node" {
			delete(k.c.nodes, name)
			continue
		}
		ns := k.ns
		if !namespaced(kind) {
			ns = ""
		}
		delete(k.c.objects, kind+"/"+ns+"/"+name)
		k.Printf("%s %q deleted\n", strings.ToLower(kind), name)
	}
	return 0
}
