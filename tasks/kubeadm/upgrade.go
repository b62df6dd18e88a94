package kubeadm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Upgrade brings a cluster, or what one host has of it, to a later version.
type Upgrade struct {
	Version         string       `json:"version" kf:"required,format=version" doc:"Version of Kubernetes, for example 1.30.2: a later patch of the one there is, or the next minor version."`
	Cluster         bool         `json:"cluster" doc:"Upgrade the cluster (kubeadm upgrade apply): on one control plane, before all other hosts. Without it, this host alone (kubeadm upgrade node)."`
	NodeName        string       `json:"node_name" doc:"Name of the node; default: the host's name, lower case."`
	RenewCerts      bool         `json:"certificate_renewal" default:"true" doc:"Whether the certificates of the control plane are renewed with it."`
	IgnorePreflight task.Strings `json:"ignore_preflight_errors" doc:"Checks of kubeadm whose failures only warn."`
}

// upgradeFile notes on a host an upgrade that has begun, upgradedFile the last one of a worker.
const (
	upgradeFile  = markerDir + "/upgrade.json"
	upgradedFile = markerDir + "/upgraded.json"
)

// upgrading is what these files hold.
type upgrading struct {
	Version string `json:"version"`
	Apply   bool   `json:"apply,omitempty"` // the cluster is upgraded, not this host alone
	Started string `json:"started,omitempty"`
}

func (p *Upgrade) check() error {
	v, err := kube.ParseVersion(p.Version)
	if err != nil {
		return err
	}
	if !v.AtLeast(15) {
		return task.Failf("Kubernetes %s: kubeadm before 1.15 upgrades further control planes in another way", v)
	}
	return nil
}

func (p *Upgrade) touches() task.Touches {
	return task.Touches{
		Reads:  []string{"package:kubeadm"},
		Writes: []string{"cluster", "path:/etc/kubernetes/", "path:/var/lib/kubelet/"},
	}
}

func (p *Upgrade) outputs(context.Context, task.Host) (Outputs, error) { return Outputs{}, nil }

// Changes implements task.Task. That the cluster says it has a version is no proof: kubeadm notes that before it has ended
// (kubeasz#1420). So an upgrade that kflow has begun is carried out again until it was seen to end.
func (p *Upgrade) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	want, err := kube.ParseVersion(p.Version)
	if err != nil {
		return nil, err
	}
	begun, err := readUpgrade(ctx, h, upgradeFile)
	if err != nil {
		return nil, err
	}
	if joined, err := hostfile.Exists(ctx, h, kube.KubeletConf); err != nil {
		return nil, err
	} else if !joined {
		return nil, notyet.Failf("cluster", "this host is no node of a cluster").WithHint("there is nothing to upgrade here: `kubeadm: {join: ..}` makes it a node")
	}
	pods, err := staticVersions(ctx, h)
	if err != nil {
		return nil, err
	}
	is, err := p.clusterVersion(ctx, h, len(pods) > 0)
	if err != nil {
		return nil, err
	}
	if why := p.skew(is, want, len(pods) > 0); why != nil {
		return nil, why
	}
	switch {
	case p.Cluster && (older(is, want) || begun != nil && begun.Apply):
		if err := nodesFit(ctx, h, want); err != nil {
			return nil, err
		}
		return p.change(begun, want, true, "cluster: "+is.String()+" -> "+want.String()), nil
	case len(pods) > 0 && (begun != nil || slices.ContainsFunc(pods, func(v kube.Version) bool { return v != want })):
		return p.change(begun, want, false, fmt.Sprintf("control plane of this host: %s -> %s", pods[0], want)), nil
	case len(pods) > 0:
		return nil, nil
	}
	from, done, err := p.worker(ctx, h, want)
	if err != nil || done && begun == nil {
		return nil, err
	}
	return p.change(begun, want, false, "configuration of the kubelet: "+from+" -> "+want.String()), nil
}

func older(a, b kube.Version) bool {
	return slices.Compare([]int{a.Major, a.Minor, a.Patch}, []int{b.Major, b.Minor, b.Patch}) < 0
}

