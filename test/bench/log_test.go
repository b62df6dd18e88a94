package bench

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
	"github.com/kflow/kflow/tasks"
)

// BenchmarkLog carries the same playbook out twice on the same simulated hosts, once with its log in memory and once on disk,
// as a real run has it, and reads that log again, as a resume does. What an instance costs more is the figure, and what it
// leaves on the disk. KFLOW_BENCH_LARGE=1 takes two thousand hosts.
func BenchmarkLog(b *testing.B) {
	hosts := 250
	if os.Getenv("KFLOW_BENCH_LARGE") != "" {
		hosts = 2000
	}
	var memory, disk, read time.Duration
	var instances int
	var size int64
	for b.Loop() {
		log := checkpoint.NewMemory("bench")
		log.Forget()
		memory, instances = logged(b, hosts, log)

		store, err := checkpoint.NewStore(checkpoint.Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		record, err := store.Create()
		if err != nil {
			b.Fatal(err)
		}
		disk, _ = logged(b, hosts, record)
		path := record.Path()
		if err := record.Close(); err != nil {
			b.Fatal(err)
		}
		used := processor()
		state, err := store.Read(record.ID())
		read = processor() - used
		info, statErr := os.Stat(path)
		if err = errors.Join(err, statErr); err != nil {
			b.Fatal(err)
		}
		if size = info.Size(); len(state.Instances) != instances {
			b.Fatalf("%d instances were carried out, %d stand in the log", instances, len(state.Instances))
		}
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(instances) }
	b.ReportMetric(each(memory), "cpu-µs/instance-memory")
	b.ReportMetric(each(disk), "cpu-µs/instance-disk")
	b.ReportMetric(each(read), "cpu-µs/instance-read")
	b.ReportMetric(float64(size)/float64(instances), "B/instance")
	b.ReportMetric(float64(disk)/float64(memory), "times-memory")
}

// logged carries workers.yaml out and returns the processor time that took, for how many instances.
func logged(b *testing.B, hosts int, log run.Journal) (time.Duration, int) {
	b.Helper()
	defer sim.Room()()
	p, found := engine.Open(b.Context(), engine.Config{Playbook: "workers.yaml", Kinds: tasks.All(), Environ: []string{},
		Stage: &engine.Stage{Inventory: sim.Sizes{"workers": hosts}.Inventory}})
	if err := found.Err(); err != nil {
		b.Fatal(err)
	}
	w := sim.NewWorld(sim.Options{Seed: 1, Kinds: tasks.All(), Parallel: true})
	used, instances := processor(), 0
	result, err := p.Rehearse(b.Context(), engine.Rehearsal{Clock: w.Clock, Log: log,
		Dialer: func(files *controller.Controller) transport.Dialer { return w.Dialer(files, p.HostNames()) },
		Sink: event.SinkFunc(func(e event.Event) {
			if e.Type == event.InstanceEnded {
				instances++
			}
		})})
	if err != nil || result.Exit != 0 {
		b.Fatalf("exit %d: %v", result.Exit, err)
	}
	return processor() - used, instances
}
