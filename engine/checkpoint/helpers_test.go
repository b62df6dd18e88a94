package checkpoint

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// start is the time of the first event of every test.
func start() time.Time { return time.Date(2026, 11, 21, 13, 15, 1, 0, time.UTC) }

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := NewStore(Options{Dir: t.TempDir(), Now: start})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t testing.TB, s *Store) *Run {
	t.Helper()
	r, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func appendAll(t testing.TB, r *Run, events ...event.Event) {
	t.Helper()
	if err := r.Append(events...); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
}

// session is a short story with everything the fold looks at: two hosts; hostname is done on both, kernel failed once
// and then changed mn01, and the run died while kernel ran on mn02.
func session() []event.Event {
	machine := func(id string) *event.Machine { return &event.Machine{ID: id} }
	events := []event.Event{
		{Type: event.RunStarted, Run: "r", Playbook: "ha.yaml", Inventory: "inv.yaml", Hosts: 2, Tasks: 2, Info: map[string]any{"limit": "all"}},
		{Type: event.HostUp, Host: "mn01", Machine: machine("m1")},
		{Type: event.HostUp, Host: "mn02", Machine: machine("m2")},
		begun("hostname", "mn01"), begun("hostname", "mn02"),
		finished("hostname", "mn01", event.OK),
		{Type: event.Output, Instance: "hostname@mn02", Line: `a "quoted" <line> with a crc":"00000000"}`},
		finished("hostname", "mn02", event.Changed),
		begun("kernel", "mn01"),
		{Type: event.AttemptFailed, Instance: "kernel@mn01", Attempt: 1, Failure: &event.Failure{Summary: "busy"}},
		{Type: event.InstanceStarted, Instance: "kernel@mn01", Task: "kernel", Host: "mn01", Attempt: 2},
		finished("kernel", "mn01", event.Changed),
		begun("kernel", "mn02"),
	}
	for i := range events {
		events[i].Seq = int64(i + 1)
		events[i].Time = start().Add(time.Duration(i) * time.Second)
	}
	return events
}

func begun(task, host string) event.Event {
	return event.Event{Type: event.InstanceStarted, Instance: task + "@" + host, Task: task, Host: host, Kind: task, Attempt: 1}
}

func finished(task, host string, status event.Status) event.Event {
	return event.Event{
		Type: event.InstanceEnded, Instance: task + "@" + host, Task: task, Host: host, Status: status,
		Changed: status == event.Changed, Changes: 1, Duration: 2 * time.Second, Fingerprint: "f-" + task,
		Parts: map[string]string{"parameters": "p-" + task}, Outputs: json.RawMessage(`{"path":"/etc/` + task + `"}`),
	}
}

// encoded is the log of events.
func encoded(t testing.TB, events []event.Event) []byte {
	t.Helper()
	var buf bytes.Buffer
	for _, e := range events {
		if err := encode(&buf, e); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func fold(t testing.TB, log []byte) *State {
	t.Helper()
	s, err := Fold(bytes.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