// skew says why a cluster cannot go from a version to another one, or a host not yet.
func (p *Upgrade) skew(is, want kube.Version, control bool) error {
	switch {
	case older(want, is):
		return task.Failf("the cluster has Kubernetes %s already, and kubeadm does not go back to %s", is, want).WithHint("declare %s or later", strings.TrimPrefix(is.String(), "v"))
	case want.Minor > is.Minor+1:
		return task.Failf("the cluster has Kubernetes %s: kubeadm upgrades one minor version at a time", is).
			WithHint("upgrade to 1.%d first, all nodes with it, then to 1.%d, up to %s", is.Minor+1, is.Minor+2, want)
	case p.Cluster && !control:
		return task.Failf("cluster: true is for a control plane, and this host has none").WithHint("run this task on: control_plane[0]")
	case !p.Cluster && older(is, want):
		return notyet.Failf("cluster", "the cluster has Kubernetes %s, and is upgraded before this host", is).
			WithHint("let this task need the one with `upgrade: {version: %s, cluster: true}` on the first control plane", p.Version)
	}
	return nil
}

// clusterVersion is what the cluster says it has. A worker asks as its kubelet.
func (p *Upgrade) clusterVersion(ctx context.Context, h task.Host, control bool) (kube.Version, error) {
	c := kubelet()
	if control {
		c = kube.Client{}
	}
	text, err := c.ConfigMap(ctx, h, patience, "kube-system", "kubeadm-config", "ClusterConfiguration")
	if err != nil {
		return kube.Version{}, err
	}
	m := regexp.MustCompile(`(?m)^kubernetesVersion:\s*(\S+)`).FindStringSubmatch(text)
	if m == nil {
		return kube.Version{}, task.Failf("ConfigMap kubeadm-config in kube-system names no kubernetesVersion").WithHint("was this cluster made with kubeadm?")
	}
	return kube.ParseVersion(strings.Trim(m[1], `"'`))
}

// staticVersions are the versions of the control plane of this host, as its manifests have them; none on a worker.
func staticVersions(ctx context.Context, h task.Host) ([]kube.Version, error) {
	var out []kube.Version
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		v, err := staticVersion(ctx, h, name)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out = append(out, *v)
		}
	}
	return out, nil
}

