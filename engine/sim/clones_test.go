package sim_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/task"
)

// TestClones: machines that were cloned are told before anything is changed, whatever of them is the same.
func TestClones(t *testing.T) {
	for want, set := range map[string]func(*task.Facts){
		"two machines have the same /etc/machine-id": func(f *task.Facts) { f.MachineID = "aa" },
		"two machines have the same product_uuid":    func(f *task.Facts) { f.ProductUUID = "aa" },
		"two machines have the same MAC addresses":   func(f *task.Facts) { f.MACs = []string{"52:54:00:00:00:aa"} },
		"": func(f *task.Facts) { f.ProductUUID, f.MACs = "", []string{} }, // these do not say
	} {
		p := openThere(t, "ha-containerd")
		w := world(1, "rocky9")
		for i, address := range map[int]string{0: "192.168.10.11", 4: "192.168.10.200"} {
			h, err := w.Host(p.HostNames()[i], address, i)
			if err != nil {
				t.Fatal(err)
			}
			h.SetHardware(set)
		}
		r := run(t, sim.NewSession(p, w))
		all := strings.Join(r.failed, "\n")
		if (want == "") != (r.ended.Exit == 0) || !strings.Contains(all, want) {
			t.Errorf("%q: exit %d: %s", want, r.ended.Exit, all)
		}
		if want != "" && len(r.changed) > 0 {
			t.Errorf("%q: changed %v", want, r.changed)
		}
	}
}
