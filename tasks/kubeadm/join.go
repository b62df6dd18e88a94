package kubeadm

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Join joins a host to a cluster.
type Join struct {
	Node
	Role              string         `json:"role" kf:"enum=worker|control_plane" default:"worker" doc:"What this host becomes. Give joins of control planes a lock: etcd takes one new member at a time (kubeadm#1646)."`
	From              *Outputs       `json:"from" kf:"required,lazy" doc:"Outputs of the arm token: endpoint, token, ca_cert_hash and, for a control plane, certificate_key. Obtained only when this host is about to join."`
	Version           string         `json:"version" kf:"format=version" doc:"Version of Kubernetes; default: that of the kubeadm on this host."`
	AdvertiseAddress  string         `json:"advertise_address" kf:"format=ip" doc:"Address of this host's API server (role control_plane); needed where the host has more than one."`
	BindPort          int            `json:"bind_port" default:"6443" doc:"Port of this host's API server (role control_plane)."`
	Endpoint          string         `json:"endpoint" doc:"Address of the cluster's API, host:port. With it, a worker of another cluster is not taken for one of this."`
	JoinConfiguration map[string]any `json:"join_configuration" doc:"Further fields of JoinConfiguration, as its API has them; they win."`
}

func (p *Join) control() bool { return p.Role == "control_plane" }

func (p *Join) check() error {
	if p.Version != "" {
		v, err := kube.ParseVersion(p.Version)
		if err != nil {
			return err
		}
		if _, err := configAPI(v); err != nil {
			return err
		}
		if p.control() && !v.AtLeast(13) {
			return task.Failf("Kubernetes %s: kubeadm cannot join a second control plane before 1.13", v)
		}
	}
	return p.Node.check()
}

func (p *Join) touches() task.Touches {
	return task.Touches{
		Reads:  append(runtimeAt(p.CRISocket), "package:kubeadm", "package:kubelet"),
		Writes: []string{"cluster", "path:/etc/kubernetes/", "path:/var/lib/kubelet/"},
	}
}

func (p *Join) outputs(context.Context, task.Host) (Outputs, error) { return Outputs{}, nil }

// kubelet is the cluster as this node's kubelet sees it.
func kubelet() kube.Client { return kube.Client{Kubeconfig: kube.KubeletConf} }

func (p *Join) dataDir() string {
	if p.control() {
		return defaultDataDir
	}
	return ""
}

// Changes implements task.Task. Not a file decides whether a node has joined, but the cluster: admin.conf is written
// before the member is added to etcd (ksail#5818).
func (p *Join) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.settle(ctx, h); err != nil {
		return nil, err
	}
	s, err := inspect(ctx, h, "join", p.dataDir())
	if err != nil {
		return nil, err
	}
	join := task.Change{Summary: "kubeadm join as " + strings.ReplaceAll(p.Role, "_", " "), Apply: p.apply}
	switch {
	case s.fresh():
		return []task.Change{join}, nil
	case s.marker != nil:
		return p.afterMarker(ctx, h, s, join)
	case !s.kubeletConf:
		return nil, s.foreign()
	}
	return p.established(ctx, h, s)
}