// staticVersion is the version of a component in its manifest; nil where there is none, or where it cannot be told.
func staticVersion(ctx context.Context, h task.Host, component string) (*kube.Version, error) {
	b, err := h.ReadFile(ctx, manifestDir+"/"+component+".yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := regexp.MustCompile(`(?m)^\s*image:\s*\S+:(v\d+\.\d+\.\d+\S*)`).FindSubmatch(b)
	if m == nil {
		return nil, nil
	}
	v, err := kube.ParseVersion(strings.Trim(string(m[1]), `"'`))
	return &v, err
}

// sameVersion refuses to call a control plane of another version than the declared one right: neither init nor join changes it.
func sameVersion(ctx context.Context, h task.Host, declared string) error {
	want, err := kube.ParseVersion(declared)
	if err != nil {
		return err
	}
	is, err := staticVersion(ctx, h, "kube-apiserver")
	if err != nil || is == nil || *is == want {
		return err
	}
	f := task.Failf("this control plane has Kubernetes %s, and %s is declared", is, want)
	if older(want, *is) {
		return f.WithHint("it has been upgraded since: declare %s", strings.TrimPrefix(is.String(), "v"))
	}
	return f.WithHint("init and join do not upgrade a cluster: `kubeadm: {upgrade: ..}` does, host by host (playbooks/upgrade.yaml); or declare %s", strings.TrimPrefix(is.String(), "v"))
}

// oldest is how many minor versions a kubelet may be older than its API server.
func oldest(v kube.Version) int {
	if v.AtLeast(28) {
		return 3
	}
	return 2
}

// nodesFit refuses an upgrade that would leave kubelets behind too far.
func nodesFit(ctx context.Context, h task.Host, want kube.Version) error {
	var nodes struct {
		Items []kube.Node `json:"items"`
	}
	var c kube.Client
	if err := c.JSON(ctx, h, patience, &nodes, "get", "nodes"); err != nil {
		return err
	}
	var behind []string
	for _, n := range nodes.Items {
		v, err := kube.ParseVersion(n.Status.NodeInfo.KubeletVersion)
		if err == nil && v.Minor < want.Minor-oldest(want) {
			behind = append(behind, n.Metadata.Name+" ("+v.String()+")")
		}
	}
	if behind == nil {
		return nil
	}
	return task.Failf("the kubelets of these nodes are too old for an API server of %s: %s", want, strings.Join(behind, ", ")).
		WithHint("a kubelet may be %d minor versions older than the API server, not more: upgrade these nodes first", oldest(want))
}

// worker tells whether a worker has this version: it was upgraded to it, or has joined with it.
func (p *Upgrade) worker(ctx context.Context, h task.Host, want kube.Version) (from string, done bool, err error) {
	last, err := readUpgrade(ctx, h, upgradedFile)
	if err != nil {
		return "", false, err
	}
	if last != nil && last.Version == want.String() {
		return "", true, nil
	}
	own := Node{NodeName: p.NodeName}
	if err := own.settle(ctx, h); err != nil {
		return "", false, err
	}
	n, err := kubelet().Node(ctx, h, patience, own.NodeName)
	if err != nil {
		return "", false, err
	}
	if n == nil {
		return "", false, task.Failf("the cluster has no node %s", own.NodeName).WithHint("is it registered under another name? Set node_name")
	}
	from = n.Status.NodeInfo.KubeletVersion
	return from, from == want.String(), nil
}

func (p *Upgrade) change(begun *upgrading, want kube.Version, apply bool, diff string) []task.Change {
	summary := "kubeadm upgrade node to " + want.String()
	if apply {
		summary = "kubeadm upgrade apply " + want.String()
	}
	if begun != nil {
		diff += "\nan upgrade of " + begun.Started + " was not seen to end: it is carried out again"
	}
	return []task.Change{{Summary: summary, Diff: diff, Apply: func(ctx context.Context, h task.Host) error { return p.apply(ctx, h, want, apply) }}}
}

// apply runs kubeadm upgrade, which may be repeated, and waits until the API server of this host is ready.
func (p *Upgrade) apply(ctx context.Context, h task.Host, want kube.Version, apply bool) error {
	if err := newEnough(ctx, h, want); err != nil {
		return err
	}
	if _, err := waitForKubeadm(ctx, h); err != nil {
		return err
	}
	if err := writeUpgrade(ctx, h, upgradeFile, upgrading{want.String(), apply, h.Now().UTC().Format(time.RFC3339)}); err != nil {
		return err
	}
	argv := []string{"kubeadm", "upgrade", "node"}
	if apply {
		argv = []string{"kubeadm", "upgrade", "apply", want.String(), "--yes"}
	}
	if !p.RenewCerts {
		argv = append(argv, "--certificate-renewal=false")
	}
	if len(p.IgnorePreflight) > 0 {
		argv = append(argv, "--ignore-preflight-errors="+strings.Join(p.IgnorePreflight, ","))
	}
	if err := must(ctx, h, task.Cmd(argv...).Streamed()); err != nil {
		return err
	}
	if there, err := hostfile.Exists(ctx, h, manifestDir+"/kube-apiserver.yaml"); err != nil {
		return err
	} else if !there {
		if err := writeUpgrade(ctx, h, upgradedFile, upgrading{Version: want.String()}); err != nil {
			return err
		}
		return h.Remove(ctx, upgradeFile)
	}
	c, err := localClient(ctx, h)
	if err != nil {
		return err
	}
	if err := waitReady(ctx, h, c); err != nil {
		return err
	}
	return h.Remove(ctx, upgradeFile)
}

// newEnough checks that the kubeadm of this host is of the minor version that is wanted, and no earlier patch of it.
func newEnough(ctx context.Context, h task.Host, want kube.Version) error {
	have, err := installed(ctx, h)
	if err != nil {
		return err
	}
	if have.Major == want.Major && have.Minor == want.Minor && !older(have, want) {
		return nil
	}
	return task.Failf("kubeadm on this host is %s and cannot upgrade to %s", have, want).
		WithHint("install it first, and leave kubelet and kubectl for later: `package: {names: [kubeadm], version: %s}`; each minor version has a repository of its own", strings.TrimPrefix(want.String(), "v"))
}

func readUpgrade(ctx context.Context, h task.Host, name string) (*upgrading, error) {
	text, exists, err := hostfile.Read(ctx, h, name)
	if err != nil || !exists {
		return nil, err
	}
	u := new(upgrading)
	if err := json.Unmarshal([]byte(text), u); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return u, nil
}

func writeUpgrade(ctx context.Context, h task.Host, name string, u upgrading) error {
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := h.MkdirAll(ctx, path.Dir(markerDir), task.Attr{}); err != nil {
		return err
	}
	if err := h.MkdirAll(ctx, markerDir, task.Attr{Mode: 0o700}); err != nil {
		return err
	}
	return hostfile.Write(ctx, h, name, string(b)+"\n", task.Attr{Mode: 0o600})
}
