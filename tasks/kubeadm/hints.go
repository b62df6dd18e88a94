package kubeadm

import (
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// advice is what to do about a text in the output of kubeadm.
type advice struct {
	texts     []string
	hint      string
	transient bool
}

// advices are tried in order; the first that fits counts.
func advices() []advice {
	return []advice{
		{texts: []string{"found multiple CRI endpoints", "Found multiple CRI"},
			hint: "more than one container runtime is installed: set cri_socket, for example unix:///run/containerd/containerd.sock, or unix:///var/run/cri-dockerd.sock for Docker (cri-dockerd#427)"},
		{texts: []string{"[ERROR Port-", "is in use"},
			hint: "a port kubeadm needs is taken (`ss -ltnp`): an earlier set-up still runs (`kubeadm: {reset: {}}`), or the load balancer on this host listens on 6443 instead of, say, 8443 (kubeadm#2472)"},
		{texts: []string{"[ERROR Swap]", "running with swap on is not supported"},
			hint: "swap is on: use the task `swap: off`; fstab alone is not enough (zram, systemd swap units: kubespray#2348)"},
		{texts: []string{"[ERROR ImagePull]", "failed to pull image"},
			hint: "images cannot be pulled: check image_repository and the runtime's mirrors and proxy, or bring the images with the kind image (`kubeadm: {images: ..}` lists them)"},
		{texts: []string{"[ERROR FileAvailable", "[ERROR DirAvailable"},
			hint: "files of an earlier set-up are in the way; if they may go, run `kubeadm: {reset: {}}`"},
		{texts: []string{"[ERROR NumCPU]", "[ERROR Mem]"}, hint: "kubeadm wants 2 CPUs and 1700 MB for a control plane; ignore_preflight_errors: [NumCPU, Mem] for a trial"},
		{texts: []string{"bridge-nf-call-iptables", "ip_forward"},
			hint: "load br_netfilter (modprobe) and then set net.bridge.bridge-nf-call-iptables and net.ipv4.ip_forward to 1 (sysctl), in this order"},
		{texts: []string{"[ERROR CRI]", "container runtime is not running", "unknown service runtime.v1"},
			hint: "the container runtime does not answer at cri_socket: is it running (`systemctl status containerd`), and is its CRI plugin on? The packaged containerd.io configuration disables it (`containerd config default`)"},
		{texts: []string{"message authentication failed"},
			hint: "the certificate key is not that of the uploaded certificates (kubeadm#1510): take it from an on-demand `kubeadm: {token: {upload_certs: true}}`"},
		{texts: []string{`"kubeadm-certs" not found`, `"kubeadm-certs" was not found`, "secret \"kubeadm-certs\""},
			hint: "the uploaded certificates are gone: they live 2 hours. Take token and key from an on-demand `kubeadm: {token: {upload_certs: true}}`; it uploads them again (sealos#1783)", transient: true},
		{texts: []string{"certificate has expired or is not yet valid", "certificate is not yet valid"},
			hint: "the clock of this host differs from that of the control plane (`timedatectl`, `chronyc tracking` on both), or certificates have ended (`kubeadm certs check-expiration`): set the clocks right (chrony), or renew (`kubeadm: {certificates: {}}`), then resume (kubeasz#918)"},
		{texts: []string{"could not find a JWS signature", "token id", "cluster CA found in cluster-info ConfigMap is invalid", "invalid discovery token"},
			hint: "the bootstrap token has expired (24 hours by default), or the CA hash is another cluster's: take both from an on-demand `kubeadm: {token: {}}`", transient: true},
		{texts: []string{"too many learner members", "can only promote a learner member", "unhealthy cluster", "etcdserver: re-configuration failed"},
			hint: "etcd takes one new member at a time: give the joins of control planes `lock: etcd_join` (kubeadm#1646, enhancements#3615); see `etcdctl member list` for a member that failed before", transient: true},
		{texts: []string{"leader changed", "etcdserver: request timed out", "TLS handshake timeout"}, hint: "etcd was electing a leader; try again", transient: true},
		{texts: []string{"did not change after"}, transient: true,
			hint: "a component of the control plane did not come up in its new version, and kubeadm has put the old one back: `crictl ps -a`, `crictl logs` on this host; an image that cannot be pulled is the usual cause"},
		{texts: []string{"[ERROR ControlPlaneNodesReady]", "NotReady control-planes in the cluster"},
			hint: "all control planes must be ready before an upgrade: `kubectl get nodes`, `journalctl -u kubelet` on the one that is not"},
		{texts: []string{"[ERROR CoreDNSUnsupportedPlugins]", "[ERROR CoreDNSMigration]"},
			hint: "the configuration of CoreDNS was changed in a way kubeadm cannot carry over: `kubectl -n kube-system get configmap coredns -o yaml`; ignore_preflight_errors: [CoreDNSUnsupportedPlugins, CoreDNSMigration] where it is right for the new version"},
		{texts: []string{"[ERROR CreateJob]", "[ERROR StaticPodManifest]"},
			hint: "kubeadm's check of the cluster before the upgrade did not succeed: `kubectl -n kube-system get pods,jobs`; nodes that take no pods (cordoned) or a manifest that is missing in /etc/kubernetes/manifests"},
		{texts: []string{"timed out waiting for the condition", "couldn't initialize a Kubernetes cluster", "context deadline exceeded", "kubelet-check"},
			hint: "the control plane did not come up in time: `crictl ps -a` and the log of a container that ends (`crictl logs`), `journalctl -u kubelet`; common causes are a cgroup driver that differs between kubelet and runtime (kubeadm#639), a pause image that cannot be pulled (kubeadm#2801), and a load balancer that does not reach this host"},
		{texts: []string{"connection refused", "no route to host", "i/o timeout"}, hint: "the API server's address cannot be reached from this host: check the load balancer, firewall and control_plane_endpoint", transient: true},
	}
}

// failure is the error of a kubeadm command.
func failure(c task.Command, o task.Output) error {
	f := task.Failf("`%s` ended with exit code %d", commandOf(c), o.Code).WithOutput(tail(o))
	all := o.Stdout + o.Stderr
	for _, a := range advices() {
		for _, t := range a.texts {
			if strings.Contains(all, t) {
				f.Transient = a.transient
				return f.WithHint("%s", a.hint)
			}
		}
	}
	return f
}

// commandOf names a command without its flags.
func commandOf(c task.Command) string {
	var words []string
	for _, w := range c.Argv {
		if strings.HasPrefix(w, "-") {
			break
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// tail is what a person should see of a failed kubeadm: its steps are on standard output, errors on standard error.
func tail(o task.Output) task.Output {
	const most = 1500
	steps := task.Output{Stdout: o.Stdout}.Tail(most)
	return task.Output{Stderr: strings.TrimSpace(steps + "\n" + strings.TrimSpace(o.Stderr))}
}
