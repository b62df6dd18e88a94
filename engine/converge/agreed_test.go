package converge

import (
	"testing"

	"github.com/kflow/kflow/engine/job"
)

// TestBoundToWhatWasAgreed: nothing else is applied, and no lazy parameter is asked for.
func TestBoundToWhatWasAgreed(t *testing.T) {
	agreed := []job.Change{{Summary: "set a", Diff: "-\n+1"}}
	for name, c := range map[string]struct {
		world   map[string]string
		agreed  []job.Change
		lazy    bool
		refused bool
	}{
		"as agreed":         {nil, agreed, false, false},
		"another diff":      {map[string]string{"a": "2"}, agreed, false, true},
		"nothing agreed":    {nil, nil, false, true},
		"nothing to do":     {map[string]string{"a": "1"}, nil, false, false},
		"lazy, as agreed":   {nil, agreed, true, false},
		"lazy, not as such": {map[string]string{"a": "2"}, agreed, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{world: c.world}
			out := b.run(t.Context(), job.Request{Mode: job.Apply, Bound: true, Agreed: c.agreed, HasLazy: c.lazy}, `{"key":"a","value":"1"}`)
			if (out.Failure != nil) != c.refused || c.refused && (out.Applied || out.NeedsLazy || b.world["a"] == "1") {
				t.Errorf("%+v, world %v", out, b.world)
			}
			if !c.refused && c.lazy && !out.NeedsLazy {
				t.Error("the lazy parameters are not asked for")
			}
		})
	}
	b := &bench{} // the second turn starts from what the first has made: its diff may be another
	out := b.run(t.Context(), job.Request{Mode: job.Apply, Bound: true, Agreed: []job.Change{{Summary: "set a", Diff: "-\n+1"}, {Summary: "set a", Diff: "-\n+2", Item: 1}}},
		`{"key":"a","value":"1"}`, `{"key":"a","value":"2"}`)
	if out.Failure != nil || b.world["a"] != "2" {
		t.Errorf("%+v, world %v", out.Failure, b.world)
	}
}
