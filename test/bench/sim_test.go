package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/tasks"
)

// BenchmarkWorkers carries out what the flagship does on its workers, a hundred tasks (see workers.yaml), on more and more
// simulated hosts: with the kinds, the run and the events of a real one. An instance must cost the same however many there are,
// and a million of them must fit into 1 GiB. KFLOW_BENCH_LARGE=1 goes up to ten thousand hosts, which is about that many.
func BenchmarkWorkers(b *testing.B) {
	scale{playbook: "workers.yaml", sizes: []int{50, 100, 250}, large: []int{1000, 2000, 5000, 10_000}, most: 1.5}.run(b)
}

// BenchmarkFlagship does so with the whole flagship. It writes the lines of all hosts into a file of each and makes each ask
// whether another one is its twin, and so can't be linear to the end: most is what is accepted.
func BenchmarkFlagship(b *testing.B) {
	scale{playbook: "../../playbooks/ha-containerd.yaml", sizes: []int{50, 100, 250}, large: []int{1000, 2000, 5000, 10_000}, most: 4}.run(b)
}

// scale is a playbook that is measured on several numbers of workers.
type scale struct {
	playbook     string
	sizes, large []int
	most         float64 // times that an instance may cost with the most hosts as with the fewest
}

// point is one measurement.
type point struct {
	hosts, instances int
	wall, cpu        time.Duration
	peak             float64 // MiB in memory, at most
}

func (p point) each() float64 { return float64(p.cpu.Microseconds()) / float64(p.instances) }

func (s scale) run(b *testing.B) {
	sizes := s.sizes
	if os.Getenv("KFLOW_BENCH_LARGE") != "" {
		sizes = s.large
	}
	var points []point
	for _, n := range sizes {
		var last point
		b.Run("hosts="+strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				last = s.measure(b, n)
			}
			b.ReportMetric(float64(last.wall.Microseconds())/float64(last.instances), "µs/instance")
			b.ReportMetric(last.each(), "cpu-µs/instance")
			b.ReportMetric(float64(last.instances), "instances")
			b.ReportMetric(last.peak, "peak-MiB")
		})
		if last.instances > 0 { // else it was not chosen
			points = append(points, last)
		}
	}
	if len(points) > 1 {
		s.judge(b, points)
	}
}

// judge prints the points with the straight lines through them. What is judged is processor time: others may be at work on
// this machine.
func (s scale) judge(b *testing.B, points []point) {
	var instances, hosts, wall, cpu, peak []float64
	for _, p := range points {
		instances, hosts = append(instances, float64(p.instances)), append(hosts, float64(p.hosts))
		wall, cpu, peak = append(wall, p.wall.Seconds()), append(cpu, p.cpu.Seconds()), append(peak, p.peak)
		b.Logf("%6d hosts %8d instances %8.2f s %8.2f s of processor %6.1f µs each %6.0f MiB", p.hosts, p.instances,
			p.wall.Seconds(), p.cpu.Seconds(), p.each(), p.peak)
	}
	for _, line := range []struct {
		what string
		x, y []float64
		per  float64
		unit string
	}{
		{"time", instances, wall, 1e6, "s, and %.1f µs for each instance"}, {"processor", instances, cpu, 1e6, "s, and %.1f µs for each instance"},
		{"memory", hosts, peak, 1024, "MiB, and %.1f KiB for each host"},
	} {
		a, slope, fits := fit(line.x, line.y)
		b.Logf("%-9s %.2f "+line.unit+" (R² %.4f)", line.what, a, slope*line.per, fits)
	}
	first, last := points[0], points[len(points)-1]
	ratio := last.each() / first.each()
	b.Logf("an instance costs %.2f times as much with %d hosts as with %d", ratio, last.hosts, first.hosts)
	if ratio > s.most {
		b.Errorf("an instance costs %.1f times as much with %d hosts as with %d", ratio, last.hosts, first.hosts)
	}
	if last.peak > 1024 {
		b.Errorf("%d hosts take %.0f MiB", last.hosts, last.peak)
	}
}

// fit is the straight line a + slope*x through points, by least squares, and how well it fits: 1 is all on the line.
func fit(x, y []float64) (a, slope, r2 float64) {
	n := float64(len(x))
	var sx, sy, sxx, sxy, syy float64
	for i := range x {
		sx, sy, sxx, sxy, syy = sx+x[i], sy+y[i], sxx+x[i]*x[i], sxy+x[i]*y[i], syy+y[i]*y[i]
	}
	cov, vx, vy := n*sxy-sx*sy, n*sxx-sx*sx, n*syy-sy*sy
	slope = cov / vx
	return (sy - slope*sx) / n, slope, cov * cov / (vx * vy)
}

// measure carries the playbook out once, on both cores as with --fast.
func (s scale) measure(b *testing.B, hosts int) point {
	b.Helper()
	defer sim.Room()()
	debug.FreeOSMemory()
	forgetPeak()
	began, used := time.Now(), processor()
	p, found := engine.Open(b.Context(), engine.Config{Playbook: s.playbook, Kinds: tasks.All(), Environ: []string{},
		Stage: &engine.Stage{Inventory: sim.Sizes{"workers": hosts}.Inventory}})
	if err := found.Err(); err != nil {
		b.Fatal(err)
	}
	w := sim.NewWorld(sim.Options{Seed: 1, Kinds: tasks.All(), Parallel: true})
	session := sim.NewSession(p, w)
	session.Log.Forget()
	instances, failed := 0, ""
	result, err := session.Run(b.Context(), event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded {
			instances++
			if e.Failure != nil && failed == "" {
				failed = e.Instance + ": " + e.Failure.Summary
			}
		}
	}), nil)
	if err != nil || result.Exit != 0 || instances == 0 {
		b.Fatalf("exit %d after %d instances: %v %s", result.Exit, instances, err, failed)
	}
	out := point{hosts: hosts, instances: instances, wall: time.Since(began), cpu: processor() - used, peak: peak(b)}
	runtime.KeepAlive(w)
	return out
}

// processor is the processor time of the program so far.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// forgetPeak makes the kernel count the peak of memory from now on; where it does not let us, peaks are those of all before.
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peak is the most memory that the program has had, in MiB.
func peak(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	b.Fatal("the kernel tells no peak of memory")
	return 0
}
