package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this program kflow when it is called by that name: scripts run the real command line, as a process of
// its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kflow": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script/*.txtar: the manual of the command line, with examples that work. Besides the commands
// of testscript they know
//
//	exits CODE kflow ...     like exec, and the exit code is this one
//	jsonlines                every line of the last standard output is a JSON object
//	start NAME kflow ...     starts it; what it says is written to NAME.out and NAME.err
//	signal NAME WORD         sends a signal: INT, TERM, HUP or KILL
//	ends NAME CODE           waits for its end; the exit code is this one
//	types FILE CODE kflow ...  at a terminal, see there
//	seal FILE TO OUT         encrypts FILE with age for the key in TO, or with "pass:PHRASE"
//	nowhere TEXT             no file in the state folder has this text, nor has the last output
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("KFLOW_STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("KFLOW_LOCKS", filepath.Join(env.WorkDir, "locks")) // scripts run side by side on one machine
			playbooks, err := filepath.Abs("../../playbooks")
			if err != nil {
				return err
			}
			env.Setenv("PLAYBOOKS", playbooks)
			env.Values[processes{}] = map[string]*process{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "jsonlines": jsonlines, "start": start, "signal": sendSignal, "ends": ends, "nowhere": nowhere, "types": types, "seal": seal,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	wantCode(ts, want, ts.Exec(args[1], args[2:]...))
}

func wantCode(ts *testscript.TestScript, want int, err error) {
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func jsonlines(ts *testscript.TestScript, _ bool, _ []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("no JSON object: %s", line)
		}
	}
}

// processes is the key of what a script has started.
type processes struct{}

type process struct{ cmd *exec.Cmd }

func running(ts *testscript.TestScript) map[string]*process {
	return ts.Value(processes{}).(map[string]*process)
}

func start(ts *testscript.TestScript, _ bool, args []string) {
	p := &process{cmd: exec.Command(lookPath(ts, args[1]), args[2:]...)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.Getenv("WORK"), create(ts, args[0]+".out"), create(ts, args[0]+".err")
	for _, key := range []string{"HOME", "KFLOW_STATE", "KFLOW_LOCKS", "PATH", "WORK", "KFLOW_INPUT_WORK"} {
		p.cmd.Env = append(p.cmd.Env, key+"="+ts.Getenv(key))
	}
	p.cmd.Args[0] = args[1]
	ts.Check(p.cmd.Start())
	running(ts)[args[0]] = p
	ts.Defer(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill() // the script has failed
			_ = p.cmd.Wait()
		}
	})
}

func create(ts *testscript.TestScript, name string) *os.File {
	f, err := os.Create(ts.MkAbs(name))
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() }) // the script is over
	return f
}

func lookPath(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return filepath.Join(dir, name)
		}
	}
	ts.Fatalf("no program %s", name)
	return ""
}

func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	s := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[args[1]]
	ts.Check(running(ts)[args[0]].cmd.Process.Signal(s))
}

func ends(ts *testscript.TestScript, _ bool, args []string) {
	p := running(ts)[args[0]]
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	err = p.cmd.Wait()
	ts.Logf("[%s]\n%s%s", args[0], ts.ReadFile(args[0]+".out"), ts.ReadFile(args[0]+".err"))
	wantCode(ts, want, err)
}

func nowhere(ts *testscript.TestScript, _ bool, args []string) {
	texts := map[string]string{"stdout": ts.ReadFile("stdout"), "stderr": ts.ReadFile("stderr")}
	ts.Check(filepath.WalkDir(ts.Getenv("KFLOW_STATE"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		texts[path] = string(b)
		return err
	}))
	if len(texts) < 3 {
		ts.Fatalf("there is no state to look at: %v", fmt.Sprint(texts))
	}
	for name, text := range texts {
		if strings.Contains(text, args[0]) {
			ts.Fatalf("%q stands in %s", args[0], name)
		}
	}
}
