package checkpoint

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// storeAt is a store whose clock moves a second with every look at it.
func storeAt(t *testing.T) *Store {
	now := start()
	s, err := NewStore(Options{Dir: t.TempDir(), Now: func() time.Time { now = now.Add(time.Second); return now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// past makes a run of an earlier process, ended by the events.
func past(t *testing.T, s *Store, playbook string, end ...event.Event) string {
	t.Helper()
	r := create(t, s)
	appendAll(t, r, event.Event{Type: event.RunStarted, Time: start(), Playbook: playbook, Inventory: "/inv.yaml", Hosts: 5})
	appendAll(t, r, end...)
	r.Close()
	return r.ID()
}

func TestTheLatestRunIsTheOneThatBeganLastWhateverTheClockSays(t *testing.T) {
	now := start()
	s, err := NewStore(Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, jump := range []time.Duration{0, 0, 0, -time.Hour, 24 * 365 * time.Hour, -24 * 400 * time.Hour, time.Second} {
		now = now.Add(jump)
		id := past(t, s, "p")
		if latest, err := s.Find("latest"); err != nil || latest != id {
			t.Errorf("after a jump of %s: %s, %v; want %s", jump, latest, err, id)
		}
		if all, err := s.List(); err != nil || all[0].ID != id {
			t.Errorf("after a jump of %s: %v %+v", jump, err, all[0])
		}
	}
}

func TestARunThatNeverBeganCanNotBeResumed(t *testing.T) {
	s := storeAt(t)
	create(t, s).Close()
	if all, err := s.List(); err != nil || all[0].Status != Interrupted || all[0].Resumable() {
		t.Errorf("%v %+v", err, all[0])
	}
	past(t, s, "p")
	if all, err := s.List(); err != nil || !all[0].Resumable() {
		t.Errorf("%v %+v", err, all[0])
	}
}

func TestListTellsHowRunsEnded(t *testing.T) {
	s := storeAt(t)
	ended := func(exit int) event.Event { return event.Event{Type: event.RunEnded, Exit: exit} }
	resumed := event.Event{Type: event.RunStarted, Resumed: true}
	output := event.Event{Type: event.Output, Line: strings.Repeat("x", 1000)}
	cases := []struct {
		name string
		end  []event.Event
		want RunStatus
	}{
		{"no last word", nil, Interrupted},
		{"done", []event.Event{ended(0)}, Succeeded},
		{"failed", []event.Event{ended(3)}, FailedRun},
		{"Ctrl-C", []event.Event{ended(130)}, Interrupted},
		{"killed in its second session", []event.Event{ended(3), resumed}, Interrupted},
		{"resumed and done", []event.Event{ended(3), resumed, ended(0)}, Succeeded},
		{"resumed in part", []event.Event{ended(3), resumed, {Type: event.RunEnded, Left: 2}}, Incomplete},
		{"failed in part", []event.Event{ended(3), resumed, {Type: event.RunEnded, Left: 2, Exit: 3}}, FailedRun},
		{"a word after the end", []event.Event{ended(0), {Type: event.Note, Line: "report written"}}, Succeeded},
		{"much output", append(repeat(output, 200), ended(3)), FailedRun},
		{"much output, no end", append([]event.Event{ended(3), resumed}, repeat(output, 200)...), Interrupted},
	}
	for _, c := range cases {
		id := past(t, s, c.name, c.end...)
		all, err := s.List()
		if err != nil || all[0].ID != id || all[0].Status != c.want || all[0].Playbook != c.name || all[0].Hosts != 5 {
			t.Errorf("%s: %v %+v", c.name, err, all[0])
		}
		if all[0].Resumable() != (c.want != Succeeded) {
			t.Errorf("%s: resumable is %t", c.name, all[0].Resumable())
		}
	}
	r := create(t, s)
	if sum := s.Summary(r.ID()); sum.Status != Running || sum.Owner.PID != os.Getpid() || sum.Resumable() {
		t.Errorf("running: %+v", sum)
	}
}

func repeat(e event.Event, n int) []event.Event {
	all := make([]event.Event, n)
	for i := range all {
		all[i] = e
	}
	return all
}

func TestABrokenLogIsListedWithItsProblem(t *testing.T) {
	s := storeAt(t)
	id := past(t, s, "/ha.yaml", session()...)
	f, _ := os.OpenFile(s.LogPath(id), os.O_RDWR, 0)
	f.WriteAt([]byte("XX"), 3)
	f.Close()
	past(t, s, "/ha.yaml")
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Problem != "" || !strings.Contains(all[1].Problem, "line 1 is damaged") {
		t.Fatalf("%v %+v", err, all)
	}
}

func TestDurationsAreLearnedPerTask(t *testing.T) {
	s := newStore(t)
	if h := s.History("ha.yaml"); len(h) != 0 {
		t.Errorf("before any run: %v", h)
	}
	learn := func(events ...event.Event) {
		t.Helper()
		d := NewDurations()
		for _, e := range events {
			d.Emit(e)
		}
		if err := s.Learn("ha.yaml", d); err != nil {
			t.Fatal(err)
		}
	}
	learn(session()...)
	h := s.History("./ha.yaml")
	if h["hostname"] != (Seconds{Changed: 2, OK: 2}) || h["kernel"] != (Seconds{Changed: 2}) {
		t.Errorf("first run: %+v", h)
	}
	learn(event.Event{Type: event.InstanceEnded, Task: "kernel", Status: event.Changed, Duration: 5 * time.Second},
		event.Event{Type: event.InstanceEnded, Task: "kernel", Status: event.Changed, Duration: 3 * time.Second},
		event.Event{Type: event.InstanceEnded, Task: "kernel", Status: event.Reused, Duration: time.Hour},
		event.Event{Type: event.InstanceEnded, Task: "kernel", Status: event.Failed, Duration: time.Hour})
	if got := s.History("ha.yaml")["kernel"]; got.Changed != 3 || got.Weight() != 3*time.Second {
		t.Errorf("second run: %+v", got)
	}
	os.WriteFile(s.historyPath("ha.yaml"), []byte("{torn"), 0o600)
	if h := s.History("ha.yaml"); len(h) != 0 {
		t.Errorf("a broken file: %v", h)
	}
}

func TestALastEventMayBeLong(t *testing.T) {
	for _, size := range []int{tail - 1000, tail, 3 * tail, 20 * tail} {
		s := newStore(t)
		r := create(t, s)
		end := event.Event{Type: event.RunEnded, Exit: 3, Counts: map[event.Status]int{event.Failed: 500}}
		for range size / 1000 {
			end.Roots = append(end.Roots, event.Root{Instance: "a@b", Failure: &event.Failure{Output: strings.Repeat("x", 1000)}})
		}
		appendAll(t, r, event.Event{Type: event.RunStarted, Playbook: "ha.yaml"}, end)
		r.Close()
		if sum := s.Summary(r.ID()); sum.Status != FailedRun || sum.Exit != 3 || sum.Counts[event.Failed] != 500 || sum.Playbook != "ha.yaml" {
			t.Errorf("%d bytes: %+v", size, sum)
		}
	}
}

func TestARunThatHasLostItsLogSaysSo(t *testing.T) {
	s := storeAt(t)
	id := past(t, s, "a")
	if err := os.Remove(s.LogPath(id)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Read(id)
	if !errors.Is(err, ErrNoRun) || !strings.Contains(err.Error(), "has lost its log") {
		t.Error(err)
	}
	if sum := s.Summary(id); sum.Resumable() || !strings.Contains(sum.Problem, "rm -r "+s.runDir(id)) {
		t.Errorf("%+v", sum)
	}
}

func TestAFolderThatCannotBeMadeSaysWhatToDo(t *testing.T) {
	_, err := NewStore(Options{Dir: "/proc/kflow"})
	if err == nil || !strings.Contains(err.Error(), "the directory for runs: ") {
		t.Error(err)
	}
	if err := explain("the directory for runs", syscall.EROFS); !strings.Contains(err.Error(), "--state DIR") {
		t.Error(err)
	}
}
