package sched_test

import (
	"context"
	"fmt"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// printer is an Executor whose second host fails, and an Observer that prints how instances end.
type printer struct{ noop }

func (printer) Do(_ context.Context, in sched.Instance, _ int, _ sched.Control) sched.Result {
	if in.Host == 1 {
		return sched.Result{Err: fmt.Errorf("host %d is out of disk", in.Host)}
	}
	return sched.Result{Status: event.Changed}
}

func (printer) Started(sched.Instance, int)                                    {}
func (printer) AttemptFailed(sched.Instance, int, sched.Result, time.Duration) {}
func (printer) Ended(in sched.Instance, e sched.Ending) {
	fmt.Println("task", in.Task, "on host", in.Host, "is", e.Status, "because of", e.Roots, e.Err)
}

func Example() {
	both := []int{0, 1}
	s, err := sched.New(sched.Spec{
		Hosts: 2,
		Tasks: []sched.Task{
			{ID: "packages", Hosts: both, Group: sched.None},
			{ID: "join", Hosts: both, Needs: []sched.Need{{Task: 0}}, Lock: "join", Group: sched.None},
		},
		Limits: sched.Limits{Total: 1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	summary, err := s.Run(context.Background(), printer{}, printer{})
	fmt.Println(summary.Counts, summary.Roots[0].Blocked, err)
	// Output:
	// task 0 on host 0 is changed because of [] <nil>
	// task 0 on host 1 is failed because of [] host 1 is out of disk
	// task 1 on host 1 is blocked because of [{0 1}] <nil>
	// task 1 on host 0 is changed because of [] <nil>
	// map[blocked:1 changed:2 failed:1] 1 <nil>
}
