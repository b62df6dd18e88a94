package kube

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os/exec" //nolint:depguard // for ErrNotFound, which Host.Run documents; nothing is run with it
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Client asks a cluster's API through kubectl.
type Client struct {
	Kubeconfig string // path on the host; "" = AdminConf
	Server     string // other address of the API server than the kubeconfig names
}

// requestTimeout ends a question to a server that does not answer.
const requestTimeout = "--request-timeout=15s"

func (c Client) kubeconfig() string {
	if c.Kubeconfig == "" {
		return AdminConf
	}
	return c.Kubeconfig
}

func (c Client) argv(args []string) []string {
	argv := []string{"kubectl", "--kubeconfig", c.kubeconfig()}
	if c.Server != "" {
		argv = append(argv, "--server", c.Server)
	}
	return append(argv, args...)
}

// noHome is where kubectl finds no home of its user: below $HOME/.kube it would keep what it has learnt of the API, also
// where it is only asked, and read what a person has set for themselves. Nothing can be made there.
const noHome = "HOME=/proc/none"

// Cmd is a kubectl command that may change the cluster.
func (c Client) Cmd(args ...string) task.Command { return task.Cmd(c.argv(args)...).WithEnv(noHome) }

// Query is a kubectl command that changes nothing.
func (c Client) Query(args ...string) task.Command {
	return task.Query(c.argv(append([]string{requestTimeout}, args...))...).WithEnv(noHome)
}

// Watch is a kubectl command that changes nothing and may take long.
func (c Client) Watch(args ...string) task.Command {
	return task.Query(c.argv(args)...).WithEnv(noHome)
}

// Have returns NotYet("cluster") where there is no kubeconfig: the cluster has not been made yet.
func (c Client) Have(ctx context.Context, h task.Host) error {
	_, err := h.Stat(ctx, c.kubeconfig())
	if errors.Is(err, fs.ErrNotExist) {
		return notyet.Failf("cluster", "there is no %s on this host", c.kubeconfig()).
			WithHint("the cluster has not been made yet (`kubeadm: {init: ..}`), or this host is no control plane of it: run the task on: control_plane[0], or at: reachable(control_plane)")
	}
	return err
}

// Do runs a command, whatever its exit code.
func (c Client) Do(ctx context.Context, h task.Host, cmd task.Command) (task.Output, error) {
	o, err := h.Run(ctx, cmd)
	if errors.Is(err, exec.ErrNotFound) {
		return o, task.Failf("kubectl is not on this host").
			WithHint("install it with `package: [kubectl]`, or run this task on a control plane (on: control_plane[0], or at: reachable(control_plane))")
	}
	return o, err
}

// Run runs a command; an exit code other than 0 is an APIError.
func (c Client) Run(ctx context.Context, h task.Host, cmd task.Command) (task.Output, error) {
	o, err := c.Do(ctx, h, cmd)
	if err == nil && !o.OK() {
		return o, NewAPIError(cmd, o)
	}
	return o, err
}

// JSON decodes the answer to a question; patience is how long to ask again while the API cannot be asked.
func (c Client) JSON(ctx context.Context, h task.Host, patience time.Duration, into any, args ...string) error {
	var o task.Output
	err := Patiently(ctx, h, patience, func() (err error) {
		o, err = c.Run(ctx, h, c.Query(append(args, "-o", "json")...))
		return err
	})
	if err != nil {
		return err
	}
	if strings.TrimSpace(o.Stdout) == "" { // --ignore-not-found
		return nil
	}
	if err := json.Unmarshal([]byte(o.Stdout), into); err != nil {
		return task.Failf("kubectl's answer is not JSON: %w", err).WithOutput(o)
	}
	return nil
}

// Ready tells whether the API server says that it is ready.
func (c Client) Ready(ctx context.Context, h task.Host) error {
	_, err := c.Run(ctx, h, c.Query("get", "--raw", "/readyz"))
	if Is(err, NotFound) { // before 1.16
		_, err = c.Run(ctx, h, c.Query("get", "--raw", "/healthz"))
	}
	return err
}

// pause is the time between two attempts.
const pause = 2 * time.Second

// Patiently calls f until it does not fail for want of a reachable API, at most for d.
func Patiently(ctx context.Context, h task.Host, d time.Duration, f func() error) error {
	start := h.Now()
	for {
		err := f()
		if err == nil || !Is(err, Unreachable) || h.Now().Sub(start) >= d {
			return err
		}
		if err := h.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}
