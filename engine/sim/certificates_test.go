package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/sim"
)

// TestRenewCertificates: those of a new cluster are left alone; near the end of their year each control plane gets new ones, once,
// and the cluster works.
func TestRenewCertificates(t *testing.T) {
	m := cluster(t, "debian12")
	fresh := openThere(t, "renew-certificates")
	if r := run(t, sim.NewSession(fresh, m.w)); r.ended.Exit != 0 || strings.Contains(strings.Join(r.changed, " "), "certificates@") {
		t.Fatalf("exit %d, changed %v, %v", r.ended.Exit, r.changed, r.failed)
	}
	if r := run(t, sim.NewSession(fresh, m.w)); r.ended.Exit != 0 || len(r.changed) > 0 {
		t.Errorf("a second run: exit %d, changed %v", r.ended.Exit, r.changed)
	}
	m.w.Pass(345 * 24 * time.Hour)
	late := run(t, sim.NewSession(fresh, m.w))
	if late.ended.Exit != 0 || strings.Count(strings.Join(late.changed, " "), "certificates@") != 3 {
		t.Errorf("after 345 days: exit %d, changed %v, %v", late.ended.Exit, late.changed, late.failed)
	}
	if r := run(t, sim.NewSession(fresh, m.w)); r.ended.Exit != 0 || len(r.changed) > 0 {
		t.Errorf("a run after that: exit %d, changed %v", r.ended.Exit, r.changed)
	}
	if said := m.must("k8s-mn01", nodesNow); strings.Contains(said, "NotReady") {
		t.Error(said)
	}
}
