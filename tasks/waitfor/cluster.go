package waitfor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// list asks the cluster. That it cannot be asked now is something seen, not an error.
func list[T any](ctx context.Context, h task.Host, kubeconfig string, args ...string) (items []T, seen string, err error) {
	c := kube.Client{Kubeconfig: kubeconfig}
	if err := c.Have(ctx, h); err != nil {
		if nyt := new(task.NotYetError); errors.As(err, &nyt) {
			return nil, kubeconfig + noConfig, nil
		}
		return nil, "", err
	}
	var answer json.RawMessage
	err = c.JSON(ctx, h, 0, &answer, args...)
	if kube.Is(err, kube.Unreachable) || kube.Is(err, kube.NotFound) {
		return nil, lastOf(err), nil
	}
	if err != nil {
		return nil, "", err
	}
	items, err = itemsOf[T](answer)
	return items, "", err
}

// noConfig is said of a kubeconfig that is not there.
const noConfig = " is not there"

// noCluster is what to do then; "" for anything else that was seen.
func noCluster(seen string) string {
	if !strings.HasSuffix(seen, noConfig) {
		return ""
	}
	return "the cluster has not been made yet (`kubeadm: {init: ..}`), or this host is no control plane of it: run the task on: control_plane[0]"
}

// itemsOf takes a List apart; asked for one name, kubectl answers with the object itself.
func itemsOf[T any](answer json.RawMessage) ([]T, error) {
	var list struct {
		Kind  string `json:"kind"`
		Items []T    `json:"items"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, err
	}
	if strings.HasSuffix(list.Kind, "List") {
		return list.Items, nil
	}
	var one T
	err := json.Unmarshal(answer, &one)
	return []T{one}, err
}

// lastOf is what an error of the API means to who waits.
func lastOf(err error) string {
	var f *task.Failure
	if errors.As(err, &f) && f.Output != "" {
		return short(f.Output[strings.LastIndexByte(f.Output, '\n')+1:])
	}
	return err.Error()
}

// Nodes are nodes of the cluster.
type Nodes struct {
	Names      task.Strings `json:"names" doc:"Nodes that must be ready."`
	Count      int          `json:"count" kf:"min=0" doc:"How many nodes must be ready at least."`
	Kubeconfig string       `json:"kubeconfig" kf:"format=path" default:"/etc/kubernetes/admin.conf" doc:"Kubeconfig on the host."`
}

func (p *Nodes) check() error    { return nil }
func (p *Nodes) reads() []string { return []string{"cluster", "path:" + p.Kubeconfig} }

// some are names for a line: the first, and how many more there are where they are many.
func some(names []string) string {
	const few = 10
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

func (p *Nodes) String() string {
	switch {
	case len(p.Names) > 0:
		return "these nodes are ready: " + some(p.Names)
	case p.Count == 1:
		return "a node is ready"
	case p.Count > 0:
		return fmt.Sprintf("%d nodes are ready", p.Count)
	}
	return "all nodes are ready"
}

func (p *Nodes) ask(ctx context.Context, h task.Host) (bool, string, error) {
	nodes, seen, err := list[kube.Node](ctx, h, p.Kubeconfig, "get", "nodes")
	if seen != "" || err != nil {
		return false, seen, err
	}
	ready := make(map[string]bool, len(nodes)) // whether it is, by name
	var notReady, missing []string
	for _, n := range nodes {
		ready[n.Metadata.Name] = n.Ready()
		if !n.Ready() {
			notReady = append(notReady, n.Metadata.Name+why(n))
		}
	}
	enough := len(p.Names) > 0 || p.Count > 0 || len(nodes) > 0 && len(notReady) == 0
	for _, name := range p.Names {
		is, known := ready[name]
		if enough = enough && is; !known {
			missing = append(missing, name)
		}
	}
	seen = fmt.Sprintf("%d of %d nodes are ready", len(nodes)-len(notReady), len(nodes))
	if len(notReady) > 0 {
		seen += "; not ready: " + some(notReady)
	}
	if len(missing) > 0 {
		seen += "; not in the cluster: " + some(missing)
	}
	return enough && len(nodes)-len(notReady) >= p.Count, seen, nil
}

// why is what a node says about not being ready.
func why(n kube.Node) string {
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" && c.Message != "" {
			return " (" + short(c.Message) + ")"
		}
	}
	return ""
}

func (p *Nodes) advice(seen string) string {
	switch {
	case noCluster(seen) != "":
		return noCluster(seen)
	case strings.Contains(seen, "cni") || strings.Contains(seen, "network plugin"):
		return "the network add-on is missing or does not start: look at its pods (`kubectl -n kube-system get pods -o wide`) and at /etc/cni/net.d on the node"
	case strings.Contains(seen, "not in the cluster"):
		return "these have not joined: look at their join tasks, and whether the names are those the nodes registered with (node_name)"
	}
	return "look at `kubectl describe node`, and at `journalctl -u kubelet` on the node"
}

// Rollout are workloads.
type Rollout struct {
	Resources  task.Strings `json:"resources" kf:"required,short,min=1" doc:"Workloads as kind/name: deployment/coredns, daemonset/calico-node, statefulset/db."`
	Namespace  string       `json:"namespace" default:"kube-system" doc:"Their namespace."`
	Kubeconfig string       `json:"kubeconfig" kf:"format=path" default:"/etc/kubernetes/admin.conf" doc:"Kubeconfig on the host."`
}

func (p *Rollout) reads() []string { return []string{"cluster", "path:" + p.Kubeconfig} }

func (p *Rollout) String() string {
	return strings.Join(p.Resources, ", ") + " in " + p.Namespace + " have rolled out"
}

func (p *Rollout) check() error {
	for _, r := range p.Resources {
		if kind, name, ok := strings.Cut(r, "/"); !ok || kind == "" || name == "" {
			return task.Failf("resources: %q is not kind/name, for example deployment/coredns", r)
		}
	}
	return nil
}

// workload is what Deployment, DaemonSet and StatefulSet say of their rollout.
type workload struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name       string `json:"name"`
		Generation int    `json:"generation"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int `json:"replicas"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration int `json:"observedGeneration"`
		Replicas           int `json:"replicas"`
		UpdatedReplicas    int `json:"updatedReplicas"`
		ReadyReplicas      int `json:"readyReplicas"`
		AvailableReplicas  int `json:"availableReplicas"`
		Desired            int `json:"desiredNumberScheduled"`
		Updated            int `json:"updatedNumberScheduled"`
		Ready              int `json:"numberReady"`
		Available          int `json:"numberAvailable"`
	} `json:"status"`
}

func (p *Rollout) ask(ctx context.Context, h task.Host) (bool, string, error) {
	args := append([]string{"-n", p.Namespace, "get"}, p.Resources...)
	ws, seen, err := list[workload](ctx, h, p.Kubeconfig, args...)
	if seen != "" || err != nil {
		return false, seen, err
	}
	var waiting []string
	for _, w := range ws {
		if s := w.pending(); s != "" && !slices.Contains(waiting, s) {
			waiting = append(waiting, s)
		}
	}
	if len(ws) == 0 {
		waiting = append(waiting, "there are none")
	}
	return waiting == nil, strings.Join(waiting, "; "), nil
}

// pending says what a rollout waits for.
func (w workload) pending() string {
	s := w.Status
	name := strings.ToLower(w.Kind) + "/" + w.Metadata.Name
	if s.ObservedGeneration < w.Metadata.Generation {
		return name + ": the change has not been seen yet"
	}
	want := 1
	if w.Spec.Replicas != nil {
		want = *w.Spec.Replicas
	}
	updated, ready := s.UpdatedReplicas, s.AvailableReplicas
	switch w.Kind {
	case "DaemonSet":
		want, updated, ready = s.Desired, s.Updated, s.Available
	case "StatefulSet":
		ready = s.ReadyReplicas
	}
	switch {
	case updated < want:
		return fmt.Sprintf("%s: %d of %d are new", name, updated, want)
	case w.Kind == "Deployment" && s.Replicas > updated:
		return fmt.Sprintf("%s: %d old ones are still there", name, s.Replicas-updated)
	case ready < want:
		return fmt.Sprintf("%s: %d of %d are available", name, ready, want)
	}
	return ""
}

func (p *Rollout) advice(seen string) string {
	if hint := noCluster(seen); hint != "" {
		return hint
	}
	return fmt.Sprintf("look at its pods: `kubectl -n %s get pods -o wide`, `kubectl -n %s describe pod`, `kubectl logs`; an image that cannot be pulled is the usual cause", p.Namespace, p.Namespace)
}

// Pods are pods of the cluster.
type Pods struct {
	Namespace  string `json:"namespace" default:"kube-system" doc:"Their namespace."`
	Selector   string `json:"selector" doc:"Labels they have: component=etcd; default: all pods of the namespace."`
	Count      int    `json:"count" kf:"min=0" default:"1" doc:"How many must be there at least."`
	Kubeconfig string `json:"kubeconfig" kf:"format=path" default:"/etc/kubernetes/admin.conf" doc:"Kubeconfig on the host."`
}

func (p *Pods) check() error    { return nil }
func (p *Pods) reads() []string { return []string{"cluster", "path:" + p.Kubeconfig} }

func (p *Pods) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("all pods %s in %s are ready, at least %d", p.Selector, p.Namespace, p.Count)), " ")
}

type pod struct {
	Metadata struct {
		Name     string `json:"name"`
		Deletion string `json:"deletionTimestamp"`
		Owners   []struct {
			Kind string `json:"kind"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Status struct {
		Phase      string           `json:"phase"`
		Reason     string           `json:"reason"`
		Conditions []kube.Condition `json:"conditions"`
		Containers []struct {
			State struct {
				Waiting struct {
					Reason  string `json:"reason"`
					Message string `json:"message"`
				} `json:"waiting"`
			} `json:"state"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

// over tells whether nothing more comes of a pod: it has finished, or its controller has made another in its place, as for
// one that was evicted. A static pod (owned by its node) has no other.
func (p pod) over() bool {
	replaced := len(p.Metadata.Owners) > 0 && p.Metadata.Owners[0].Kind != "Node"
	return p.Status.Phase == "Succeeded" || replaced && (p.Status.Phase == "Failed" || p.Metadata.Deletion != "")
}

// why is what keeps a pod from being ready: ImagePullBackOff says more than Pending.
func (p pod) why() string {
	for _, c := range p.Status.Containers {
		if w := c.State.Waiting; w.Reason != "" && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return strings.TrimSuffix(w.Reason+": "+short(w.Message), ": ")
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == "PodScheduled" && c.Status == "False" && c.Message != "" {
			return p.Status.Phase + ": " + short(c.Message)
		}
	}
	if p.Status.Reason != "" {
		return p.Status.Phase + ": " + p.Status.Reason
	}
	return p.Status.Phase
}

func (p *Pods) ask(ctx context.Context, h task.Host) (bool, string, error) {
	args := []string{"-n", p.Namespace, "get", "pods"}
	if p.Selector != "" {
		args = append(args, "-l", p.Selector)
	}
	pods, seen, err := list[pod](ctx, h, p.Kubeconfig, args...)
	if seen != "" || err != nil {
		return false, seen, err
	}
	ready := 0
	var waiting []string
	for _, x := range pods {
		switch {
		case x.over():
		case slices.ContainsFunc(x.Status.Conditions, func(c kube.Condition) bool { return c.Type == "Ready" && c.Status == "True" }):
			ready++
		default:
			waiting = append(waiting, x.Metadata.Name+" ("+x.why()+")")
		}
	}
	seen = fmt.Sprintf("%d are ready", ready)
	if len(waiting) > 0 {
		seen += "; not ready: " + some(waiting)
	}
	return ready >= p.Count && waiting == nil, seen, nil
}

func (p *Pods) advice(seen string) string {
	where := fmt.Sprintf("`kubectl -n %s describe pod NAME`", p.Namespace)
	switch {
	case noCluster(seen) != "":
		return noCluster(seen)
	case strings.Contains(seen, "ImagePull") || strings.Contains(seen, "ErrImage"):
		return "an image cannot be pulled: " + where + " says which and why; check the registry, the runtime's mirrors and proxy, or bring it with the kind image"
	case strings.Contains(seen, "CrashLoop"):
		return fmt.Sprintf("a container ends again and again: `kubectl -n %s logs NAME --previous` has its last words", p.Namespace)
	case strings.Contains(seen, "node(s)"):
		return "no node takes the pod: its taints, cordoned nodes (`kubectl get nodes`), or not enough CPU or memory; " + where
	}
	return "look at the pods that are not ready: " + where + " and `kubectl logs`; if it only takes longer, give a longer timeout"
}
