package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/plan"
)

// TestBeyond: what another selection would do besides. An index means the same in both.
func TestBeyond(t *testing.T) {
	const text = `tasks:
  - {id: a, noop: {}}
  - {id: b, on: "workers[1]", noop: {}}
  - {id: c, run: on_demand, noop: {}}
`
	for _, c := range []struct {
		made  plan.Options
		limit string
		only  []string
		want  string
	}{
		{plan.Options{}, "", nil, ""},
		{plan.Options{Limit: "m1"}, "m1", nil, ""},
		{plan.Options{Limit: "m1"}, "", nil, "a@m2 a@m3 a@w1 a@w2 b@w2"},
		{plan.Options{Limit: "m1"}, "m1,w2,gone", nil, "a@w2 b@w2"},
		{plan.Options{Limit: "m1"}, "", []string{"b"}, "b@w2"},
		{plan.Options{Only: []string{"b"}}, "workers", nil, "a@w1 a@w2"},
		{plan.Options{}, "m1", []string{"a"}, ""},
	} {
		p := site{text: text, o: c.made}.plan(t)
		var got []string
		for _, in := range p.Beyond(c.limit, c.only) {
			got = append(got, p.Name(in))
		}
		slices.Sort(got)
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%+v, then %q %q: got %s, want %s", c.made, c.limit, c.only, text, c.want)
		}
	}
}
