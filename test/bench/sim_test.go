package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/tasks"
)

// workers is what the flagship does on a worker to give it a container runtime: binaries, unit, configuration edited
// from its default, service.
const workers = `kflow: v1
name: scale
groups:
  workers: {}
tasks:
  - id: runtime
    use: %PARTS%/containerd.yaml
    with:
      sandbox_image: registry.k8s.io/pause:3.9
`

// BenchmarkSimulatedHosts shows how simulated runs scale: the cost of an instance must not depend on the number of hosts,
// and ten thousand hosts must fit into less than 1 GiB. KFLOW_BENCH_LARGE=1 takes them.
func BenchmarkSimulatedHosts(b *testing.B) {
	sizes := []int{250, 500, 1000, 2000}
	if os.Getenv("KFLOW_BENCH_LARGE") != "" {
		sizes = append(sizes, 5000, 10_000)
	}
	perInstance := map[int]float64{}
	for _, n := range sizes {
		b.Run("hosts="+strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				perInstance[n] = simulate(b, n)
			}
		})
	}
	small, large := sizes[1], sizes[len(sizes)-1]
	if perInstance[small] == 0 || perInstance[large] == 0 {
		return // only some were chosen
	}
	ratio := perInstance[large] / perInstance[small]
	b.Logf("an instance costs %.2f times as much with %d hosts as with %d", ratio, large, small)
	if ratio > 2 {
		b.Errorf("an instance costs %.1f times as much with %d hosts as with %d", ratio, large, small)
	}
}

// simulate runs the playbook on n hosts and returns the microseconds per instance.
func simulate(b *testing.B, n int) float64 {
	b.Helper()
	p := project(b, n)
	w := sim.NewWorld(sim.Options{Seed: 1, Kinds: tasks.All()})
	s := sim.NewSession(p, w)
	s.Log.Forget()
	instances := 0
	began := time.Now()
	result, err := s.Run(b.Context(), event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded {
			instances++
		}
	}), nil)
	if err != nil || result.Exit != 0 || instances == 0 {
		b.Fatalf("exit %d after %d instances: %v", result.Exit, instances, err)
	}
	each := float64(time.Since(began).Microseconds()) / float64(instances)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(each, "µs/instance")
	b.ReportMetric(float64(m.HeapAlloc)/float64(n), "B/host")
	b.ReportMetric(float64(instances), "instances")
	const limit = 1 << 30
	if m.HeapAlloc > limit {
		b.Errorf("%d hosts take %d MiB", n, m.HeapAlloc>>20)
	}
	runtime.KeepAlive(w)
	return each
}

func project(b *testing.B, hosts int) *engine.Project {
	b.Helper()
	parts, err := filepath.Abs("../../playbooks/lib")
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "scale.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(workers, "%PARTS%", parts)), 0o600); err != nil {
		b.Fatal(err)
	}
	p, found := engine.Open(b.Context(), engine.Config{Playbook: file, Kinds: tasks.All(), Environ: []string{}, Parallel: 256,
		Stage: &engine.Stage{Inventory: sim.Sizes{"workers": hosts}.Inventory}})
	if err := found.Err(); err != nil {
		b.Fatal(err)
	}
	return p
}
