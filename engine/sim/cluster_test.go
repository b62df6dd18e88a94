package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/task"
)

// ask runs a program on a host of a world in which nothing else happens.
func ask(t *testing.T, w *sim.World, name string, argv ...string) task.Output {
	t.Helper()
	w.Clock.Hold()
	defer w.Clock.Release()
	h := w.Network.Host(name)
	if h == nil {
		t.Fatalf("there is no host %s", name)
	}
	o, err := h.Run(t.Context(), task.Query(argv...))
	if err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return o
}

// TestClusterSurvivesOneControlPlane: the address moves when its holder goes away, two members of three are a quorum, and
// one is none.
func TestClusterSurvivesOneControlPlane(t *testing.T) {
	w := world(1)
	if r := run(t, sim.NewSession(open(t, flagship, nil), w)); r.ended.Exit != 0 {
		t.Fatal(r.failed)
	}
	nodes := func() task.Output {
		return ask(t, w, "k8s-wn01", "kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf", "get", "nodes", "-o", "json")
	}
	if o := nodes(); strings.Count(o.Stdout, `"status":"True","type":"Ready"`) != 5 {
		t.Errorf("not five ready nodes: %+v", o)
	}
	w.Network.SetDown("k8s-mn01", true)
	w.Pass(time.Minute)
	if o := nodes(); strings.Count(o.Stdout, `"status":"True","type":"Ready"`) != 4 {
		t.Errorf("with one control plane gone: %+v", o)
	}
	w.Network.SetDown("k8s-mn02", true)
	w.Pass(time.Minute)
	if o := nodes(); o.OK() {
		t.Errorf("with two of three control planes gone the API still answers: %s", o.Stdout)
	}
	w.Network.SetDown("k8s-mn01", false)
	if o := nodes(); !o.OK() {
		t.Errorf("with two of three back: %+v", o)
	}
}

// TestHostAfterReboot: what is set for the next boot holds, and nothing else.
func TestHostAfterReboot(t *testing.T) {
	w := world(1, "rocky9")
	if r := run(t, sim.NewSession(open(t, flagship, nil), w)); r.ended.Exit != 0 {
		t.Fatal(r.failed)
	}
	h := w.Network.Host("k8s-wn01")
	before := h.Facts().BootID
	h.Reboot()
	if h.Facts().BootID == before {
		t.Error("the boot id is the same")
	}
	if h.Swap() {
		t.Error("swap is back")
	}
	for file, want := range map[string]string{"/proc/sys/net/ipv4/ip_forward": "1", "/proc/sys/net/bridge/bridge-nf-call-iptables": "1",
		"/proc/sys/kernel/hostname": "k8s-wn01", "/sys/fs/selinux/enforce": "0"} {
		if got := strings.TrimSpace(h.Text(file)); got != want {
			t.Errorf("%s is %q, not %q", file, got, want)
		}
	}
	for _, unit := range []string{"containerd", "kubelet", "chronyd"} {
		if on, _ := h.Active(unit); !on {
			t.Errorf("%s does not run", unit)
		}
	}
	if on, _ := h.Active("firewalld"); on {
		t.Error("firewalld is back")
	}
}
