package kubeadm

import (
	"context"
	"errors"
	"os/exec" //nolint:depguard // for ErrNotFound, which Host.Run documents; nothing is run with it
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Reset removes what kubeadm has made.
type Reset struct {
	CRISocket string `json:"cri_socket" doc:"Socket of the container runtime; needed where more than one is installed."`
	EtcdData  string `json:"etcd_data" kf:"format=path" default:"/var/lib/etcd" doc:"Directory of etcd's data, which is removed."`
	Network   bool   `json:"network" default:"true" doc:"Also remove what network add-ons leave: /etc/cni/net.d, /var/lib/cni, /var/lib/calico (with it the name Calico knows the node by), the links cni0, flannel.1, vxlan.calico and kube-ipvs0, ipvs rules (kubernetes#39557)."`
}

// leftovers of network add-ons, which kubeadm reset leaves (website#49448).
func (p *Reset) networkPaths() []string {
	if !p.Network {
		return nil
	}
	return []string{"/etc/cni/net.d", "/var/lib/cni", "/var/lib/calico"}
}

func (p *Reset) check() error { return nil }

func (p *Reset) touches() task.Touches {
	t := task.Touches{Writes: []string{"cluster", "path:/etc/kubernetes/", "path:/var/lib/kubelet/", "path:" + p.EtcdData + "/"}}
	for _, dir := range p.networkPaths() {
		t.Writes = append(t.Writes, "path:"+dir+"/")
	}
	return t
}

func (p *Reset) outputs(context.Context, task.Host) (Outputs, error) { return Outputs{}, nil }

// Changes implements task.Task.
func (p *Reset) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	s, err := inspect(ctx, h, "init", p.EtcdData)
	if err != nil {
		return nil, err
	}
	var there []string
	if !s.fresh() {
		there = append(there, s.what())
	}
	for _, dir := range slices.Concat([]string{"/var/lib/kubelet/config.yaml", markerDir, pkiDir + "/ca.crt"}, p.networkPaths()) {
		ok, err := p.holds(ctx, h, dir)
		if err != nil {
			return nil, err
		}
		if ok {
			there = append(there, dir)
		}
	}
	there = slices.DeleteFunc(there, func(s string) bool { return s == "" })
	if len(there) == 0 {
		return nil, nil
	}
	return []task.Change{{Summary: "kubeadm reset", Diff: "remove: " + strings.Join(there, ", "), Apply: p.apply}}, nil
}

// holds tells whether there is a file, or a directory with something in it.
func (p *Reset) holds(ctx context.Context, h task.Host, name string) (bool, error) {
	if there, err := hostfile.Exists(ctx, h, name); !there || err != nil {
		return false, err
	}
	info, err := h.Stat(ctx, name)
	if err != nil || !info.Mode.IsDir() {
		return true, err
	}
	entries, err := h.ReadDir(ctx, name)
	return len(entries) > 0, err
}

func (p *Reset) apply(ctx context.Context, h task.Host) error {
	if err := runReset(ctx, h, p.CRISocket); err != nil {
		return err
	}
	for _, dir := range p.networkPaths() {
		if err := emptyDir(ctx, h, dir); err != nil {
			return err
		}
	}
	if err := cleanFiles(ctx, h, p.EtcdData); err != nil {
		return err
	}
	if err := h.Remove(ctx, markerDir); err != nil || !p.Network {
		return err
	}
	return cleanNetwork(ctx, h)
}

// runReset runs kubeadm reset. On a control plane that takes this host's member out of etcd, which needs the other members;
// where it cannot, it says so and goes on.
func runReset(ctx context.Context, h task.Host, socket string) error {
	if err := leaveEtcd(ctx, h); err != nil {
		return err
	}
	argv := []string{"kubeadm", "reset", "--force"}
	if socket != "" {
		v, err := installed(ctx, h)
		if err != nil {
			return err
		}
		argv = append(argv, "--cri-socket", kube.Socket(v, socket))
	}
	c := task.Cmd(argv...).Streamed()
	o, err := h.Run(ctx, c)
	if errors.Is(err, exec.ErrNotFound) {
		return noKubeadm()
	}
	if err != nil {
		return err
	}
	if !o.OK() {
		return failure(c, o)
	}
	if all := o.Stdout + o.Stderr; strings.Contains(all, "ailed to remove etcd member") {
		h.Log("kubeadm could not take this host's member out of etcd; if it is still in `etcdctl member list` on another control plane, remove it there (`etcdctl member remove`) before this host joins again")
	}
	return nil
}

