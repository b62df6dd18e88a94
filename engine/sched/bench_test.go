package sched_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// noop is an executor that does nothing.
type noop struct{}

func (noop) When(context.Context, sched.Instance) sched.Condition { return sched.Condition{Run: true} }
func (noop) Enter(context.Context, int, int) sched.Condition      { return sched.Condition{Run: true} }
func (noop) Do(context.Context, sched.Instance, int, sched.Control) sched.Result {
	return sched.Result{Status: event.OK}
}

// chain is a playbook of tasks one after the other; every tenth waits for all hosts.
func chain(tasks, hosts int) sched.Spec {
	all := make([]int, hosts)
	for h := range all {
		all[h] = h
	}
	spec := sched.Spec{Hosts: hosts}
	for t := range tasks {
		task := sched.Task{ID: fmt.Sprint("t", t), Hosts: all, Group: sched.None}
		if t > 0 {
			need := sched.Need{Task: t - 1}
			if t%10 == 0 {
				need.Form = sched.AllHosts
			}
			task.Needs = []sched.Need{need}
		}
		spec.Tasks = append(spec.Tasks, task)
	}
	return spec
}

// BenchmarkNoop measures what the scheduler itself costs for each instance.
func BenchmarkNoop(b *testing.B) {
	for _, size := range []struct{ tasks, hosts int }{{20, 50}, {50, 200}, {100, 1000}, {200, 5000}} {
		n := size.tasks * size.hosts
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				runNoop(b, size.tasks, size.hosts)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/instance")
			b.ReportMetric(memoryOf(b, size.tasks, size.hosts)/float64(n), "B/instance")
		})
	}
}

// BenchmarkWide is the other extreme: nothing needs anything, everything is ready at once and waits for room on its host.
func BenchmarkWide(b *testing.B) {
	const tasks, hosts = 10_000, 100
	spec := chain(tasks, hosts)
	for t := range spec.Tasks {
		spec.Tasks[t].Needs = nil
	}
	for b.Loop() {
		runSpec(b, spec, tasks*hosts)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(tasks*hosts), "ns/instance")
}

// BenchmarkScale compares a million instances with a thousand: the ratio of what each of them costs.
func BenchmarkScale(b *testing.B) {
	var small, large time.Duration
	for b.Loop() {
		start := time.Now()
		for range 100 {
			runNoop(b, 20, 50)
		}
		small += time.Since(start) * 10
		start = time.Now()
		runNoop(b, 200, 5000)
		large += time.Since(start)
	}
	b.ReportMetric(float64(large)/float64(small), "ratio-1M:1k")
}

func runNoop(tb testing.TB, tasks, hosts int) {
	runSpec(tb, chain(tasks, hosts), tasks*hosts)
}

func runSpec(tb testing.TB, spec sched.Spec, instances int) {
	s, err := sched.New(spec)
	if err != nil {
		tb.Fatal(err)
	}
	sum, err := s.Run(context.Background(), noop{}, nil)
	if err != nil || sum.Counts[event.OK] != instances {
		tb.Fatal(sum.Counts, err)
	}
}

func TestAnInstanceCostsFewBytes(t *testing.T) {
	if b := memoryOf(t, 100, 1000) / 100_000; b > 100 {
		t.Errorf("%.1f bytes an instance", b)
	}
}

// memoryOf returns the bytes that are in use at the end of a run.
func memoryOf(tb testing.TB, tasks, hosts int) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	last := &lastMoment{left: tasks * hosts, then: func() {
		runtime.GC()
		runtime.ReadMemStats(&after)
	}}
	s, err := sched.New(chain(tasks, hosts))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := s.Run(context.Background(), noop{}, last); err != nil {
		tb.Fatal(err)
	}
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

// lastMoment calls a function when the last instance ends.
type lastMoment struct {
	left int
	then func()
}

func (l *lastMoment) Started(sched.Instance, int)                                    {}
func (l *lastMoment) AttemptFailed(sched.Instance, int, sched.Result, time.Duration) {}
func (l *lastMoment) Ended(sched.Instance, sched.Ending) {
	if l.left--; l.left == 0 {
		l.then()
	}
}
