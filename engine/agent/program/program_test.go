package program

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/task"
)

func run(t *testing.T, o Options, args ...string) string {
	t.Helper()
	o.Registry, o.Version = task.NewRegistry(), "test"
	var out bytes.Buffer
	if err := Run(t.Context(), o, append([]string{"--nonce", "N"}, args...), strings.NewReader(""), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func files(t *testing.T, pattern string) int {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// An odd machine has no /run, or one that nobody can write to: its agent keeps its locks beside its content.
func TestAMachineWithoutRun(t *testing.T) {
	claim := wire.Word(wire.Claim{Key: "k", Run: "r"})
	for _, runDir := range []string{"/proc/no/such", ""} {
		dir := t.TempDir()
		out := run(t, Options{RunDir: runDir}, "--dir", dir, "--session", "0123", "--claim", claim)
		if !strings.Contains(out, "@kflow:N ready") || strings.Contains(out, `"unheld"`) {
			t.Errorf("%s", out)
		}
		if files(t, dir+"/sessions/0123") != 1 || files(t, dir+"/host-*.lock") != 1 {
			t.Errorf("with %q nothing is locked in its directory", runDir)
		}
	}
	dir, runDir := t.TempDir(), t.TempDir()
	run(t, Options{RunDir: runDir}, "--dir", dir, "--session", "0123", "--claim", claim)
	if files(t, dir+"/host-*.lock") != 0 || files(t, runDir+"/host-*.lock") != 1 || files(t, runDir+"/sessions/0123") != 1 {
		t.Error("the directory in memory is there, and not used")
	}
	locks := t.TempDir()
	run(t, Options{RunDir: runDir, LockDir: locks}, "--dir", dir, "--claim", claim)
	run(t, Options{LockDir: "/proc/no/such"}, "--dir", dir) // who only looks needs no lock
	if files(t, locks+"/host-*.lock") != 1 {
		t.Error("the directory of locks is not used")
	}
	if out := run(t, Options{LockDir: "/proc/no/such"}, "--dir", dir, "--claim", claim); !strings.Contains(out, `"unheld":"mkdir`) {
		t.Errorf("there can be no lock, and nobody is told: %s", out)
	}
}

func TestWordsThatAreNone(t *testing.T) {
	for _, args := range [][]string{{"--claim", "?"}, {"--claim", "eA"}, {"--unknown"}} {
		if err := Run(t.Context(), Options{Registry: task.NewRegistry()}, args, strings.NewReader(""), &bytes.Buffer{}); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Version: "7"}, []string{"--version"}, nil, &out); err != nil || out.String() != "kflow-agent 7\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
