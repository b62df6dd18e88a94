// Package kubectl is the kind kubectl: single acts on a cluster. Most are states of an object (it is absent, a node is
// drained, has a label); get only reads, exec is an action.
package kubectl

import (
	"context"
	"errors"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "kubectl",
		Summary: "Acts on a cluster: get, exec, delete, drain, cordon, uncordon, label, taint",
		Doc: `One task carries out one arm, with the kubeconfig of an administrator on the host where it runs; drain: and the like are usually
on: workers, at: reachable(control_plane).

**get** reads objects as JSON into outputs.object, also in a plan. **exec** runs a program in a pod; it is an action unless
read_only. **delete** has converged when the objects are gone. **drain** has converged when the node takes no new pods and none
is left that could be evicted (those of daemon sets and static pods stay); **cordon** and **uncordon** set only the former.
**label** and **taint** compare with the node; null removes a label, a - at the end removes a taint, as with kubectl.`,
		New:     func() task.Task { return new(Kubectl) },
		Outputs: Outputs{},
		Examples: []task.Example{
			{Title: "Drain a node before it is changed", YAML: `- id: drain
  on: workers
  at: control_plane[0]
  kubectl:
    drain: {node: "${{ host.name }}"}
`},
			{Title: "Label a worker", YAML: `- id: role
  on: workers
  at: control_plane[0]
  kubectl:
    label:
      resource: node/${{ host.name }}
      labels: {node-role.kubernetes.io/worker: ""}
`},
			{Title: "Is etcd healthy?", YAML: `- id: etcd_health
  on: control_plane[0]
  kubectl:
    exec:
      pod: etcd-${{ host.name }}
      namespace: kube-system
      argv: [etcdctl, --cacert, /etc/kubernetes/pki/etcd/ca.crt, --cert, /etc/kubernetes/pki/etcd/peer.crt, --key, /etc/kubernetes/pki/etcd/peer.key, endpoint, health, --cluster]
      read_only: true
`},
			{Title: "The pod network of a node", YAML: `- id: node
  at: control_plane[0]
  kubectl:
    get: {resource: "node/${{ host.name }}"}
`},
		},
	}
}

// Outputs are the outputs.
type Outputs struct {
	Object any    `json:"object,omitempty" doc:"What get has read: an object, or a List with items."`
	Stdout string `json:"stdout,omitempty" doc:"Standard output of exec."`
}

// Kubectl are the parameters.
type Kubectl struct {
	Get      *Get    `json:"get" kf:"arm=arm" doc:"Read objects."`
	Exec     *Exec   `json:"exec" kf:"arm=arm" doc:"Run a program in a pod."`
	Delete   *Delete `json:"delete" kf:"arm=arm" doc:"Have objects gone."`
	Drain    *Drain  `json:"drain" kf:"arm=arm" doc:"Have a node without pods."`
	Cordon   *Node   `json:"cordon" kf:"arm=arm" doc:"Have a node take no new pods."`
	Uncordon *Node   `json:"uncordon" kf:"arm=arm" doc:"Have a node take pods."`
	Label    *Label  `json:"label" kf:"arm=arm" doc:"Labels of an object."`
	Taint    *Taint  `json:"taint" kf:"arm=arm" doc:"Taints of a node."`

	Kubeconfig string `json:"kubeconfig" kf:"format=path" default:"/etc/kubernetes/admin.conf" doc:"Kubeconfig on the host."`
}

// arm is what each arm implements.
type arm interface {
	check() error
	changes(ctx context.Context, h task.Host, c kube.Client) ([]task.Change, error)
}

func (p *Kubectl) arm() (arm, error) {
	switch {
	case p.Get != nil:
		return p.Get, nil
	case p.Exec != nil:
		return p.Exec, nil
	case p.Delete != nil:
		return p.Delete, nil
	case p.Drain != nil:
		return p.Drain, nil
	case p.Cordon != nil:
		return cordon{*p.Cordon, true}, nil
	case p.Uncordon != nil:
		return cordon{*p.Uncordon, false}, nil
	case p.Label != nil:
		return p.Label, nil
	case p.Taint != nil:
		return p.Taint, nil
	}
	return nil, errors.New("one of get, exec, delete, drain, cordon, uncordon, label, taint is needed")
}

func (p *Kubectl) client() kube.Client { return kube.Client{Kubeconfig: p.Kubeconfig} }

// Check implements task.Checker.
func (p *Kubectl) Check() error {
	a, err := p.arm()
	if err != nil {
		return err
	}
	return a.check()
}

// Changes implements task.Task.
func (p *Kubectl) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	a, err := p.arm()
	if err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	if err := p.client().Have(ctx, h); err != nil {
		return nil, err
	}
	return a.changes(ctx, h, p.client())
}

// Action implements task.Actor.
func (p *Kubectl) Action() bool { return p.Exec != nil && !p.Exec.ReadOnly }

// Touches implements task.Toucher. Different tasks change different objects of one cluster.
func (p *Kubectl) Touches() task.Touches {
	return task.Touches{Reads: []string{"cluster", "path:" + p.Kubeconfig}}
}

// Outputs implements task.Outputter.
func (p *Kubectl) Outputs(ctx context.Context, h task.Host) (any, error) {
	switch {
	case p.Get != nil:
		return p.Get.outputs(ctx, h, p.client())
	case p.Exec != nil:
		return p.Exec.outputs(ctx, h, p.client())
	}
	return Outputs{}, nil
}

// Interface guards.
var (
	_ task.Checker   = (*Kubectl)(nil)
	_ task.Actor     = (*Kubectl)(nil)
	_ task.Toucher   = (*Kubectl)(nil)
	_ task.Outputter = (*Kubectl)(nil)
)
