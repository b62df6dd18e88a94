package kubectl

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// patience is how long an API that should be there is asked again.
const patience = 30 * time.Second

// Get reads objects.
type Get struct {
	Resource  string `json:"resource" kf:"required,short" doc:"What to read: kind/name, or a kind for all of it: node/k8s-wn01, pods."`
	Namespace string `json:"namespace" doc:"Namespace; default: that of the kubeconfig."`
	Selector  string `json:"selector" doc:"Labels the objects have: app=web."`
	Optional  bool   `json:"optional" doc:"Whether it may be absent; outputs.object is null then."`
}

func (p *Get) check() error { return nil }

func (p *Get) changes(context.Context, task.Host, kube.Client) ([]task.Change, error) {
	return nil, nil
}

func (p *Get) outputs(ctx context.Context, h task.Host, c kube.Client) (any, error) {
	args := append(inNamespace(p.Namespace), "get", p.Resource)
	if p.Selector != "" {
		args = append(args, "-l", p.Selector)
	}
	if p.Optional {
		args = append(args, "--ignore-not-found")
	}
	var v any
	err := c.JSON(ctx, h, patience, &v, args...)
	return Outputs{Object: v}, err
}

func inNamespace(namespace string) []string {
	if namespace == "" {
		return nil
	}
	return []string{"-n", namespace}
}

// Exec runs a program in a pod.
type Exec struct {
	Pod       string   `json:"pod" kf:"required" doc:"The pod, or a workload: deployment/web."`
	Namespace string   `json:"namespace" doc:"Its namespace; default: that of the kubeconfig."`
	Container string   `json:"container" doc:"Its container; default: the first."`
	Argv      []string `json:"argv" kf:"required,min=1" doc:"Program and arguments; no shell."`
	ReadOnly  bool     `json:"read_only" doc:"Promise that the program changes nothing; it runs in plans too, and is no action."`

	ran *task.Output
}

func (p *Exec) check() error { return nil }

func (p *Exec) args() []string {
	args := append(inNamespace(p.Namespace), "exec", p.Pod)
	if p.Container != "" {
		args = append(args, "-c", p.Container)
	}
	return append(append(args, "--"), p.Argv...)
}

func (p *Exec) changes(_ context.Context, _ task.Host, c kube.Client) ([]task.Change, error) {
	if p.ReadOnly {
		return nil, nil
	}
	return []task.Change{{
		Summary: "run `" + strings.Join(p.Argv, " ") + "` in " + p.Pod,
		Apply: func(ctx context.Context, h task.Host) error {
			o, err := c.Run(ctx, h, c.Cmd(p.args()...).Streamed())
			p.ran = &o
			return err
		},
	}}, nil
}

func (p *Exec) outputs(ctx context.Context, h task.Host, c kube.Client) (any, error) {
	if p.ran == nil {
		o, err := c.Run(ctx, h, c.Watch(p.args()...))
		if err != nil {
			return Outputs{}, err
		}
		p.ran = &o
	}
	return Outputs{Stdout: p.ran.Stdout}, nil
}

// Delete has objects gone.
type Delete struct {
	Resource  task.Strings `json:"resource" kf:"required,short,min=1" doc:"Objects, kind/name: node/k8s-wn02, daemonset/calico-node."`
	Namespace string       `json:"namespace" doc:"Namespace; default: that of the kubeconfig."`
}

func (p *Delete) check() error {
	for _, r := range p.Resource {
		if kind, name, ok := strings.Cut(r, "/"); !ok || kind == "" || name == "" {
			return task.Failf("resource %q is not kind/name", r).WithHint("name the objects, for example node/k8s-wn02")
		}
	}
	return nil
}

func (p *Delete) changes(ctx context.Context, h task.Host, c kube.Client) ([]task.Change, error) {
	var changes []task.Change
	for _, r := range p.Resource {
		var v map[string]any
		err := c.JSON(ctx, h, patience, &v, append(inNamespace(p.Namespace), "get", r, "--ignore-not-found")...)
		if kube.Is(err, kube.NotFound) { // the kind itself is not there
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(v) == 0 {
			continue
		}
		changes = append(changes, task.Change{Summary: "delete " + r, Apply: func(ctx context.Context, h task.Host) error {
			return kube.Patiently(ctx, h, patience, func() error {
				_, err := c.Run(ctx, h, c.Cmd(append(inNamespace(p.Namespace), "delete", r, "--ignore-not-found")...))
				return err
			})
		}})
	}
	return changes, nil
}

// Label is the labels of an object.
type Label struct {
	Resource  string         `json:"resource" kf:"required" doc:"The object, kind/name: node/k8s-wn01."`
	Namespace string         `json:"namespace" doc:"Its namespace; default: that of the kubeconfig."`
	Labels    map[string]any `json:"labels" kf:"required" doc:"Labels by key; null removes one."`
}

func (p *Label) check() error { return nil }

func (p *Label) changes(ctx context.Context, h task.Host, c kube.Client) ([]task.Change, error) {
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := c.JSON(ctx, h, patience, &o, append(inNamespace(p.Namespace), "get", p.Resource)...); err != nil {
		return nil, err
	}
	var diff, args []string
	for _, key := range slices.Sorted(maps.Keys(p.Labels)) {
		have, there := o.Metadata.Labels[key]
		switch want := p.Labels[key]; {
		case want == nil && there:
			diff, args = append(diff, fmt.Sprintf("%s: %q -> absent", key, have)), append(args, key+"-")
		case want != nil && (!there || have != fmt.Sprint(want)):
			diff = append(diff, fmt.Sprintf("%s: %s -> %q", key, present(have, there), fmt.Sprint(want)))
			args = append(args, fmt.Sprintf("%s=%v", key, want))
		}
	}
	if args == nil {
		return nil, nil
	}
	return []task.Change{{Summary: "label " + p.Resource, Diff: strings.Join(diff, "\n"), Apply: func(ctx context.Context, h task.Host) error {
		_, err := c.Run(ctx, h, c.Cmd(append(append(inNamespace(p.Namespace), "label", "--overwrite", p.Resource), args...)...))
		return err
	}}}, nil
}

func present(value string, there bool) string {
	if !there {
		return "absent"
	}
	return fmt.Sprintf("%q", value)
}
