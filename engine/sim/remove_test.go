package sim_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/tasks"
)

// TestRemove takes a control plane and a worker out of the cluster of the flagship: etcd keeps the members that stay, and a second
// run finds nothing to do.
func TestRemove(t *testing.T) {
	m := cluster(t, "rocky9")
	text, err := os.ReadFile("../../playbooks/inventory/ha-containerd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	inventory := string(text)
	for _, leaves := range []string{"address: 192.168.10.33\n    groups: [control_plane]", "address: 192.168.10.200\n    groups: [workers]"} {
		address, _, _ := strings.Cut(leaves, "\n")
		inventory = strings.Replace(inventory, leaves, address+"\n    groups: [leaving]", 1)
	}
	file := filepath.Join(t.TempDir(), "hosts.yaml")
	if err := os.WriteFile(file, []byte(inventory), 0o600); err != nil {
		t.Fatal(err)
	}
	p, found := engine.Open(t.Context(), engine.Config{Playbook: "../../playbooks/remove.yaml", Inventory: file, Kinds: tasks.All(), Environ: []string{},
		Stage: &engine.Stage{Inventory: sim.Sizes(nil).Inventory}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	if r := run(t, sim.NewSession(p, m.w)); r.ended.Exit != 0 {
		t.Fatal(strings.Join(r.failed, "\n"))
	}
	said := m.must("k8s-mn01", nodesNow)
	if strings.Contains(said, "k8s-mn03") || strings.Contains(said, "k8s-wn02") || strings.Count(said, "\n") != 3 {
		t.Error(said)
	}
	members := m.must("k8s-mn01", "kubectl --kubeconfig=/etc/kubernetes/admin.conf -n kube-system exec etcd-k8s-mn01 -- etcdctl member list")
	if strings.Contains(members, "k8s-mn03") || strings.Count(members, "started") != 2 {
		t.Error(members)
	}
	m.refused("k8s-wn02", "kubectl --kubeconfig=/etc/kubernetes/kubelet.conf get nodes", "no such file")
	if r := run(t, sim.NewSession(p, m.w)); r.ended.Exit != 0 || len(r.changed) > 0 {
		t.Errorf("a second run: exit %d, changed %v, %v", r.ended.Exit, r.changed, r.failed)
	}
}
