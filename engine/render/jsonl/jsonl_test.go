package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
)

func TestEveryLineIsJSONAndTheFirstNamesTheVersion(t *testing.T) {
	var out bytes.Buffer
	r := New(&out)
	events := []event.Event{
		{Seq: 1, Time: time.Date(2026, 11, 21, 13, 15, 1, 0, time.UTC), Type: event.RunStarted, Run: "r", Hosts: 5},
		{Seq: 2, Type: event.Output, Instance: "a@b", Line: "two\nlines & <tags>"},
		{Seq: 3, Type: event.RunEnded, Counts: map[event.Status]int{event.OK: 1}},
	}
	for _, e := range events {
		r.Emit(e)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if lines[0] != `{"stream":"kflow","version":1}` || len(lines) != 4 {
		t.Fatalf("got %q", lines)
	}
	for i, line := range lines[1:] {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || !reflect.DeepEqual(e, events[i]) {
			t.Errorf("line %d: %v %s", i+2, err, line)
		}
	}
	if !strings.Contains(lines[2], "<tags>") {
		t.Errorf("readable text was escaped: %s", lines[2])
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("broken pipe")
}

func TestAfterAnErrorNothingIsWritten(t *testing.T) {
	b := &brokenPipe{}
	r := New(b)
	r.Emit(event.Event{})
	if err := r.Close(); err == nil || b.writes != 1 {
		t.Errorf("%v after %d writes", err, b.writes)
	}
}
