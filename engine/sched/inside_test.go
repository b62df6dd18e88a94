package sched

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTheReadySetGivesTheLowestIndexFirst(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 64, 65, 5000, 300_000} {
		set, heap, want := newReadySet(size), queue{}, []inst{}
		for range min(size, 3000) {
			i := inst(rnd.IntN(size))
			set.add(i)
			heap.push(i)
			want = append(want, i)
		}
		slices.Sort(want)
		for _, i := range want {
			if got := heap.pop(); got != i {
				t.Fatalf("size %d: the heap gives %d, want %d", size, got, i)
			}
		}
		for _, i := range slices.Compact(want) {
			if set.empty() {
				t.Fatalf("size %d: empty too early", size)
			}
			if got := set.pop(); got != i {
				t.Fatalf("size %d: the set gives %d, want %d", size, got, i)
			}
		}
		if !set.empty() {
			t.Fatalf("size %d: not empty", size)
		}
	}
}

type idle struct{}

func (idle) When(context.Context, Instance) Condition          { return Condition{Run: true} }
func (idle) Enter(context.Context, int, int) Condition         { return Condition{Run: true} }
func (idle) Do(context.Context, Instance, int, Control) Result { return Result{} }

// A correct plan and a correct scheduler never get there: it is for the day on which one of them is not.
func TestWhatCanNeverStartIsNamed(t *testing.T) {
	s, err := New(Spec{Hosts: 1, Tasks: []Task{
		{ID: "a", Hosts: []int{0}, Group: None},
		{ID: "b", Hosts: []int{0}, Needs: []Need{{Task: 0}}, Group: None},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s.graph, idle{}, nobody{})
	r.spawn = func() { go r.worker(t.Context()) }
	r.pending[s.graph.find(Instance{Task: 1})]++ // the end of this need will never be heard of
	r.seed()
	err = r.loop(nil, nil)
	var stuck *StuckError
	if !errors.As(err, &stuck) || stuck.Total != 1 || err.Error() != "1 instances can never start: b@0 waits for its needs" {
		t.Error(err)
	}
}
