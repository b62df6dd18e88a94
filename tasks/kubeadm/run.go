package kubeadm

import (
	"context"
	"errors"
	"os/exec" //nolint:depguard // for ErrNotFound, which Host.Run documents; nothing is run with it
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// configDir holds configurations while kubeadm runs: /run is memory, gone after a reboot.
const configDir = "/run/kflow"

// withConfig writes a configuration only root can read, and removes it when f has ended, however that is.
func withConfig(ctx context.Context, h task.Host, name, config string, f func(path string) error) (err error) {
	path := configDir + "/" + name
	if err := h.MkdirAll(ctx, configDir, task.Attr{Mode: 0o700}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Remove(context.WithoutCancel(ctx), path)) }()
	if err := hostfile.Write(ctx, h, path, config, task.Attr{Mode: 0o600}); err != nil {
		return err
	}
	return f(path)
}

// kubeadm runs kubeadm init or join with a configuration and shows what it says. The host is marked while it runs.
func kubeadm(ctx context.Context, h task.Host, v kube.Version, verb, config string, flags ...string) error {
	if err := rightKubeadm(ctx, h, v); err != nil {
		return err
	}
	if err := mark(ctx, h, verb); err != nil {
		return err
	}
	err := withConfig(ctx, h, "kubeadm-"+verb+".yaml", config, func(path string) error {
		argv := []string{"kubeadm", verb, "--config", path}
		return must(ctx, h, task.Cmd(append(argv, flags...)...).Streamed())
	})
	if err != nil && nothingDone(err) {
		return errors.Join(err, unmark(ctx, h, verb))
	}
	return err
}

// must runs a command of kubeadm; a failure says what to do where that is known.
func must(ctx context.Context, h task.Host, c task.Command) error {
	o, err := h.Run(ctx, c)
	if errors.Is(err, exec.ErrNotFound) {
		return noKubeadm()
	}
	if err != nil || o.OK() {
		return err
	}
	return failure(c, o)
}

func noKubeadm() error {
	return notyet.Failf("package:kubeadm", "kubeadm is not on this host").WithHint("install it first: `package: {names: [kubelet, kubeadm, kubectl], version: ..}`")
}

// installed is the version of the kubeadm on the host.
func installed(ctx context.Context, h task.Host) (kube.Version, error) {
	o, err := h.Run(ctx, task.Query("kubeadm", "version", "-o", "short"))
	if errors.Is(err, exec.ErrNotFound) {
		return kube.Version{}, noKubeadm()
	}
	if err != nil {
		return kube.Version{}, err
	}
	v, err := kube.ParseVersion(o.Stdout)
	if err != nil {
		return v, task.Failf("`kubeadm version -o short`: %w", err).WithOutput(o)
	}
	return v, nil
}

// rightKubeadm checks that the kubeadm on the host can make that version: its own minor version or the one before.
func rightKubeadm(ctx context.Context, h task.Host, want kube.Version) error {
	have, err := installed(ctx, h)
	if err != nil {
		return err
	}
	if have.Major == want.Major && (have.Minor == want.Minor || have.Minor == want.Minor+1) {
		return nil
	}
	return task.Failf("kubeadm on this host is %s and cannot set up Kubernetes %s", have, want).
		WithHint("install kubeadm %d.%d on this host (`package: {names: [kubeadm], version: %d.%d.%d}`), or declare another version", want.Major, want.Minor, want.Major, want.Minor, want.Patch)
}

// waitReady waits until an API server says that it is ready; that includes its etcd.
func waitReady(ctx context.Context, h task.Host, c kube.Client) error {
	const limit = 4 * time.Minute
	h.Log("waiting until the API server is ready")
	return kube.Patiently(ctx, h, limit, func() error { return c.Ready(ctx, h) })
}

// nothingDone tells whether kubeadm ended in its preflight checks: then there is nothing to reset.
func nothingDone(err error) bool {
	var f *task.Failure
	return errors.As(err, &f) && strings.Contains(f.Output, "execution phase preflight")
}
