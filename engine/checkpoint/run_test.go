package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/event"
)

func TestARunIsResumedWhereItEnded(t *testing.T) {
	s := newStore(t)
	r := create(t, s)
	appendAll(t, r, session()...)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r2, state, err := s.Open(r.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer r2.Close()
	if state.Seq != 13 || r2.Seq() != 13 || state.Instances["kernel@mn02"].Status != event.Unknown {
		t.Fatalf("state: %+v", state)
	}
	appendAll(t, r2, finished("kernel", "mn02", event.Changed))
	state, err = s.Read(r.ID())
	if err != nil || state.Seq != 14 || state.Instances["kernel@mn02"].Finished != 1 {
		t.Fatalf("after resume: %v %+v", err, state)
	}
}

func TestIDsSortByTimeAndCanBeTyped(t *testing.T) {
	s := newStore(t)
	r := create(t, s)
	if !strings.HasPrefix(r.ID(), "20261121-131501-") || !ValidID(r.ID()) {
		t.Errorf("id %q", r.ID())
	}
	for _, ref := range []string{"latest", r.ID(), "2026", r.ID()[len(r.ID())-4:]} {
		if id, err := s.Find(ref); err != nil || id != r.ID() {
			t.Errorf("find %q: %q %v", ref, id, err)
		}
	}
	for _, ref := range []string{"", "2025", "../../etc"} {
		if _, err := s.Find(ref); !errors.Is(err, ErrNoRun) {
			t.Errorf("find %q: %v", ref, err)
		}
	}
	create(t, s)
	if _, err := s.Find("2026"); err == nil || !strings.Contains(err.Error(), "means 2 runs") {
		t.Errorf("an ambiguous id: %v", err)
	}
}

func TestTheLogIsReadableTextAndPrivate(t *testing.T) {
	r := create(t, newStore(t))
	appendAll(t, r, session()...)
	b, err := os.ReadFile(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || m["seq"] != float64(i+1) || len(m["crc"].(string)) != 8 {
			t.Errorf("line %d: %v %s", i+1, err, line)
		}
	}
	for _, path := range []string{r.Path(), filepath.Dir(r.Path())} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestProgressIsNotStored(t *testing.T) {
	s := newStore(t)
	r := create(t, s)
	appendAll(t, r, event.Event{Type: event.Progress, Instance: "a@b"}, event.Event{Type: event.Note, Line: "x"})
	if state, err := s.Read(r.ID()); err != nil || state.Lines != 1 {
		t.Errorf("%v %+v", err, state)
	}
}

func TestOpenCutsOffATornEnd(t *testing.T) {
	s := newStore(t)
	r := create(t, s)
	appendAll(t, r, session()...)
	r.Close()
	b, _ := os.ReadFile(r.Path())
	if err := os.WriteFile(r.Path(), b[:len(b)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	r2, state, err := s.Open(r.ID())
	if err != nil || state.Lines != 12 || state.Torn == 0 {
		t.Fatalf("%v %+v", err, state)
	}
	appendAll(t, r2, begun("kernel", "mn02"))
	r2.Close()
	state, err = s.Read(r.ID())
	if err != nil || state.Lines != 13 || state.Torn != 0 || state.Seq != 13 {
		t.Errorf("after the next append: %v %+v", err, state)
	}
}

func TestOpenRefusesADamagedLogAndLeavesItAlone(t *testing.T) {
	s := newStore(t)
	r := create(t, s)
	appendAll(t, r, session()...)
	r.Close()
	b, _ := os.ReadFile(r.Path())
	b = bytes.Replace(b, []byte("ha.yaml"), []byte("hb.yaml"), 1)
	os.WriteFile(r.Path(), b, 0o600)
	_, _, err := s.Open(r.ID())
	if err == nil || !strings.Contains(err.Error(), r.Path()+" line 1 is damaged") {
		t.Fatalf("got %v", err)
	}
	if after, _ := os.ReadFile(r.Path()); !bytes.Equal(after, b) {
		t.Error("the log was changed")
	}
	if _, _, err := s.Open(r.ID()); errors.As(err, new(*LockedError)) {
		t.Error("the lock was left behind")
	}
}

func TestMissingRuns(t *testing.T) {
	s := newStore(t)
	for _, id := range []string{"20200101-000000-ffff", "", "../x"} {
		_, _, err := s.Open(id)
		if !errors.Is(err, ErrNoRun) {
			t.Errorf("open %q: %v", id, err)
		}
		if _, err := s.Read(id); !errors.Is(err, ErrNoRun) {
			t.Errorf("read %q: %v", id, err)
		}
		if err := s.Remove(id); !errors.Is(err, ErrNoRun) {
			t.Errorf("remove %q: %v", id, err)
		}
	}
}

// disk is a log file in memory that can be full or fail.
type disk struct {
	bytes.Buffer
	room    int // bytes; writes beyond are cut short
	syncErr error
	syncs   int
	held    chan struct{} // syncs wait for it, if it is not nil
}

func (d *disk) Write(p []byte) (int, error) {
	if d.Len()+len(p) > d.room {
		n, _ := d.Buffer.Write(p[:max(0, d.room-d.Len())])
		return n, syscall.ENOSPC
	}
	return d.Buffer.Write(p)
}
func (d *disk) Truncate(n int64) error { d.Buffer.Truncate(int(n)); return nil }
func (d *disk) Close() error           { return nil }
func (d *disk) datasync() error {
	if d.held != nil {
		<-d.held
	}
	d.syncs++
	return d.syncErr
}

func TestAFullDiskIsSaidAndTheLogStaysWhole(t *testing.T) {
	d := &disk{room: 500}
	r := newRun("r", "events.jsonl", nil, d)
	events := session()
	appendAll(t, r, events[:2]...)
	if err := r.Append(events[2:]...); err != nil {
		t.Fatal(err)
	}
	err := r.Commit()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk is full: free some space, then resume") {
		t.Fatalf("got %v", err)
	}
	if s := fold(t, d.Bytes()); s.Lines != 2 || s.Torn != 0 {
		t.Errorf("the log has %d lines and %d torn bytes", s.Lines, s.Torn)
	}
	d.room = 1 << 20
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
	if s := fold(t, d.Bytes()); s.Lines != len(events) || s.Seq != 13 {
		t.Errorf("with space again: %d lines", s.Lines)
	}
}

func TestOnAFullDiskResultsAreKeptBeforeOutput(t *testing.T) {
	d := &disk{room: 2000}
	r := newRun("r", "events.jsonl", nil, d)
	printed := event.Event{Type: event.Output, Instance: "a@h", Line: strings.Repeat("x", 3000)}
	appendAll(t, r, begun("a", "h"))
	if err := r.Append(printed, event.Event{Type: event.InstanceEnded, Instance: "a@h", Status: event.Changed}, printed); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
	if i := fold(t, d.Bytes()).Instances["a@h"]; i == nil || i.Status != event.Changed {
		t.Errorf("the result is lost: %+v", i)
	}
}

func TestAFailedSyncIsForGood(t *testing.T) {
	d := &disk{room: 1 << 20, syncErr: syscall.EIO}
	r := newRun("r", "events.jsonl", nil, d)
	if err := r.Append(begun("a", "b")); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	d.syncErr = nil
	if err := r.Commit(); !errors.Is(err, syscall.EIO) {
		t.Errorf("after a failed sync nothing may be promised: %v", err)
	}
}

func TestOnlyDurableEventsAskForASync(t *testing.T) {
	d := &disk{room: 1 << 20}
	r := newRun("r", "events.jsonl", nil, d)
	appendAll(t, r, event.Event{Type: event.Output, Line: "x"})
	if d.syncs != 0 || d.Len() == 0 {
		t.Errorf("output: %d syncs, %d bytes", d.syncs, d.Len())
	}
	appendAll(t, r, begun("a", "b"))
	if d.syncs != 1 {
		t.Errorf("start: %d syncs", d.syncs)
	}
	appendAll(t, r)
	if d.syncs != 1 {
		t.Errorf("nothing: %d syncs", d.syncs)
	}
}

func TestCommitsAtTheSameTimeShareASync(t *testing.T) {
	d := &disk{room: 1 << 20, held: make(chan struct{})}
	r := newRun("r", "events.jsonl", nil, d)
	var all, appended sync.WaitGroup
	for range 20 {
		all.Add(1)
		appended.Add(1)
		go func() {
			defer all.Done()
			err := r.Append(begun("a", "b"))
			appended.Done()
			if err = errors.Join(err, r.Commit()); err != nil {
				t.Error(err)
			}
		}()
	}
	appended.Wait() // while the first commit hangs in its sync, all others have appended
	close(d.held)
	all.Wait()
	if s := fold(t, d.Bytes()); s.Lines != 20 || d.syncs > 3 {
		t.Errorf("%d lines, %d syncs", s.Lines, d.syncs)
	}
}

func TestALogCanBeReadWhileItGrows(t *testing.T) {
	s := newStore(t)
	r := create(t, s)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 200 {
			if err := errors.Join(r.Append(begun("a", "b"), finished("a", "b", event.OK)), r.Commit()); err != nil {
				t.Error(err)
			}
		}
	})
	for range 50 {
		if _, err := s.Read(r.ID()); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if state, err := s.Read(r.ID()); err != nil || state.Lines != 400 || state.Seq != 400 {
		t.Errorf("%v %+v", err, state)
	}
}

// BenchmarkCommit compares, in one run, a sync for each record with group commits of 64 appenders. The ratio is the
// figure; the times depend on the disk.
func BenchmarkCommit(b *testing.B) {
	e := finished("runtime/unit", "k8s-mn02", event.Changed)
	perRecord := func(writers int, r *Run) time.Duration {
		const n = 2000
		begin := time.Now()
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range n / writers {
					if err := errors.Join(r.Append(e), r.Commit()); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return time.Since(begin) / n
	}
	s := newStore(b)
	var each, group time.Duration
	for b.Loop() {
		each += perRecord(1, create(b, s))
		group += perRecord(64, create(b, s))
	}
	b.ReportMetric(float64(each.Nanoseconds())/float64(b.N), "ns/record-each")
	b.ReportMetric(float64(group.Nanoseconds())/float64(b.N), "ns/record-group")
	b.ReportMetric(float64(each)/float64(group), "times-faster")
}

func BenchmarkFold(b *testing.B) {
	var events []event.Event
	for range 1000 {
		events = append(events, session()...)
	}
	log := encoded(b, events)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		fold(b, log)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/record")
}
