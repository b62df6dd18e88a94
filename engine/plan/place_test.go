package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/plan"
)

// TestPlacesByInputs: which hosts a task has can depend on inputs, of the playbook and of a part.
func TestPlacesByInputs(t *testing.T) {
	const play = `inputs: {n: {type: int}, who: {type: string, default: w2}}
tasks:
  - {id: some, on: "cp[:inputs.n]", noop: {}}
  - {id: at, on: "cp[0]", at: "where(all, .name == inputs.who)", noop: {}}
  - {id: part, use: part.yaml, with: {who: "${{ inputs.who }}"}}
-- part.yaml --
kflow: v1
name: part
inputs: {who: {type: string}}
tasks: [{id: one, on: "where(all, .name == inputs.who)", noop: {}}]
`
	p, found := site{text: play, o: plan.Options{Inputs: map[string]any{"n": 2, "who": "w1"}}}.make(t)
	if found.HasErrors() {
		t.Fatal(found.Err())
	}
	var got []string
	for _, l := range p.Leaves {
		var names []string
		for _, h := range append(l.Hosts, l.Place.Hosts...) {
			names = append(names, p.Hosts[h].Name)
		}
		got = append(got, fmt.Sprint(l.Task.Path, names))
	}
	if want := "some[m1 m2] at[m1 w1] part/one[w1]"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", strings.Join(got, " "), want)
	}
	_, found = site{text: play}.make(t)
	all := found.Sorted()
	want := "which hosts are meant depends on input `n`, which has no value yet: give it with --set n=…"
	if len(all) != 1 || all[0].Summary != want || all[0].Pos.Line == 0 {
		t.Errorf("%v, want %s", all, want)
	}
}
