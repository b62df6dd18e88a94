package kubeadm

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
	"github.com/kflow/kflow/tasks/internal/textdiff"
)

// Init makes the first control plane.
type Init struct {
	Node
	Version                string          `json:"version" kf:"required,format=version" doc:"Version of Kubernetes, for example 1.29.6. It decides which configuration API is written."`
	ControlPlaneEndpoint   string          `json:"control_plane_endpoint" doc:"Address all nodes use for the API, host:port: the load balancer's. It cannot be added later [create-cluster]; a name is better than an address (kubeadm#2016)."`
	AdvertiseAddress       string          `json:"advertise_address" kf:"format=ip" doc:"Address of this API server; needed where the host has more than one (kubeadm#3313)."`
	BindPort               int             `json:"bind_port" default:"6443" doc:"Port of this API server."`
	ImageRepository        string          `json:"image_repository" doc:"Where images come from, instead of registry.k8s.io."`
	ServiceSubnet          task.Strings    `json:"service_subnet" kf:"format=cidr" doc:"Addresses of services; two ranges for dual stack."`
	PodSubnet              task.Strings    `json:"pod_subnet" kf:"format=cidr" doc:"Addresses of pods; must fit the network add-on's configuration."`
	DNSDomain              string          `json:"dns_domain" doc:"Domain of the cluster's names, instead of cluster.local."`
	ClusterName            string          `json:"cluster_name" doc:"Name of the cluster in kubeconfigs."`
	CertificatesDir        string          `json:"certificates_dir" kf:"format=path" doc:"Directory of certificates, instead of /etc/kubernetes/pki."`
	CertSANs               task.Strings    `json:"cert_sans" doc:"Further names and addresses in the API server's certificate."`
	Etcd                   *Etcd           `json:"etcd" doc:"Where etcd is; default: on the control planes."`
	TimeoutForControlPlane task.Duration   `json:"timeout_for_control_plane" doc:"How long kubeadm waits for the API server (from 1.13 on)."`
	FeatureGates           map[string]bool `json:"feature_gates" doc:"Feature gates of kubeadm itself."`
	ExtraArgs              ExtraArgs       `json:"extra_args" doc:"Flags of components, each a map of names (without --) to values: {v: 2}. They are written as the version of kubeadm wants them."`
	Kubelet                map[string]any  `json:"kubelet" doc:"KubeletConfiguration of all nodes, for example cgroupDriver: systemd."`
	KubeProxy              map[string]any  `json:"kube_proxy" doc:"KubeProxyConfiguration, for example mode: ipvs."`
	ClusterConfiguration   map[string]any  `json:"cluster_configuration" doc:"Further fields of ClusterConfiguration, as its API has them; they win."`
	InitConfiguration      map[string]any  `json:"init_configuration" doc:"Further fields of InitConfiguration, as its API has them; they win."`
	UploadCerts            bool            `json:"upload_certs" doc:"Upload the certificates at once. The arm token uploads them again with a new key whenever a control plane joins, so this is rarely needed."`
}

func (p *Init) check() error {
	v, err := kube.ParseVersion(p.Version)
	if err != nil {
		return err
	}
	if _, err := configAPI(v); err != nil {
		return err
	}
	if a, b, bad := overlap(p.ServiceSubnet, p.PodSubnet); bad {
		return task.Failf("service_subnet %s and pod_subnet %s overlap", a, b).WithHint("choose ranges that share no address, with each other nor with the hosts' network")
	}
	if _, _, bad := overlap(slices.Concat(p.ServiceSubnet, p.PodSubnet), []string{p.AdvertiseAddress + "/32"}); bad {
		return task.Failf("advertise_address %s lies in service_subnet or pod_subnet", p.AdvertiseAddress)
	}
	if e := p.ControlPlaneEndpoint; e != "" {
		if _, _, err := net.SplitHostPort(e); err != nil && strings.Contains(e, ":") && net.ParseIP(e) == nil {
			return task.Failf("control_plane_endpoint %q is not host:port", e)
		}
	}
	if p.UploadCerts && !v.AtLeast(14) {
		return noUploadCerts(v)
	}
	return p.Node.check()
}

func noUploadCerts(v kube.Version) error {
	return task.Failf("kubeadm %s cannot upload certificates for other control planes", v).
		WithHint("copy ca.crt, ca.key, sa.key, sa.pub, front-proxy-ca.crt, front-proxy-ca.key and etcd/ca.crt, etcd/ca.key from the first control plane's /etc/kubernetes/pki to the others, and only these, before they join (`fetch` and `file`)")
}

func (p *Init) touches() task.Touches {
	return task.Touches{
		Reads:  append(runtimeAt(p.CRISocket), "package:kubeadm", "package:kubelet"),
		Writes: []string{"cluster", "path:/etc/kubernetes/", "path:/var/lib/kubelet/", "path:" + p.Etcd.dataDir() + "/"},
	}
}

// Changes implements task.Task.
func (p *Init) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.settle(ctx, h); err != nil {
		return nil, err
	}
	v, err := kube.ParseVersion(p.Version)
	if err != nil {
		return nil, err
	}
	docs, err := p.documents(h, v)
	if err != nil {
		return nil, err
	}
	config, err := document(docs...)
	if err != nil {
		return nil, err
	}
	s, err := inspect(ctx, h, "init", p.Etcd.dataDir())
	if err != nil {
		return nil, err
	}
	run := task.Change{
		Summary: "kubeadm init " + v.String(), Diff: textdiff.Unified("kubeadm configuration", "", config),
		Apply: func(ctx context.Context, h task.Host) error { return p.apply(ctx, h, v, config) },
	}
	switch {
	case s.fresh():
		return []task.Change{run}, nil
	case s.marker != nil:
		return p.afterMarker(ctx, h, s, run)
	}
	return nil, p.established(ctx, h, s)
}

