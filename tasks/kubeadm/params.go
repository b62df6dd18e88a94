package kubeadm

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Node are the parameters that init and join share: how this host registers as a node.
type Node struct {
	NodeName         string            `json:"node_name" doc:"Name of the node; default: the host's name, lower case."`
	CRISocket        string            `json:"cri_socket" doc:"Socket of the container runtime, with or without unix://. Needed where more than one runtime is installed; with Docker and Kubernetes from 1.24 on: unix:///var/run/cri-dockerd.sock."`
	Taints           *[]string         `json:"taints" doc:"Taints as key=value:Effect; [] means none, without it kubeadm taints control planes."`
	Labels           map[string]string `json:"labels" doc:"Labels the kubelet registers with. Those of node-role.kubernetes.io it may not set: use the kind kubectl."`
	KubeletExtraArgs map[string]string `json:"kubelet_extra_args" doc:"Flags of the kubelet on this node, without the hyphens: node-ip: 10.0.0.11."`
	ImagePullPolicy  string            `json:"image_pull_policy" kf:"enum=Always|IfNotPresent|Never" doc:"How kubeadm pulls images (from 1.22 on)."`
	IgnorePreflight  task.Strings      `json:"ignore_preflight_errors" doc:"Checks of kubeadm whose failures only warn, for example Swap, NumCPU."`
	SkipPhases       task.Strings      `json:"skip_phases" doc:"Phases of kubeadm to leave out, for example addon/kube-proxy."`
}

// settle makes the name of the host that of the node, unless another is given: the name it has now. The facts have the
// one it had when kflow connected, before a task gave it another.
func (n *Node) settle(ctx context.Context, h task.Host) error {
	if n.NodeName != "" {
		return nil
	}
	text, _, err := hostfile.Read(ctx, h, "/proc/sys/kernel/hostname")
	if n.NodeName = strings.ToLower(strings.TrimSpace(text)); n.NodeName == "" {
		n.NodeName = strings.ToLower(h.Facts().Hostname)
	}
	return err
}

// runtimeAt is the container runtime behind a socket, as the race check knows it; nothing where kubeadm looks for it itself.
func runtimeAt(socket string) []string {
	path := strings.TrimPrefix(socket, "unix://")
	for name, unit := range map[string]string{"containerd.sock": "containerd", "cri-dockerd.sock": "cri-docker", "crio.sock": "crio"} {
		if strings.HasSuffix(path, "/"+name) {
			return []string{"unit:" + unit}
		}
	}
	if path == "" {
		return nil
	}
	return []string{"path:" + path}
}

func (n *Node) name(h task.Host) string {
	if n.NodeName != "" {
		return n.NodeName
	}
	return strings.ToLower(h.Facts().Hostname)
}

func (n *Node) check() error {
	for key := range n.Labels {
		if strings.HasPrefix(key, "node-role.kubernetes.io/") {
			return task.Failf("labels: a kubelet may not give itself the label %s", key).
				WithHint("set it after the join with the kind kubectl: `kubectl: {label: {resource: node/NAME, labels: {%s: \"\"}}}`", key)
		}
	}
	if n.Taints == nil {
		return nil
	}
	for _, t := range *n.Taints {
		if _, err := parseTaint(t); err != nil {
			return err
		}
	}
	return nil
}

// parseTaint reads key=value:Effect or key:Effect.
func parseTaint(s string) (kube.Taint, error) {
	rest, effect, ok := strings.Cut(s, ":")
	key, value, _ := strings.Cut(rest, "=")
	if !ok || key == "" || !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, effect) {
		return kube.Taint{}, task.Failf("%q is not a taint such as dedicated=infra:NoSchedule", s).
			WithHint("the effect is NoSchedule, PreferNoSchedule or NoExecute")
	}
	return kube.Taint{Key: key, Value: value, Effect: effect}, nil
}

