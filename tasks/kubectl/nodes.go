package kubectl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Node names a node.
type Node struct {
	Node string `json:"node" kf:"required,short" doc:"Name of the node."`
}

// node asks for a node that must be there.
func (n Node) get(ctx context.Context, h task.Host, c kube.Client) (*kube.Node, error) {
	node, err := c.Node(ctx, h, patience, n.Node)
	if err == nil && node == nil {
		return nil, task.Failf("the cluster has no node %s", n.Node).WithHint("`kubectl get nodes` lists them; a node's name is the host's name, lower case, unless node_name was given")
	}
	return node, err
}

// cordon is the state of taking new pods or not.
type cordon struct {
	Node
	on bool
}

func (cordon) check() error { return nil }

func (p cordon) changes(ctx context.Context, h task.Host, c kube.Client) ([]task.Change, error) {
	n, err := p.get(ctx, h, c)
	if err != nil || n.Spec.Unschedulable == p.on {
		return nil, err
	}
	verb := "uncordon"
	if p.on {
		verb = "cordon"
	}
	return []task.Change{{Summary: verb + " " + p.Node.Node, Apply: func(ctx context.Context, h task.Host) error {
		_, err := c.Run(ctx, h, c.Cmd(verb, p.Node.Node))
		return err
	}}}, nil
}

// Drain has a node without pods.
type Drain struct {
	Node
	DeleteEmptyDir bool          `json:"delete_emptydir_data" default:"true" doc:"Whether pods with emptyDir volumes may go; their data is lost."`
	Force          bool          `json:"force" doc:"Whether pods may go that nobody will start again."`
	GracePeriod    task.Duration `json:"grace_period" doc:"Time pods get to end, instead of their own."`
	Timeout        task.Duration `json:"timeout" default:"10m" doc:"How long to try; PodDisruptionBudgets are respected."`
}

func (*Drain) check() error { return nil }

// onNode is a pod as far as draining cares.
type onNode struct {
	Metadata struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
		Owners      []struct {
			Kind string `json:"kind"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// stays tells whether draining leaves the pod.
func (p onNode) stays() bool {
	_, static := p.Metadata.Annotations["kubernetes.io/config.mirror"]
	daemon := slices.ContainsFunc(p.Metadata.Owners, func(o struct {
		Kind string `json:"kind"`
	}) bool {
		return o.Kind == "DaemonSet"
	})
	return static || daemon || p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed"
}

func (p *Drain) changes(ctx context.Context, h task.Host, c kube.Client) ([]task.Change, error) {
	n, err := p.get(ctx, h, c)
	if err != nil {
		return nil, err
	}
	var pods struct {
		Items []onNode `json:"items"`
	}
	if err := c.JSON(ctx, h, patience, &pods, "get", "pods", "--all-namespaces", "--field-selector", "spec.nodeName="+p.Node.Node); err != nil {
		return nil, err
	}
	var diff []string
	if !n.Spec.Unschedulable {
		diff = append(diff, "takes new pods: true -> false")
	}
	for _, x := range pods.Items {
		if !x.stays() {
			diff = append(diff, "- "+x.Metadata.Namespace+"/"+x.Metadata.Name)
		}
	}
	if diff == nil {
		return nil, nil
	}
	return []task.Change{{Summary: "drain " + p.Node.Node, Diff: strings.Join(diff, "\n"), Apply: func(ctx context.Context, h task.Host) error {
		return p.drain(ctx, h, c)
	}}}, nil
}

func (p *Drain) drain(ctx context.Context, h task.Host, c kube.Client) error {
	args := []string{"drain", p.Node.Node, "--ignore-daemonsets", "--timeout", p.Timeout.D().String()}
	if p.DeleteEmptyDir {
		flag, err := emptyDirFlag(ctx, h, c)
		if err != nil {
			return err
		}
		args = append(args, flag)
	}
	if p.Force {
		args = append(args, "--force")
	}
	if p.GracePeriod != 0 {
		args = append(args, fmt.Sprintf("--grace-period=%d", int(p.GracePeriod.D()/time.Second)))
	}
	cmd := c.Cmd(args...).Streamed()
	o, err := c.Do(ctx, h, cmd)
	if err != nil || o.OK() {
		return err
	}
	f := task.Failf("node %s could not be drained", p.Node.Node).WithOutput(o)
	all := o.Stdout + o.Stderr
	switch {
	case strings.Contains(all, "disruption budget"):
		return f.Retryable().WithHint("a PodDisruptionBudget forbids it now: `kubectl get pdb -A`; are its pods ready on other nodes?")
	case strings.Contains(all, "not managed by") || strings.Contains(all, "declare no controller"):
		return f.WithHint("there are pods nobody would start again: set force: true to lose them, or move them first")
	case strings.Contains(all, "local storage"), strings.Contains(all, "emptyDir"):
		return f.WithHint("there are pods with data in emptyDir volumes: set delete_emptydir_data: true to lose it")
	case kube.Transient(o):
		return f.Retryable()
	}
	return f
}

// emptyDirFlag was renamed in kubectl 1.20.
func emptyDirFlag(ctx context.Context, h task.Host, c kube.Client) (string, error) {
	var v struct {
		Client struct {
			GitVersion string `json:"gitVersion"`
		} `json:"clientVersion"`
	}
	if err := c.JSON(ctx, h, 0, &v, "version", "--client"); err != nil {
		return "", err
	}
	version, err := kube.ParseVersion(v.Client.GitVersion)
	if err != nil {
		return "", err
	}
	if version.AtLeast(20) {
		return "--delete-emptydir-data", nil
	}
	return "--delete-local-data", nil
}

// Taint is the taints of a node.
type Taint struct {
	Node
	Taints task.Strings `json:"taints" kf:"required,min=1" doc:"Taints, key=value:Effect; with a - at the end the taint shall be absent."`
}

func (p *Taint) check() error {
	for _, t := range p.Taints {
		key, effect, ok := strings.Cut(strings.TrimSuffix(t, "-"), ":")
		if !ok || key == "" || !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, effect) {
			return task.Failf("%q is not a taint such as dedicated=infra:NoSchedule", t).WithHint("the effect is NoSchedule, PreferNoSchedule or NoExecute")
		}
	}
	return nil
}

func (p *Taint) changes(ctx context.Context, h task.Host, c kube.Client) ([]task.Change, error) {
	n, err := p.get(ctx, h, c)
	if err != nil {
		return nil, err
	}
	var args []string
	for _, t := range p.Taints {
		rest, remove := strings.CutSuffix(t, "-")
		keyValue, effect, _ := strings.Cut(rest, ":")
		key, value, _ := strings.Cut(keyValue, "=")
		i := slices.IndexFunc(n.Spec.Taints, func(x kube.Taint) bool { return x.Key == key && x.Effect == effect })
		switch {
		case remove && i >= 0:
			args = append(args, key+":"+effect+"-")
		case !remove && (i < 0 || n.Spec.Taints[i].Value != value):
			args = append(args, key+"="+value+":"+effect)
		}
	}
	if args == nil {
		return nil, nil
	}
	return []task.Change{{Summary: "taint " + p.Node.Node, Diff: strings.Join(args, "\n"), Apply: func(ctx context.Context, h task.Host) error {
		_, err := c.Run(ctx, h, c.Cmd(append([]string{"taint", "node", p.Node.Node, "--overwrite"}, args...)...))
		return err
	}}}, nil
}
