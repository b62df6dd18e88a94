// Package kubectlapply is the kind kubectl-apply: objects of a cluster, from a manifest.
//
// # What is compared
//
// The server itself says what applying would change (kubectl diff: a dry run on the server), so defaults, conversions and
// fields of other managers are no differences. What cannot be asked yet counts as a change: instances of a custom
// resource whose definition is in the same manifest and not in the cluster, and objects of a namespace that is not there.
//
// # Edits
//
// Manifests of add-ons are edited as structures, not as text: images by their registry, and fields of one object named by
// kind and name. An edit that finds nothing is an error, where sed would be silent.
package kubectlapply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "kubectl-apply",
		Summary: "Objects of a cluster, from a manifest: edited as structures, applied when they differ",
		Doc:     doc,
		New:     func() task.Task { return new(Apply) },
		Examples: []task.Example{
			{Title: "Calico, with images from a mirror", YAML: `- id: calico
  on: control_plane[0]
  kubectl-apply:
    source: files/calico-typha.yaml
    images:
      - {from: docker.io/calico, to: registry.cn-hangzhou.aliyuncs.com/week-cnative, tag: v3.28.0}
    set:
      - kind: DaemonSet
        name: calico-node
        container: calico-node
        env: {CALICO_IPV4POOL_CIDR: 10.244.0.0/16, CALICO_IPV4POOL_IPIP: Always}
      - kind: Deployment
        name: calico-typha
        values: {spec.replicas: 3}
`},
			{Title: "flannel for another pod network", YAML: `- id: flannel
  on: control_plane[0]
  kubectl-apply:
    source: files/kube-flannel.yml
    set:
      - kind: ConfigMap
        name: kube-flannel-cfg
        json: {net-conf.json: {Network: 10.245.0.0/16}}
`},
			{Title: "Objects in the playbook", YAML: `- id: namespace
  on: control_plane[0]
  kubectl-apply:
    objects:
      - apiVersion: v1
        kind: Namespace
        metadata: {name: apps}
`},
		},
	}
}

const doc = `Applies a manifest with kubectl when the cluster differs from it, as kubectl diff says; a plan shows that difference. Namespaces
and CustomResourceDefinitions go first, and are waited for, so a manifest may hold definitions and instances. Answers of an API
that is starting or electing a leader are tried again. Objects the manifest does not have are left alone.

images rewrites the images of all containers: from is the start of a name, up to a slash, or all of it without tag. set changes
one object, named by kind and name: values by path (spec.replicas, spec.template.spec.containers[name=x].args[0],
metadata.labels["a.b/c"]; null removes), env of its containers, and JSON text inside a ConfigMap. What finds nothing is an error.

Keep the manifest of an add-on beside the playbook, in the version that fits: URLs of a master branch have broken clusters
(flannel#1429, kubeadm#1799). Large manifests need server_side (the annotation of a client-side apply is limited to 256 KiB).`

// Apply are the parameters.
type Apply struct {
	Source   *task.Content    `json:"source" kf:"arm=from,short,format=source" doc:"Manifest, a file beside the playbook."`
	Template *task.Content    `json:"template" kf:"arm=from,format=template" doc:"Manifest, a template beside the playbook."`
	Content  *task.Content    `json:"content" kf:"arm=from,format=content" doc:"Manifest, as text."`
	Objects  []map[string]any `json:"objects" kf:"arm=from" doc:"Objects, written in the playbook."`
	Path     string           `json:"path" kf:"arm=from,format=path" doc:"Manifest, a file on the host."`

	Kubeconfig     string  `json:"kubeconfig" kf:"format=path" default:"/etc/kubernetes/admin.conf" doc:"Kubeconfig on the host."`
	Namespace      string  `json:"namespace" doc:"Namespace of objects that name none."`
	ServerSide     bool    `json:"server_side" doc:"Apply on the server (kubectl 1.18 and later)."`
	ForceConflicts bool    `json:"force_conflicts" doc:"With server_side, take fields over from other managers."`
	Images         []Image `json:"images" doc:"Images to take from elsewhere."`
	Set            []Edit  `json:"set" doc:"Changes to single objects."`
}

// Image is a rule for images.
type Image struct {
	From string `json:"from" kf:"required" doc:"Start of the image's name up to a slash (docker.io/calico), or the whole name without tag."`
	To   string `json:"to" doc:"What stands there instead."`
	Tag  string `json:"tag" doc:"Tag instead of the manifest's."`
}

