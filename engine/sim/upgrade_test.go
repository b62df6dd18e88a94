package sim_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/tasks"
)

const nodesNow = "kubectl --kubeconfig=/etc/kubernetes/admin.conf get nodes"

// openThere is open, with the hosts of the flagship.
func openThere(t *testing.T, playbook string, set ...string) *engine.Project {
	t.Helper()
	p, found := engine.Open(t.Context(), engine.Config{Playbook: "../../playbooks/" + playbook + ".yaml", Inventory: "../../playbooks/inventory/ha-containerd.yaml",
		Kinds: tasks.All(), Environ: []string{}, Set: set, Stage: &engine.Stage{Inventory: sim.Sizes(nil).Inventory}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// flagshipOf is the flagship for a version of Kubernetes.
func flagshipOf(t *testing.T, version string) *engine.Project {
	t.Helper()
	return openThere(t, "ha-containerd", "kubernetes_version="+version, "kubernetes_repository=https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/")
}

// cluster makes a cluster with the flagship, on three control planes and two workers.
func cluster(t *testing.T, os string) machines {
	t.Helper()
	m := machines{t, world(1, os)}
	if r := run(t, sim.NewSession(flagshipOf(t, "1.29.6"), m.w)); r.ended.Exit != 0 {
		t.Fatal(strings.Join(r.failed, "\n"))
	}
	return m
}

// TestUpgrade brings the cluster of the flagship to the next minor version: all kubelets that run are of that version, nobody is
// cordoned, a second run and the flagship in the new version find nothing to do.
func TestUpgrade(t *testing.T) {
	for _, os := range host.Families() {
		t.Run(os, func(t *testing.T) {
			m := cluster(t, os)
			p := openThere(t, "upgrade", "kubernetes_version=1.30.2")
			if r := run(t, sim.NewSession(p, m.w)); r.ended.Exit != 0 {
				t.Fatal(strings.Join(r.failed, "\n"))
			}
			said := m.must("k8s-mn01", nodesNow)
			if strings.Count(said, "   v1.30.2\n") != 5 || strings.Contains(said, "Disabled") || strings.Contains(said, "NotReady") {
				t.Error(said)
			}
			if r := run(t, sim.NewSession(p, m.w)); r.ended.Exit != 0 || len(r.changed) > 0 {
				t.Errorf("a second run: exit %d, changed %v", r.ended.Exit, r.changed)
			}
			same := flagshipOf(t, "1.30.2")
			r := run(t, sim.NewSession(same, m.w))
			r.changed = slices.DeleteFunc(r.changed, func(id string) bool { return strings.HasPrefix(id, "images@k8s-wn") }) // those of control planes
			if r.ended.Exit != 0 || len(r.changed) > 0 {
				t.Errorf("the flagship afterwards: exit %d, changed %v, failed %v", r.ended.Exit, r.changed, r.failed)
			}
		})
	}
}

// TestOtherVersionIsNoUpgrade: the playbook that made a cluster touches no package of it when another version is declared.
func TestOtherVersionIsNoUpgrade(t *testing.T) {
	m := cluster(t, "rocky9")
	p := flagshipOf(t, "1.30.2")
	r := run(t, sim.NewSession(p, m.w))
	if all := strings.Join(r.failed, "\n"); r.ended.Exit == 0 || !strings.Contains(all, "kubernetes/packages@k8s-wn01: kubelet 1.29.6") {
		t.Errorf("exit %d: %s", r.ended.Exit, all)
	}
	if said := m.must("k8s-wn01", "kubelet --version"); said != "Kubernetes v1.29.6\n" {
		t.Error(said)
	}
}

// TestUpgradeRefuses what kubeadm would break on, before anything is changed.
func TestUpgradeRefuses(t *testing.T) {
	m := cluster(t, "debian12")
	for version, want := range map[string]string{
		"1.31.0": "way@k8s-mn01: kubeadm upgrades one minor version at a time",
		"1.29.2": "kubeadm does not go back",
	} {
		r := run(t, sim.NewSession(openThere(t, "upgrade", "kubernetes_version="+version), m.w))
		if all := strings.Join(r.failed, "\n"); r.ended.Exit == 0 || !strings.Contains(all, want) {
			t.Errorf("%s: exit %d: %s", version, r.ended.Exit, all)
		}
	}
	if said := m.must("k8s-mn01", "kubeadm version -o short"); said != "v1.29.6\n" {
		t.Error(said)
	}
	if said := m.must("k8s-mn01", nodesNow); strings.Count(said, "v1.29.6") != 5 || strings.Contains(said, "Disabled") {
		t.Error(said)
	}
}

// TestKubeadmUpgradeRules are those of kubeadm itself.
func TestKubeadmUpgradeRules(t *testing.T) {
	m := cluster(t, "debian12")
	m.refused("k8s-mn01", "kubeadm upgrade apply v1.30.2 --yes", `is higher than the kubeadm version "v1.29.6"`)
	m.refused("k8s-mn01", "kubeadm upgrade apply v1.28.2 --yes", "is lower than the version")
	m.must("k8s-mn01", "kubeadm upgrade apply v1.29.6 --yes")
	m.must("k8s-wn01", "kubeadm upgrade node")
	m.must("k8s-mn02", "systemctl stop kubelet")
	m.refused("k8s-mn01", "kubeadm upgrade apply v1.29.6 --yes", "ControlPlaneNodesReady")
}