// registration is the section nodeRegistration.
func (n *Node) registration(h task.Host, v kube.Version) map[string]any {
	reg := map[string]any{"name": n.name(h)}
	set(reg, "criSocket", kube.Socket(v, n.CRISocket))
	if n.Taints != nil {
		taints := make([]any, 0, len(*n.Taints))
		for _, s := range *n.Taints {
			t, _ := parseTaint(s) // checked before
			m := map[string]any{"key": t.Key, "effect": t.Effect}
			set(m, "value", t.Value)
			taints = append(taints, m)
		}
		reg["taints"] = taints
	}
	args := maps.Clone(n.KubeletExtraArgs)
	if len(n.Labels) > 0 {
		if args == nil {
			args = map[string]string{}
		}
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(n.Labels)) {
			labels = append(labels, key+"="+n.Labels[key])
		}
		args["node-labels"] = strings.Join(labels, ",")
	}
	setArgs(reg, "kubeletExtraArgs", args, v)
	if v.AtLeast(22) {
		set(reg, "imagePullPolicy", n.ImagePullPolicy)
	}
	return reg
}

// flags are the arguments that kubeadm allows beside --config.
func (n *Node) flags() []string {
	var flags []string
	if len(n.IgnorePreflight) > 0 {
		flags = append(flags, "--ignore-preflight-errors="+strings.Join(n.IgnorePreflight, ","))
	}
	if len(n.SkipPhases) > 0 {
		flags = append(flags, "--skip-phases="+strings.Join(n.SkipPhases, ","))
	}
	return flags
}

// ExtraArgs are flags of the components of a control plane.
type ExtraArgs struct {
	APIServer         map[string]string `json:"api_server" doc:"Flags of kube-apiserver, without the hyphens."`
	ControllerManager map[string]string `json:"controller_manager" doc:"Flags of kube-controller-manager."`
	Scheduler         map[string]string `json:"scheduler" doc:"Flags of kube-scheduler."`
	Etcd              map[string]string `json:"etcd" doc:"Flags of a stacked etcd."`
}

// Etcd says where etcd is.
type Etcd struct {
	Local    *LocalEtcd    `json:"local" kf:"arm?=etcd" doc:"etcd on the control planes."`
	External *ExternalEtcd `json:"external" kf:"arm?=etcd" doc:"An etcd cluster made before, not on the control planes (kubeadm#1438)."`
}

// LocalEtcd are the parameters of a stacked etcd.
type LocalEtcd struct {
	DataDir string `json:"data_dir" kf:"format=path,short" default:"/var/lib/etcd" doc:"Directory of its data; put it on an SSD."`
}

// ExternalEtcd are the parameters of an etcd cluster of its own.
type ExternalEtcd struct {
	Endpoints []string `json:"endpoints" kf:"required,format=url,min=1" doc:"Its members, https://host:2379."`
	CAFile    string   `json:"ca_file" kf:"format=path" doc:"Its certificate authority, a file on each control plane."`
	CertFile  string   `json:"cert_file" kf:"format=path" doc:"Certificate the API server shows it."`
	KeyFile   string   `json:"key_file" kf:"format=path" doc:"Key of that certificate."`
}

// dataDir is where etcd keeps its data on this host; "" when it is elsewhere.
func (e *Etcd) dataDir() string {
	switch {
	case e != nil && e.External != nil:
		return ""
	case e != nil && e.Local != nil && e.Local.DataDir != "":
		return e.Local.DataDir
	}
	return defaultDataDir
}

const defaultDataDir = "/var/lib/etcd"

// overlap finds a pair of address ranges that overlap.
func overlap(a, b []string) (string, string, bool) {
	for _, x := range a {
		for _, y := range b {
			p, err1 := netip.ParsePrefix(x)
			q, err2 := netip.ParsePrefix(y)
			if err1 == nil && err2 == nil && p.Overlaps(q) {
				return x, y, true
			}
		}
	}
	return "", "", false
}
