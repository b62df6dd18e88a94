package main

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

// broken is a pipe that nobody reads.
func broken(t *testing.T) io.Writer {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// TestOnlyTheReaderOfOurOutputStopsARun: the connection to a host that is gone is a broken pipe, too.
func TestOnlyTheReaderOfOurOutputStopsARun(t *testing.T) {
	signals, stop := interrupts()
	defer stop()
	if _, err := broken(t).Write([]byte("request")); !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if s := <-signals; s != syscall.SIGTERM {
		t.Errorf("a broken pipe came as %v", s)
	}
	out := &reader{w: broken(t), gone: func() { stopSoftly(signals) }}
	for range 3 {
		if _, err := out.Write([]byte("line\n")); !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
	}
	if s := <-signals; s != syscall.SIGPIPE || len(signals) > 0 {
		t.Errorf("%v, and %d more", s, len(signals))
	}
}
