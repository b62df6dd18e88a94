package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
)

func TestFoldTellsWhatHappened(t *testing.T) {
	s := fold(t, encoded(t, session()))
	if s.Playbook != "ha.yaml" || s.Hosts != 2 || s.Sessions != 1 || s.Ended || s.Seq != 13 || s.Lines != 13 || s.Torn != 0 {
		t.Errorf("run: %+v", s)
	}
	if !s.Started.Equal(start()) || s.Info["limit"] != "all" {
		t.Errorf("started %v, info %v", s.Started, s.Info)
	}
	k := s.Instances["kernel@mn01"]
	if k.Status != event.Changed || k.Attempts != 2 || k.Starts != 1 || k.Finished != 1 || k.Failure != nil {
		t.Errorf("kernel@mn01: %+v", k)
	}
	want := Done{Status: event.Changed, Changed: true, Changes: 1, Fingerprint: "f-kernel",
		Parts: map[string]string{"parameters": "p-kernel"}, Outputs: json.RawMessage(`{"path":"/etc/kernel"}`),
		Machine: &event.Machine{ID: "m1"}, Duration: 2 * time.Second, At: start().Add(11 * time.Second), Seq: 12}
	if !reflect.DeepEqual(*k.Done, want) {
		t.Errorf("done: %+v, want %+v", *k.Done, want)
	}
}

func TestAStartWithoutAnEndIsUnknown(t *testing.T) {
	i := fold(t, encoded(t, session())).Instances["kernel@mn02"]
	if i.Status != event.Unknown || i.Done != nil || i.Finished != 0 {
		t.Errorf("kernel@mn02: %+v", i)
	}
}

func TestUnknownStaysUntilItStartsAgain(t *testing.T) {
	for _, status := range []event.Status{event.Cancelled, event.Blocked, event.Unreachable, event.Unknown} {
		log := append(session(), event.Event{Seq: 14, Type: event.RunStarted, Resumed: true},
			event.Event{Seq: 15, Type: event.InstanceEnded, Instance: "kernel@mn02", Status: status})
		if i := fold(t, encoded(t, log)).Instances["kernel@mn02"]; i.Status != event.Unknown {
			t.Errorf("%s in the next session hides that the first start has no end: %+v", status, i)
		}
		log = append(log, begun("kernel", "mn02"), finished("kernel", "mn02", event.OK))
		if i := fold(t, encoded(t, log)).Instances["kernel@mn02"]; i.Status != event.OK || i.Done == nil {
			t.Errorf("%s, then done: %+v", status, i)
		}
	}
	log := append(session(), event.Event{Seq: 14, Type: event.InstanceEnded, Instance: "kernel@mn02", Status: event.Cancelled})
	if i := fold(t, encoded(t, log)).Instances["kernel@mn02"]; i.Status != event.Cancelled {
		t.Errorf("cancelled in its own session: %+v", i)
	}
}

func TestAReusedInstanceKeepsWhatItWas(t *testing.T) {
	log := append(session(),
		event.Event{Seq: 14, Type: event.RunStarted, Run: "r", Resumed: true},
		event.Event{Seq: 15, Type: event.InstanceEnded, Instance: "kernel@mn01", Status: event.Reused, First: event.Changed, Changed: true})
	s := fold(t, encoded(t, log))
	i := s.Instances["kernel@mn01"]
	if i.Status != event.Reused || i.Done.Status != event.Changed || !i.Done.Changed || i.Done.Fingerprint != "f-kernel" || i.Finished != 1 {
		t.Errorf("reused: %+v %+v", i, i.Done)
	}
	if s.Sessions != 2 || s.Playbook != "ha.yaml" || s.Info["limit"] != "all" {
		t.Errorf("the second session forgot the first: %+v", s)
	}
}

func TestAnInterruptedSessionTakesNothingFromWhatWasDone(t *testing.T) {
	for _, status := range []event.Status{event.Cancelled, event.Blocked, event.Unreachable} {
		log := append(session(), event.Event{Seq: 14, Type: event.InstanceEnded, Instance: "kernel@mn01", Status: status})
		i := fold(t, encoded(t, log)).Instances["kernel@mn01"]
		if i.Status != status || i.Done == nil || i.Done.Fingerprint != "f-kernel" {
			t.Errorf("%s: %+v", status, i)
		}
	}
}

func TestConditionsAreKept(t *testing.T) {
	log := append(session(),
		event.Event{Seq: 14, Type: event.InstanceEnded, Instance: "extra@mn01", Status: event.Skipped, When: "inputs.extra"},
		event.Event{Seq: 15, Type: GroupEntered, Instance: "block@mn01", Status: event.Skipped, When: "false"},
		event.Event{Seq: 16, Type: GroupEntered, Instance: "block@mn02", Status: event.OK, When: "x"})
	s := fold(t, encoded(t, log))
	if i := s.Instances["extra@mn01"]; i.Done.Status != event.Skipped || i.Done.When != "inputs.extra" || i.Finished != 0 {
		t.Errorf("skipped: %+v", i)
	}
	if want := map[string]Entry{"block@mn01": {Seq: 15, When: "false"}, "block@mn02": {Seq: 16, When: "x", Entered: true}}; !reflect.DeepEqual(s.Entries, want) {
		t.Errorf("entries: %+v", s.Entries)
	}
}

