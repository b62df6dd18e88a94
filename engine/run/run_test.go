package run_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kflow/kflow/engine/event"
)

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestARunSaysWhatItDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		r := s.run(`
  - id: a
    name: The first
    put: {key: a, value: 1}
  - id: b
    needs: [a]
    put: {key: b, value: 2}
`).want(0, `
			a@h1 changed
			b@h1 changed
		`)
		var types []string
		for _, e := range r.events {
			types = append(types, strings.TrimSpace(string(e.Type)+" "+e.Instance))
		}
		want := "run_started, host_up, instance_started a@h1, change a@h1, instance_ended a@h1, " +
			"instance_started b@h1, change b@h1, instance_ended b@h1, run_ended"
		if got := strings.Join(types, ", "); got != want {
			t.Errorf("events\n%s\nwant\n%s", got, want)
		}
		end := r.of(event.InstanceEnded)[0]
		if end.Title != "The first" || end.Kind != "put" || end.Host != "h1" || !end.Changed || end.Changes != 1 || !strings.HasPrefix(end.Pos, s.dir) {
			t.Errorf("end of a: %+v", end)
		}
		if text := string(end.Outputs); text != `{"value":"1","was":""}` {
			t.Errorf("outputs of a: %s", text)
		}
		last := r.of(event.RunEnded)[0]
		if last.Counts[event.Changed] != 2 || last.Exit != 0 || len(last.Roots) > 0 {
			t.Errorf("end of the run: %+v", last)
		}
	})
}

func TestASecondRunChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1", "h2")
		book := `
  - id: a
    put: {key: a, value: 1}
`
		s.run(book).want(0, "a@h1 changed\na@h2 changed")
		s.run(book).want(0, "a@h1 ok\na@h2 ok")
	})
}
