package server

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/agent/client"
	"github.com/kflow/kflow/engine/agent/hold"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/task"
)

// holdFor takes the lock in a directory for a run.
func holdFor(t *testing.T, dir, run string) *hold.Hold {
	t.Helper()
	h, err := hold.Take(t.Context(), hold.Options{Dir: dir, Claim: wire.Claim{Key: run, Run: run}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func claiming(run, dir string) Options {
	return Options{Registry: task.NewRegistry(), Nonce: "N", Session: "0123", RunDir: dir, LockDir: dir, Claim: &wire.Claim{Key: run, Run: run}}
}

// touched tells whether an agent has come so far that it ends the one before it.
func touched(t *testing.T, dir string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, "sessions", "0123"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestAnAgentOfAnotherRunSaysWhoIsThereAndEnds(t *testing.T) {
	dir := t.TempDir()
	h := holdFor(t, dir, "one")
	defer h.Release()
	var out strings.Builder
	err := Serve(t.Context(), claiming("two", dir), strings.NewReader(""), &out)
	var held *wire.Held
	if !errors.As(err, &held) || held.Run != "one" || touched(t, dir) {
		t.Errorf("%v", err)
	}
	r := bufio.NewReader(strings.NewReader(out.String()))
	for {
		words, noise, err := wire.ReadMarker(r, "N")
		if err != nil || noise != "" {
			t.Fatalf("%q: %v", out.String(), err)
		}
		if words[0] == "busy" {
			continue
		}
		var said wire.Held
		if words[0] != "locked" || wire.ParseWord(words[1], &said) != nil || said.Run != "one" {
			t.Errorf("%q", words)
		}
		return
	}
}

// An agent waits for another run to end, and its own connection ends meanwhile: it must not end the agent that came instead.
func TestAnAgentThatNobodyWaitsForEndsNoOther(t *testing.T) {
	dir := t.TempDir()
	h := holdFor(t, dir, "one")
	defer h.Release()
	h.Ending(t.Context()) // so it waits long
	out, agentOut := io.Pipe()
	out.CloseWithError(io.ErrClosedPipe)
	if err := Serve(t.Context(), claiming("two", dir), strings.NewReader(""), agentOut); !errors.Is(err, io.ErrClosedPipe) || touched(t, dir) {
		t.Error(err)
	}
}

// The lock is held as long as the agent works, and others are told that it ends when its connection has ended.
func TestAnAgentHoldsItsHostUntilItHasEnded(t *testing.T) {
	dir := t.TempDir()
	toAgent, in, err1 := os.Pipe() // both sides write before they read
	fromAgent, agentOut, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), claiming("one", dir), toAgent, agentOut) }()
	out := bufio.NewReader(fromAgent)
	if words, _, err := wire.ReadMarker(out, "N"); err != nil || words[0] != "ready" {
		t.Fatal(words, err)
	}
	c, err := client.New(out, in, client.Options{})
	if err != nil || c.Hello().Unheld != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	_, err = hold.Take(t.Context(), hold.Options{Dir: dir, Claim: wire.Claim{Key: "two", Run: "two"}, Patience: time.Millisecond})
	var held *wire.Held
	if !errors.As(err, &held) || held.Run != "one" || held.Ending {
		t.Errorf("%v", err)
	}
	in.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c.Close()
	holdFor(t, dir, "two").Release()
}
