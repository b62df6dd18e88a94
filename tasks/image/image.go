// Package image is the kind image: container images in the store of a host's container runtime.
//
// What is compared is the list of names the runtime has. What is missing is imported from archives that lie on the host,
// or pulled from its registry; afterwards every name must be there, so an archive that brings another tag is an error.
package image

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube/cri"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "image",
		Summary: "Container images in the store of the container runtime",
		Doc: `Has images in the runtime's store: imported from archives on the host (docker save, ctr images export), or pulled. An archive is imported
only when a name is missing; afterwards all names must be there. Short names mean what they do elsewhere: nginx is
docker.io/library/nginx:latest.

The runtime is told from its socket: containerd (namespace k8s.io, which the kubelet uses), Docker (cri-dockerd, dockershim), CRI-O
(pulls only). Pulls use the mirrors and credentials of the runtime's configuration, and are tried again while the registry
does not answer. kubeadm: {images: ..} has the images a control plane needs; an add-on's are in its manifest.`,
		New: func() task.Task { return new(Image) },
		Examples: []task.Example{
			{Title: "From an archive, without a registry", YAML: `- id: pause
  image:
    names: lab.example/pause:3.9
    archive: /var/tmp/pause.tar
`},
			{Title: "Pulled before it is needed", YAML: `- id: calico
  image: [docker.io/calico/node:v3.28.0, docker.io/calico/cni:v3.28.0]
`},
		},
	}
}

// Image are the parameters.
type Image struct {
	Names     task.Strings `json:"names" kf:"required,short,min=1" doc:"Images, with registry and tag."`
	State     string       `json:"state" kf:"enum=present|absent" default:"present" doc:"Whether they shall be there."`
	Archive   task.Strings `json:"archive" kf:"format=path" doc:"Archives on the host to import from, instead of pulling; patterns with * are possible."`
	Socket    string       `json:"socket" default:"unix:///run/containerd/containerd.sock" doc:"Socket of the container runtime."`
	Namespace string       `json:"namespace" default:"k8s.io" doc:"Namespace of containerd."`
	Attempts  int          `json:"attempts" kf:"min=1" default:"5" doc:"How often a pull is tried while the registry does not answer."`
}

// Touches implements task.Toucher.
func (p *Image) Touches() task.Touches {
	var t task.Touches
	for _, n := range p.Names {
		t.Writes = append(t.Writes, "image:"+cri.Full(n))
	}
	for _, a := range p.Archive {
		t.Reads = append(t.Reads, "path:"+a)
	}
	return t
}

// Changes implements task.Task.
func (p *Image) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.ready(ctx, h); err != nil {
		return nil, err
	}
	rt := cri.Of(p.Socket, p.Namespace)
	missing, err := rt.Missing(ctx, h, p.Names)
	if err != nil {
		return nil, err
	}
	if p.State == "absent" {
		return p.removal(rt, missing), nil
	}
	if len(missing) == 0 {
		return nil, nil
	}
	if len(p.Archive) == 0 {
		return p.pulls(rt, missing), nil
	}
	return p.imports(ctx, h, rt, missing)
}

// ready answers "not yet" where the runtime has not been installed yet.
func (p *Image) ready(ctx context.Context, h task.Host) error {
	socket := strings.TrimPrefix(p.Socket, "unix://")
	if !strings.HasPrefix(socket, "/") {
		return nil
	}
	_, err := h.Stat(ctx, socket)
	if errors.Is(err, fs.ErrNotExist) {
		return notyet.Failf("path:"+socket, "there is no container runtime at %s", p.Socket).
			WithHint("let this task need the one that starts it; for another runtime than containerd set socket")
	}
	return err
}

func (p *Image) pulls(rt cri.Runtime, missing []string) []task.Change {
	var changes []task.Change
	for _, name := range missing {
		changes = append(changes, task.Change{Summary: "pull " + name, Apply: func(ctx context.Context, h task.Host) error {
			const delay = 5 * time.Second
			return rt.Pull(ctx, h, name, p.Attempts, delay)
		}})
	}
	return changes
}

// imports finds the archives that are there. They are imported until no name is missing.
func (p *Image) imports(ctx context.Context, h task.Host, rt cri.Runtime, missing []string) ([]task.Change, error) {
	var files []string
	for _, pattern := range p.Archive {
		found, err := h.Glob(ctx, pattern)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, notyet.Failf("path:"+pattern, "there is no archive %s on this host", pattern).
				WithHint("archives are looked for on the host, not beside the playbook: bring them first (`download`, or `file` with source), and let this task need that one")
		}
		files = append(files, found...)
	}
	return []task.Change{{
		Summary: "import " + strings.Join(missing, ", "), Diff: "from " + strings.Join(files, ", "),
		Apply: func(ctx context.Context, h task.Host) error { return p.load(ctx, h, rt, files) },
	}}, nil
}

func (p *Image) load(ctx context.Context, h task.Host, rt cri.Runtime, files []string) error {
	before, err := rt.List(ctx, h)
	if err != nil {
		return err
	}
	missing := []string(p.Names)
	for i, file := range files {
		h.Progress("import images", int64(i), int64(len(files)))
		if err := rt.Import(ctx, h, file); err != nil {
			return err
		}
		if missing, err = rt.Missing(ctx, h, p.Names); err != nil || len(missing) == 0 {
			return err
		}
	}
	after, err := rt.List(ctx, h)
	if err != nil {
		return err
	}
	brought := slices.DeleteFunc(after, func(n string) bool { return slices.Contains(before, n) })
	return task.Failf("%s is not in %s", strings.Join(missing, ", "), strings.Join(files, ", ")).
		WithHint("the archives brought: %s. Declare these names, or tag the images before they are saved", orNothing(brought))
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing new"
	}
	return strings.Join(names, ", ")
}

func (p *Image) removal(rt cri.Runtime, missing []string) []task.Change {
	var changes []task.Change
	for _, name := range p.Names {
		if !slices.Contains(missing, name) {
			changes = append(changes, task.Change{Summary: "remove " + name, Apply: func(ctx context.Context, h task.Host) error {
				return rt.Remove(ctx, h, name)
			}})
		}
	}
	return changes
}

// Interface guards.
var _ task.Toucher = (*Image)(nil)
