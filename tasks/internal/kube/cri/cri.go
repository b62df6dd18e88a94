// Package cri asks container runtimes for images: containerd, CRI-O, and Docker behind cri-dockerd or dockershim.
//
// containerd is asked with ctr, which comes with it; images for Kubernetes are in its namespace k8s.io. Pulling goes
// through crictl, because only then containerd uses the mirrors and credentials of its configuration; where crictl is
// not installed ctr pulls, told where the mirrors are.
package cri

import (
	"context"
	"errors"
	"os/exec" //nolint:depguard // for ErrNotFound, which Host.Run documents; nothing is run with it
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Containerd is containerd's usual socket.
const Containerd = "unix:///run/containerd/containerd.sock"

// Runtime is a container runtime of a host.
type Runtime struct {
	Socket    string // with unix://
	Namespace string // of containerd
	kind      kind
}

type kind int

const (
	containerd kind = iota
	docker
	crio
)

// Of tells the runtime from its socket; "" is containerd's.
func Of(socket, namespace string) Runtime {
	if socket == "" {
		socket = Containerd
	}
	if !strings.Contains(socket, "://") {
		socket = "unix://" + socket
	}
	if namespace == "" {
		namespace = "k8s.io"
	}
	r := Runtime{Socket: socket, Namespace: namespace}
	switch {
	case strings.Contains(socket, "crio"):
		r.kind = crio
	case strings.Contains(socket, "docker") && !strings.Contains(socket, "containerd"):
		r.kind = docker
	}
	return r
}

func (r Runtime) ctr(args ...string) []string {
	return append([]string{"ctr", "--address", strings.TrimPrefix(r.Socket, "unix://"), "--namespace", r.Namespace}, args...)
}

func (r Runtime) crictl(args ...string) []string {
	return append([]string{"crictl", "--runtime-endpoint", r.Socket, "--image-endpoint", r.Socket}, args...)
}

// List are the names of the images there are, in full form.
func (r Runtime) List(ctx context.Context, h task.Host) ([]string, error) {
	argv := r.ctr("images", "ls", "-q")
	switch r.kind {
	case docker:
		argv = []string{"docker", "image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}}"}
	case crio:
		argv = r.crictl("images", "--no-trunc")
	}
	o, err := r.must(ctx, h, task.Query(argv...))
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(o.Stdout) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || r.kind == crio && f[0] == "IMAGE" || strings.HasPrefix(f[0], "sha256:"):
		case r.kind == crio && len(f) > 1:
			names = append(names, Full(f[0]+":"+f[1]))
		default:
			names = append(names, Full(f[0]))
		}
	}
	return names, nil
}

// Missing are those of names that are not there.
func (r Runtime) Missing(ctx context.Context, h task.Host, names []string) ([]string, error) {
	have, err := r.List(ctx, h)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, n := range names {
		if !slices.Contains(have, Full(n)) {
			missing = append(missing, n)
		}
	}
	return missing, nil
}

// Import loads an archive that docker save or ctr images export has made.
func (r Runtime) Import(ctx context.Context, h task.Host, path string) error {
	argv := r.ctr("images", "import", path)
	switch r.kind {
	case docker:
		argv = []string{"docker", "image", "load", "--input", path}
	case crio:
		return task.Failf("CRI-O cannot load image archives").WithHint("load %s with podman or skopeo (kind command), or pull the images", path)
	}
	_, err := r.must(ctx, h, task.Cmd(argv...).Streamed())
	return err
}

// Remove removes an image.
func (r Runtime) Remove(ctx context.Context, h task.Host, name string) error {
	argv := r.ctr("images", "rm", Full(name))
	switch r.kind {
	case docker:
		argv = []string{"docker", "image", "rm", name}
	case crio:
		argv = r.crictl("rmi", name)
	}
	_, err := r.must(ctx, h, task.Cmd(argv...))
	return err
}

// Pull gets an image from its registry, with several attempts.
func (r Runtime) Pull(ctx context.Context, h task.Host, name string, attempts int, delay time.Duration) error {
	for i := 1; ; i++ {
		h.Log("pull " + name)
		o, err := r.pull(ctx, h, name)
		if err != nil || o.OK() {
			return err
		}
		f := pullFailure(name, o)
		if !f.Transient || i >= attempts {
			return f
		}
		if err := h.Sleep(ctx, delay); err != nil {
			return err
		}
		delay = min(2*delay, time.Minute)
	}
}

func (r Runtime) pull(ctx context.Context, h task.Host, name string) (task.Output, error) {
	c := task.Cmd(r.crictl("pull", name)...)
	if r.kind == docker {
		c = task.Cmd("docker", "image", "pull", name)
	}
	o, err := h.Run(ctx, c.Streamed())
	if r.kind == containerd && errors.Is(err, exec.ErrNotFound) {
		c = task.Cmd(r.ctr("images", "pull", "--hosts-dir", "/etc/containerd/certs.d", Full(name))...)
		o, err = h.Run(ctx, c)
	}
	return o, err
}

func pullFailure(name string, o task.Output) *task.Failure {
	f := task.Failf("image %s cannot be pulled", name).WithOutput(o)
	all := o.Stdout + o.Stderr
	switch {
	case containsAny(all, "not found", "manifest unknown", "does not exist"):
		return f.WithHint("the registry has no such image: check name, tag and image_repository (k8s.gcr.io is frozen since April 2023; registry.k8s.io is its successor)")
	case containsAny(all, "unauthorized", "authorization failed", "denied", "no basic auth"):
		return f.WithHint("the registry wants credentials: put them into the runtime's configuration (containerd: registry configs)")
	case containsAny(all, "x509", "http: server gave HTTP response to HTTPS client"):
		return f.WithHint("the runtime does not trust the registry: add its CA or an http endpoint in /etc/containerd/certs.d/HOST/hosts.toml")
	}
	return f.Retryable().WithHint("check network, DNS, proxy of the runtime and its mirrors; without a network bring the images with the kind image and `archive`")
}

// must runs a command of the runtime.
func (r Runtime) must(ctx context.Context, h task.Host, c task.Command) (task.Output, error) {
	o, err := h.Run(ctx, c)
	if errors.Is(err, exec.ErrNotFound) {
		return o, task.Failf("%s is not on this host", c.Argv[0]).WithHint("install the container runtime first; set the socket if it is not containerd's (now %s)", r.Socket)
	}
	if err != nil || o.OK() {
		return o, err
	}
	f := task.Failf("`%s` ended with exit code %d", c, o.Code).WithOutput(o)
	if containsAny(o.Stderr+o.Stdout, "connection refused", "no such file or directory", "Cannot connect to the Docker daemon", "deadline exceeded") {
		f = f.Retryable().WithHint("the container runtime does not answer at %s: is it running (`systemctl status containerd`)?", r.Socket)
	}
	return o, f
}

func containsAny(s string, texts ...string) bool {
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(s, t) })
}

// Full is the whole name of an image: nginx is docker.io/library/nginx:latest.
func Full(name string) string {
	first, _, slash := strings.Cut(name, "/")
	switch {
	case !slash:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		name = "docker.io/" + name
	}
	if strings.Contains(name, "@") || strings.Contains(name[strings.LastIndexByte(name, '/'):], ":") {
		return name
	}
	return name + ":latest"
}