func TestWhatIsStartedAgainIsNotDoneAnyMore(t *testing.T) {
	log := append(session(), begun("hostname", "mn01"))
	i := fold(t, encoded(t, log)).Instances["hostname@mn01"]
	if i.Status != event.Unknown || i.Done != nil || i.Starts != 2 || i.Finished != 1 {
		t.Errorf("started again: %+v", i)
	}
	i = fold(t, encoded(t, append(log, finished("hostname", "mn01", event.OK)))).Instances["hostname@mn01"]
	if i.Finished != 2 {
		t.Errorf("finished work that ran again must be counted: %+v", i)
	}
}

func TestALogCutAtAnyByteIsTheFoldOfItsWholeLines(t *testing.T) {
	events := session()
	log := encoded(t, events)
	for cut := range len(log) + 1 {
		whole := bytes.Count(log[:cut], []byte("\n"))
		end := bytes.LastIndexByte(log[:cut], '\n') + 1
		got, want := fold(t, log[:cut]), fold(t, encoded(t, events[:whole]))
		if got.Torn != int64(cut-end) {
			t.Fatalf("cut at %d: torn %d bytes, want %d", cut, got.Torn, cut-end)
		}
		got.Torn = 0
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: %+v, want %+v", cut, got, want)
		}
	}
}

func TestADamagedLineInTheMiddleIsAnErrorThatNamesIt(t *testing.T) {
	log := bytes.Replace(encoded(t, session()), []byte("f-hostname"), []byte("f-hostnama"), 1)
	s, err := Fold(bytes.NewReader(log))
	var damage *DamageError
	if !errors.As(err, &damage) || damage.Line != 6 {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "line 6") || !strings.Contains(err.Error(), "head -n 5 events.jsonl") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	if s.Lines != 5 {
		t.Errorf("%d lines before the damage were read, want 5", s.Lines)
	}
}

func TestADamagedEndIsTorn(t *testing.T) {
	log := append(encoded(t, session()), bytes.Repeat([]byte{0}, 100)...) // what a power cut can leave
	for _, end := range []string{"", "\n", "\n\x00\x00\n"} {
		s := fold(t, append(bytes.Clone(log), end...))
		if s.Lines != 13 || s.Torn != int64(100+len(end)) {
			t.Errorf("end %q: %d lines, %d torn", end, s.Lines, s.Torn)
		}
	}
}

func FuzzFold(f *testing.F) {
	log := encoded(f, session())
	f.Add(log)
	f.Add(log[:len(log)/2])
	f.Add([]byte("{}\n\n,\"crc\":\"00000000\"}\n"))
	f.Fuzz(func(t *testing.T, tail []byte) {
		s, err := Fold(bytes.NewReader(append(bytes.Clone(log), tail...)))
		if s.Lines < 13 || s.Bytes < int64(len(log)) {
			t.Fatalf("only %d of the 13 whole lines before the tail were kept", s.Lines)
		}
		if err == nil && s.Bytes+s.Torn != int64(len(log)+len(tail)) {
			t.Fatalf("%d + %d bytes of %d are accounted for", s.Bytes, s.Torn, len(log)+len(tail))
		}
	})
}

func FuzzRecordRoundTrip(f *testing.F) {
	f.Add("kernel@mn01", `a "line" <with> & \u0000`, []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, instance, line string, outputs []byte) {
		var buf bytes.Buffer
		e := event.Event{Seq: 1, Type: event.Log, Instance: instance, Line: line}
		if json.Valid(outputs) {
			e.Outputs = outputs
		}
		if err := encode(&buf, e); err != nil {
			t.Fatal(err)
		}
		if bytes.Count(buf.Bytes(), []byte("\n")) != 1 {
			t.Fatalf("not one line: %q", buf.Bytes())
		}
		got, err := decode(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
		if err != nil || got.Instance != strings.ToValidUTF8(instance, "\ufffd") && instance == strings.ToValidUTF8(instance, "\ufffd") {
			t.Fatalf("%v: %+v", err, got)
		}
	})
}

// The machine died: the end of the file had reached the disk, and a part before it not yet.
func TestAHoleIsTorn(t *testing.T) {
	events := session()
	log := encoded(t, events)
	whole := len(encoded(t, events[:5]))
	for _, size := range []int{1, 700, 4096} {
		holed := slices.Concat(log[:whole+3], make([]byte, size), encoded(t, events[8:]))
		got := fold(t, holed)
		if got.Lines != 5 || got.Bytes != int64(whole) || got.Torn != int64(len(holed)-whole) {
			t.Errorf("a hole of %d bytes: %d lines, %d bytes, %d torn of %d", size, got.Lines, got.Bytes, got.Torn, len(holed))
		}
		again := slices.Concat(holed, encoded(t, events[:1])) // a session that would not have begun behind a hole
		var damage *DamageError
		if _, err := Fold(bytes.NewReader(again)); !errors.As(err, &damage) || damage.Line != 6 {
			t.Errorf("a hole of %d bytes, then another session: %v", size, err)
		}
	}
}
