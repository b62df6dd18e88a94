package host

import (
	"strings"
	"testing"
	"time"
)

func TestALongLineStaysWholeForTheMasker(t *testing.T) {
	var lines []string
	s := newStream(func(l string) { lines = append(lines, l) })
	for p := []byte(strings.Repeat("x", maxLine-3) + "abcdef\rok\n"); len(p) > 0; p = p[min(1000, len(p)):] {
		s.write(p[:min(1000, len(p))])
	}
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "xabc ... 3 bytes more") || lines[1] != "ok" {
		t.Errorf("%d lines, %.80q", len(lines), lines)
	}
}

func TestOutputWithoutEndDoesNotBecomeEventsWithoutEnd(t *testing.T) {
	now, lines, last := time.Now(), 0, ""
	s := newStream(func(l string) { lines, last = lines+1, l })
	s.now, s.since = func() time.Time { return now }, now
	feed := func(n int) {
		for range n {
			s.write([]byte("y\n"))
		}
	}
	feed(100_000)
	if want := streamBurst/(lineCost+1) + 1; lines != want || !strings.Contains(last, "too much output") {
		t.Fatalf("%d lines, want %d; the last: %s", lines, want, last)
	}
	now, lines = now.Add(time.Minute), 0
	feed(100_000)
	if lines < 1000 || lines > 3000 {
		t.Errorf("%d lines after a minute", lines)
	}
	s.end()
	if !strings.Contains(last, "lines not shown") {
		t.Errorf("the last line: %s", last)
	}
}
