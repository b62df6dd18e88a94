package kubeadm

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
	"github.com/kflow/kflow/tasks/internal/kube/cri"
)

// Images are the images of a control plane.
type Images struct {
	Version         string `json:"version" kf:"required,format=version" doc:"Version of Kubernetes."`
	ImageRepository string `json:"image_repository" doc:"Where images come from, instead of registry.k8s.io."`
	CRISocket       string `json:"cri_socket" doc:"Socket of the container runtime; default: containerd's."`
	Pull            bool   `json:"pull" default:"true" doc:"Whether to pull those that are missing; false only lists them (outputs)."`
}

func (p *Images) check() error {
	_, err := kube.ParseVersion(p.Version)
	return err
}

func (p *Images) touches() task.Touches {
	return task.Touches{Reads: append(runtimeAt(p.CRISocket), "package:kubeadm"), Writes: []string{"images"}}
}

// list asks kubeadm: no table of ours could know all versions.
func (p *Images) list(ctx context.Context, h task.Host) ([]string, error) {
	v, err := kube.ParseVersion(p.Version)
	if err != nil {
		return nil, err
	}
	if err := rightKubeadm(ctx, h, v); err != nil {
		return nil, err
	}
	argv := []string{"kubeadm", "config", "images", "list", "--kubernetes-version", v.String()}
	const flagged = 16 // from here on kubeadm can surely be told the repository by a flag
	old := p.ImageRepository != "" && !v.AtLeast(flagged)
	if p.ImageRepository != "" && !old {
		argv = append(argv, "--image-repository", p.ImageRepository)
	}
	c := task.Query(argv...)
	o, err := h.Run(ctx, c)
	if err == nil && !o.OK() {
		err = failure(c, o)
	}
	if err != nil {
		return nil, err
	}
	names := strings.Fields(o.Stdout)
	for i, name := range names {
		if old {
			names[i] = strings.TrimSuffix(p.ImageRepository, "/") + "/" + path.Base(name)
		}
	}
	return names, nil
}

// Changes implements task.Task.
func (p *Images) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if !p.Pull {
		return nil, nil
	}
	names, err := p.list(ctx, h)
	if err != nil {
		return nil, err
	}
	rt := cri.Of(p.CRISocket, "")
	missing, err := rt.Missing(ctx, h, names)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	return []task.Change{{
		Summary: "pull images of Kubernetes " + p.Version, Diff: "+ " + strings.Join(missing, "\n+ "),
		Apply: func(ctx context.Context, h task.Host) error { return pull(ctx, h, rt, missing) },
	}}, nil
}

func pull(ctx context.Context, h task.Host, rt cri.Runtime, names []string) error {
	for i, name := range names {
		h.Progress("pull images", int64(i), int64(len(names)))
		if err := rt.Pull(ctx, h, name, 5, 5*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (p *Images) outputs(ctx context.Context, h task.Host) (Outputs, error) {
	names, err := p.list(ctx, h)
	return Outputs{Images: names}, err
}
