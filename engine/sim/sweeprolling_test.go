package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/tasks"
)

// TestSweepOfARollingChange: what every run does again, and what a finally has undone, is not held against a run.
func TestSweepOfARollingChange(t *testing.T) {
	s := &sim.Sweep{Project: open(t, "testdata/rolling.yaml", sim.Sizes{"workers": 3}), Workers: 2, Gap: time.Hour,
		Options: sim.Options{Seed: 1, Kinds: tasks.All()}}
	cases, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if table, wrong := sim.Table(cases); wrong > 0 || len(cases) < 100 {
		t.Errorf("%s", table)
	}
}

// TestAResumeTakesTheNodeOutAgain: the step that failed is done behind the one that its finally has undone, and hosts that were
// through are left alone.
func TestAResumeTakesTheNodeOutAgain(t *testing.T) {
	p := open(t, "testdata/rolling.yaml", sim.Sizes{"workers": 3})
	w := world(1)
	f, err := sim.ParseFault("node/setting@workers-02:fail:9")
	if err != nil {
		t.Fatal(err)
	}
	w.Faults.Add(f)
	s := sim.NewSession(p, w)
	if r := run(t, s); r.ended.Exit == 0 {
		t.Fatal("nothing has failed")
	}
	s.Heal(time.Hour)
	var did []string
	sink := event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded && e.Status == event.Changed && !strings.HasSuffix(e.Instance, "-03") {
			did = append(did, e.Instance)
		}
	})
	if _, err := s.Run(t.Context(), sink, nil); err != nil {
		t.Fatal(err)
	}
	want := "node/out@workers-02 node/setting@workers-02 node/back@workers-02"
	if got := strings.Join(did, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