// established checks a control plane that kflow did not leave half made: it works, or a person must look.
func (p *Init) established(ctx context.Context, h task.Host, s *state) error {
	if !s.adminConf {
		return s.foreign()
	}
	var c kube.Client
	if err := kube.Patiently(ctx, h, patience, func() error { return c.Ready(ctx, h) }); err != nil {
		var f *task.Failure
		if errors.As(err, &f) && kube.Is(err, kube.Unreachable) {
			return task.Failf("this control plane has been set up, but its API does not answer: %s", f.Summary).Retryable().
				WithHint("kflow did not start this set-up in the last day, so it will not reset it. Start it (`systemctl status kubelet containerd`, `crictl ps -a`), then resume; if it may be thrown away, run `kubeadm: {reset: {}}`")
		}
		return err
	}
	n, err := c.Node(ctx, h, patience, p.name(h))
	if err != nil {
		return err
	}
	if n != nil {
		return sameVersion(ctx, h, p.Version)
	}
	return task.Failf("the API answers, but the cluster has no node %s", p.name(h)).
		WithHint("either the host's name has changed since (`kubectl get nodes`; set node_name), or the kubelet does not run (`journalctl -u kubelet`)")
}

// afterMarker continues after an init that kflow started and did not see the end of.
func (p *Init) afterMarker(ctx context.Context, h task.Host, s *state, run task.Change) ([]task.Change, error) {
	if err := s.marker.fresh(ctx, h); err != nil {
		return nil, err
	}
	whole, err := p.complete(ctx, h)
	if err != nil {
		return nil, err
	}
	if whole {
		return []task.Change{{Summary: "note that kubeadm init has finished", Apply: func(ctx context.Context, h task.Host) error {
			return unmark(ctx, h, "init")
		}}}, nil
	}
	finished := false // by itself, while we waited for it
	reset := task.Change{
		Summary: "reset the half-made control plane (kubeadm init of " + s.marker.Started + " did not finish)",
		Apply: func(ctx context.Context, h task.Host) error {
			finished, err = s.redo(ctx, h, p.CRISocket, func() (bool, error) { return p.complete(ctx, h) })
			return err
		},
	}
	again := run
	again.Apply = func(ctx context.Context, h task.Host) error {
		if finished {
			return unmark(ctx, h, "init")
		}
		return run.Apply(ctx, h)
	}
	return []task.Change{reset, again}, nil
}

// complete tells whether all that kubeadm init makes is there: it may have finished without kflow.
func (p *Init) complete(ctx context.Context, h task.Host) (bool, error) {
	if _, err := h.Stat(ctx, kube.AdminConf); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var c kube.Client
	if err := c.Ready(ctx, h); err != nil {
		if kube.Is(err, kube.Unreachable) || kube.Is(err, kube.Refused) {
			return false, nil
		}
		return false, err
	}
	n, err := c.Node(ctx, h, patience, p.name(h))
	if err != nil || n == nil {
		return false, err
	}
	want := []string{"configmap/kubeadm-config", "configmap/kubelet-config"}
	if !slices.Contains(p.SkipPhases, "addon") && !slices.Contains(p.SkipPhases, "addon/kube-proxy") {
		want = append(want, "daemonset.apps/kube-proxy")
	}
	o, err := c.Run(ctx, h, c.Query("-n", "kube-system", "get", "configmap,daemonset", "-o", "name"))
	if err != nil {
		return false, err
	}
	for _, name := range want {
		if !strings.Contains(o.Stdout, name) {
			return false, nil
		}
	}
	o, err = c.Run(ctx, h, c.Query("-n", "kube-public", "get", "configmap", "cluster-info", "--ignore-not-found", "-o", "name"))
	return err == nil && o.Text() != "", err
}

// apply runs kubeadm init.
func (p *Init) apply(ctx context.Context, h task.Host, v kube.Version, config string) error {
	flags := append(p.flags(), "--skip-token-print")
	if p.UploadCerts {
		flag := "--upload-certs"
		if !v.AtLeast(15) {
			flag = "--experimental-upload-certs"
		}
		flags = append(flags, flag, "--skip-certificate-key-print")
	}
	if err := kubeadm(ctx, h, v, "init", config, flags...); err != nil {
		return err
	}
	if err := waitReady(ctx, h, kube.Client{}); err != nil {
		return err
	}
	return unmark(ctx, h, "init")
}

func (p *Init) outputs(ctx context.Context, h task.Host) (Outputs, error) {
	out := Outputs{Endpoint: p.ControlPlaneEndpoint, Kubeconfig: kube.AdminConf}
	if out.Endpoint == "" && p.AdvertiseAddress != "" {
		out.Endpoint = net.JoinHostPort(p.AdvertiseAddress, strconv.Itoa(p.BindPort))
	}
	var err error
	if out.Endpoint == "" {
		out.Endpoint, err = kube.ServerOf(ctx, h, kube.AdminConf)
	}
	return out, err
}
