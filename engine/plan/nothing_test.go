package plan_test

import (
	"testing"

	"github.com/kflow/kflow/engine/plan"
)

// TestAPlanOfNothingSaysSo: a run of it would end well.
func TestAPlanOfNothingSaysSo(t *testing.T) {
	const text = "tasks:\n  - {id: a, on: workers, noop: {}}\n  - {id: b, on: cp, noop: {}}\n"
	const empty = "-- hosts.yaml --\nkflow: v1\nhosts: {}\n"
	for _, c := range []struct {
		text string
		o    plan.Options
		want string
		hint string
	}{
		{text, plan.Options{}, "", ""},
		{text, plan.Options{Limit: "w1"}, "", ""},
		{text, plan.Options{Limit: "w1", Only: []string{"b"}}, "nothing is to be done: no task runs on any host of hosts.yaml", "--limit and --only leave nothing over"},
		{text + empty, plan.Options{}, "nothing is to be done: no task runs on any host of hosts.yaml", ""},
		{text + empty, plan.Options{Sketch: true}, "", ""},
		{"tasks: []\n", plan.Options{}, "", ""},
	} {
		_, found := site{text: c.text, o: c.o}.make(t)
		got, hint := "", ""
		for _, d := range found.Sorted() {
			got, hint = got+d.Summary, hint+d.Hint
		}
		if got != c.want || hint != c.hint || found.HasErrors() {
			t.Errorf("%+v, %d bytes: %q %q, want %q %q", c.o, len(c.text), got, hint, c.want, c.hint)
		}
	}
}