// established checks a node that kflow did not leave half made.
func (p *Join) established(ctx context.Context, h task.Host, s *state) ([]task.Change, error) {
	n, err := kubelet().Node(ctx, h, patience, p.name(h))
	if other := p.otherCluster(ctx, h, s); other != nil {
		return nil, other
	}
	switch {
	case kube.Is(err, kube.Refused):
		return nil, task.Failf("the cluster does not accept the kubelet's certificate of this host: %w", err).
			WithHint("it belongs to another cluster, or has expired. If this host may join anew, run `kubeadm: {reset: {}}` on it first")
	case err != nil:
		return nil, err
	case !p.control() && s.apiserver:
		return nil, task.Failf("this host is a control plane already, and shall become a worker").
			WithHint("kflow does not reset a control plane unasked. If it shall leave the control plane: drain it, run `kubeadm: {reset: {}}` on it, delete its node, then resume")
	case p.control() && !s.apiserver:
		return nil, task.Failf("this host is a worker already, and shall become a control plane").
			WithHint("drain it, run `kubeadm: {reset: {}}` on it, delete its node, then resume")
	case n == nil && p.control():
		return nil, task.Failf("the cluster has no node %s, but this host is set up as a control plane", p.name(h)).
			WithHint("kflow does not reset a control plane unasked: its etcd may hold data. If it was removed on purpose, run `kubeadm: {reset: {}}` on it, then resume")
	case n == nil:
		return []task.Change{{Summary: "restart the kubelet: the cluster has no node " + p.name(h) + " any more", Apply: p.register}}, nil
	case !p.control():
		return nil, nil
	}
	c, err := localClient(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := kube.Patiently(ctx, h, patience, func() error { return c.Ready(ctx, h) }); err != nil || p.Version == "" {
		return nil, err
	}
	return nil, sameVersion(ctx, h, p.Version)
}

// otherCluster refuses a worker of a cluster at another address. A control plane's kubelet may ask its own API server.
func (p *Join) otherCluster(ctx context.Context, h task.Host, s *state) error {
	if p.Endpoint == "" || p.control() || s.apiserver {
		return nil
	}
	text, _, err := hostfile.Read(ctx, h, kube.KubeletConf)
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(text, "server: https://") // kubeadm's own file, with one cluster: no need to read all of it
	is, _, _ := strings.Cut(after, "\n")
	if is = strings.TrimRight(is, " \r/"); is == p.Endpoint || is == "" {
		return nil
	}
	return task.Failf("this host is a node of the cluster at %s, not of the one at %s", is, p.Endpoint).
		WithHint("if it shall leave that cluster, run `kubeadm: {reset: {}}` on it first; if that is the same cluster under another address, change the server in %s and restart the kubelet", kube.KubeletConf)
}

// localClient asks the API server of this host, not the one behind the load balancer.
func localClient(ctx context.Context, h task.Host) (kube.Client, error) {
	address, port, err := localServer(ctx, h)
	return kube.Client{Server: "https://" + net.JoinHostPort(address, port)}, err
}

// afterMarker continues after a join that kflow started and did not see the end of.
func (p *Join) afterMarker(ctx context.Context, h task.Host, s *state, join task.Change) ([]task.Change, error) {
	if err := s.marker.fresh(ctx, h); err != nil {
		return nil, err
	}
	whole, err := p.complete(ctx, h)
	if err != nil {
		return nil, err
	}
	done := func(ctx context.Context, h task.Host) error { return unmark(ctx, h, "join") }
	if whole {
		return []task.Change{{Summary: "note that kubeadm join has finished", Apply: done}}, nil
	}
	finished := false // by itself, while we waited for it
	reset := task.Change{
		Summary: "reset the half-made node (kubeadm join of " + s.marker.Started + " did not finish)",
		Apply: func(ctx context.Context, h task.Host) error {
			finished, err = s.redo(ctx, h, p.CRISocket, func() (bool, error) { return p.complete(ctx, h) })
			return err
		},
	}
	again := join
	again.Apply = func(ctx context.Context, h task.Host) error {
		if finished {
			return done(ctx, h)
		}
		return join.Apply(ctx, h)
	}
	return []task.Change{reset, again}, nil
}

// complete tells whether all that kubeadm join makes is there: it may have finished without kflow.
func (p *Join) complete(ctx context.Context, h task.Host) (bool, error) {
	s, err := inspect(ctx, h, "join", p.dataDir())
	if err != nil || !s.kubeletConf || s.bootstrapConf {
		return false, err
	}
	n, err := kubelet().Node(ctx, h, 0, p.name(h))
	if kube.Is(err, kube.Unreachable) || kube.Is(err, kube.Refused) {
		return false, nil
	}
	if err != nil || n == nil || !p.control() {
		return n != nil, err
	}
	if !s.apiserver || !n.ControlPlane() {
		return false, nil
	}
	c, err := localClient(ctx, h)
	if err != nil {
		return false, err
	}
	err = c.Ready(ctx, h)
	if kube.Is(err, kube.Unreachable) || kube.Is(err, kube.Refused) {
		return false, nil
	}
	return err == nil, err
}

// apply runs kubeadm join and waits until the node is in the cluster, a control plane with its own API server and etcd.
func (p *Join) apply(ctx context.Context, h task.Host) error {
	v, err := p.version(ctx, h)
	if err != nil {
		return err
	}
	if err := p.usable(ctx, h, v); err != nil {
		return err
	}
	config, err := p.document(h, v)
	if err != nil {
		return err
	}
	if err := kubeadm(ctx, h, v, "join", config, p.flags()...); err != nil {
		return err
	}
	if err := p.waitNode(ctx, h); err != nil {
		return err
	}
	if p.control() {
		c, err := localClient(ctx, h)
		if err != nil {
			return err
		}
		if err := waitReady(ctx, h, c); err != nil {
			return err
		}
	}
	return unmark(ctx, h, "join")
}

func (p *Join) version(ctx context.Context, h task.Host) (kube.Version, error) {
	if p.Version != "" {
		return kube.ParseVersion(p.Version)
	}
	return installed(ctx, h)
}

// register lets a worker whose node was deleted register again.
func (p *Join) register(ctx context.Context, h task.Host) error {
	if _, err := task.Must(ctx, h, task.Cmd("systemctl", "restart", "kubelet")); err != nil {
		return err
	}
	return p.waitNode(ctx, h)
}

// waitNode waits until the cluster knows this node.
func (p *Join) waitNode(ctx context.Context, h task.Host) error {
	const limit, step = 3 * time.Minute, 2 * time.Second
	for start := h.Now(); ; {
		n, err := kubelet().Node(ctx, h, patience, p.name(h))
		if n != nil || err != nil {
			return err
		}
		if h.Now().Sub(start) > limit {
			return task.Failf("the node %s is not in the cluster %s after kubeadm join", p.name(h), limit).
				WithHint("look at the kubelet on this host: `journalctl -u kubelet`. Is the node registered under another name (node_name)?")
		}
		if err := h.Sleep(ctx, step); err != nil {
			return err
		}
	}
}