// cleanFiles removes what kubeadm reset leaves when it cannot read its own manifests any more.
func cleanFiles(ctx context.Context, h task.Host, etcdData string) error {
	names := []string{kube.AdminConf, kube.KubeletConf, bootstrapConf, "/etc/kubernetes/super-admin.conf", "/etc/kubernetes/controller-manager.conf",
		"/etc/kubernetes/scheduler.conf", "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env", pkiDir + "/ca.crt"}
	for _, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
		names = append(names, path.Join(manifestDir, component+".yaml"))
	}
	if etcdData != "" {
		names = append(names, path.Join(etcdData, "member"))
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, h.Remove(ctx, name))
	}
	return errors.Join(errs...)
}

func emptyDir(ctx context.Context, h task.Host, dir string) error {
	entries, err := h.ReadDir(ctx, dir)
	if err != nil {
		return nil //nolint:nilerr // it is not there
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, h.Remove(ctx, path.Join(dir, e.Name)))
	}
	return errors.Join(errs...)
}

// cleanNetwork removes links and rules; that they are not there is no error.
func cleanNetwork(ctx context.Context, h task.Host) error {
	var cmds [][]string
	if there, err := hostfile.Exists(ctx, h, "/proc/net/ip_vs"); err != nil {
		return err
	} else if there {
		cmds = append(cmds, []string{"ipvsadm", "--clear"})
	}
	for _, link := range []string{"cni0", "flannel.1", "vxlan.calico", "kube-ipvs0"} {
		there, err := hostfile.Exists(ctx, h, "/sys/class/net/"+link)
		if err != nil {
			return err
		}
		if there {
			cmds = append(cmds, []string{"ip", "link", "delete", link})
		}
	}
	for _, argv := range cmds {
		o, err := h.Run(ctx, task.Cmd(argv...))
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !o.OK() {
			h.Log(strings.Join(argv, " ") + ": " + o.Tail(200))
		}
	}
	return nil
}

// redo throws a half-made node away. A kubeadm that still runs is waited for; when it has finished its work, nothing is
// thrown away. What was there before kubeadm comes back.
func (s *state) redo(ctx context.Context, h task.Host, socket string, complete func() (bool, error)) (finished bool, err error) {
	waited, err := waitForKubeadm(ctx, h)
	if err != nil {
		return false, err
	}
	if waited {
		if finished, err := complete(); finished || err != nil {
			return finished, err
		}
	}
	if err := runReset(ctx, h, socket); err != nil {
		return false, err
	}
	if err := cleanFiles(ctx, h, s.etcdData); err != nil {
		return false, err
	}
	for _, dir := range []string{pkiDir, manifestDir} {
		if err := copyTree(ctx, h, givenDir+dir, dir); err != nil {
			return false, err
		}
	}
	return false, unmark(ctx, h, path.Base(strings.TrimSuffix(s.marker.path, ".json")))
}

// waitForKubeadm waits for a kubeadm that an interrupted run of kflow left running.
func waitForKubeadm(ctx context.Context, h task.Host) (waited bool, err error) {
	const limit, step = 10 * time.Minute, 5 * time.Second
	for start := h.Now(); ; waited = true {
		o, err := h.Run(ctx, task.Query("pgrep", "-x", "kubeadm"))
		if errors.Is(err, exec.ErrNotFound) || err == nil && !o.OK() {
			return waited, nil
		}
		if err != nil {
			return waited, err
		}
		if h.Now().Sub(start) > limit {
			return waited, task.Failf("kubeadm from an earlier attempt still runs on this host (process %s)", o.Text()).WithHint("see what it waits for, end it, then resume")
		}
		if !waited {
			h.Log("kubeadm from an earlier attempt still runs (process " + o.Text() + "), waiting for its end")
		}
		if err := h.Sleep(ctx, step); err != nil {
			return waited, err
		}
	}
}