// Edit is a change to one object.
type Edit struct {
	Kind      string                    `json:"kind" kf:"required" doc:"Kind of the object."`
	Name      string                    `json:"name" kf:"required" doc:"Its name."`
	Namespace string                    `json:"namespace" doc:"Its namespace; needed only when the name alone is not unique."`
	Values    map[string]any            `json:"values" doc:"Values by path; null removes."`
	Container string                    `json:"container" doc:"Container that env is for; default: those that have the variable."`
	Env       map[string]any            `json:"env" doc:"Environment variables of its containers: text, a map such as {valueFrom: ..}, or null to remove."`
	JSON      map[string]map[string]any `json:"json" doc:"Of a ConfigMap: by key of its data, what to change in the JSON text there."`
}

// Check implements task.Checker.
func (p *Apply) Check() error {
	var errs []error
	for _, e := range p.Set {
		if len(e.Values) == 0 && len(e.Env) == 0 && len(e.JSON) == 0 {
			errs = append(errs, task.Failf("set: %s %s: neither values nor env nor json are given", e.Kind, e.Name))
		}
		for path := range e.Values {
			if _, err := kube.ParsePath(path); err != nil {
				errs = append(errs, task.Failf("set: %s %s: %w", e.Kind, e.Name, err))
			}
		}
	}
	for _, r := range p.Images {
		if r.To == "" && r.Tag == "" {
			errs = append(errs, task.Failf("images: %s: neither to nor tag is given", r.From))
		}
	}
	if p.ForceConflicts && !p.ServerSide {
		errs = append(errs, task.Failf("force_conflicts needs server_side"))
	}
	return errors.Join(errs...)
}

// Touches implements task.Toucher. Several manifests may be applied at once, so the cluster is read, as it must be there.
func (p *Apply) Touches() task.Touches {
	t := task.Touches{Reads: []string{"cluster", "path:" + p.Kubeconfig}}
	if p.Path != "" {
		t.Reads = append(t.Reads, "path:"+p.Path)
	}
	for _, o := range p.Objects {
		t.Writes = append(t.Writes, "object:"+kube.Object(o).String())
	}
	return t
}

// objects reads the manifest and edits it.
func (p *Apply) objects(ctx context.Context, h task.Host) (objects []kube.Object, secret bool, err error) {
	text, secret, err := p.text(ctx, h)
	if err != nil {
		return nil, false, err
	}
	if text == "" {
		for _, o := range p.Objects {
			objects = append(objects, o)
		}
	} else if objects, err = kube.ParseManifest(text); err != nil {
		return nil, false, task.Failf("%s cannot be read: %w", p.name(), err).WithHint("look at that line: a manifest is YAML documents with apiVersion, kind and metadata.name")
	}
	if len(objects) == 0 {
		return nil, false, task.Failf("%s holds no objects", p.name())
	}
	if err := rewriteImages(objects, p.Images); err != nil {
		return nil, false, err
	}
	for _, e := range p.Set {
		if err := e.apply(objects); err != nil {
			return nil, false, err
		}
	}
	return objects, secret, nil
}

// content is where the manifest comes from, unless it is a file of the host or written as objects.
func (p *Apply) content() *task.Content {
	for _, c := range []*task.Content{p.Source, p.Template, p.Content} {
		if c != nil {
			return c
		}
	}
	return nil
}

func (p *Apply) name() string {
	if c := p.content(); c != nil && c.Name != "" {
		return "the manifest " + c.Name
	}
	return strings.TrimSpace("the manifest " + p.Path)
}

func (p *Apply) text(ctx context.Context, h task.Host) (text string, secret bool, err error) {
	c := p.content()
	if c == nil && p.Path == "" {
		return "", false, nil
	}
	if c == nil {
		b, err := h.ReadFile(ctx, p.Path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", false, notyet.Failf("path:"+p.Path, "there is no manifest %s on this host", p.Path).
				WithHint("let this task need the one that brings it; a file beside the playbook is given as source")
		}
		return string(b), false, err
	}
	r, err := h.Open(ctx, *c)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = r.Close() }()
	var b strings.Builder
	if _, err := io.Copy(&b, r); err != nil {
		return "", false, fmt.Errorf("%s: %w", c.Name, err)
	}
	return b.String(), c.Secret, nil
}

// Interface guards.
var (
	_ task.Checker = (*Apply)(nil)
	_ task.Toucher = (*Apply)(nil)
)
