package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// controller is a user who runs kflow: a home and a state folder of its own. Everything it has seen is kept, so that it
// can be searched for secrets.
type controller struct {
	lab  *lab
	home string
	env  []string

	mu   sync.Mutex
	seen []output
}

// output is what one kflow printed.
type output struct {
	args     string
	out, err string
}

func (l *lab) controller(t *testing.T) *controller {
	t.Helper()
	return &controller{lab: l, home: t.TempDir()}
}

func (c *controller) state() string { return filepath.Join(c.home, "state") }

// result is how one kflow ended.
type result struct {
	code int
	out  string // standard output
	err  string // standard error
	took time.Duration
}

func (r result) all() string { return r.out + r.err }

// process is a kflow that runs.
type process struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
	start    time.Time
	done     chan error
	owner    *controller
}

// start runs kflow on the lab's network. nsenter becomes kflow by exec: its pid is kflow's.
func (c *controller) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{start: time.Now(), done: make(chan error, 1), owner: c}
	p.cmd = exec.Command("nsenter", append([]string{"--net=/run/netns/" + c.lab.ns, "--", c.lab.kflow}, args...)...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "KFLOW_STATE=" + c.state(), "NO_COLOR=1"}, c.env...)
	p.cmd.Dir = c.home
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p
}

// wait ends with the process, or with the test when it takes too long.
func (p *process) wait(t *testing.T, patience time.Duration) result {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-p.done:
		return p.result(t, err)
	case <-timer.C:
		p.signal(syscall.SIGQUIT) // the stacks say where it hangs
		err := <-p.done
		r := p.result(t, err)
		t.Fatalf("kflow %s did not end within %s\n%s", strings.Join(p.cmd.Args[3:], " "), patience, tail(r.all(), 20000))
		return r
	}
}

func (p *process) result(t *testing.T, err error) result {
	t.Helper()
	r := result{out: p.out.String(), err: p.err.String(), took: since(p.start)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode() // -1 when a signal ended it
	case err != nil:
		t.Fatal(err)
	}
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	p.owner.seen = append(p.owner.seen, output{strings.Join(p.cmd.Args[3:], " "), r.out, r.err})
	return r
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may be gone: that is seen by wait

// run runs kflow to its end.
func (c *controller) run(t *testing.T, args ...string) result {
	t.Helper()
	return c.start(t, args...).wait(t, 15*time.Minute)
}

// want runs kflow and fails when the exit code is another.
func (c *controller) want(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := c.run(t, args...)
	if r.code != code {
		t.Fatalf("kflow %s: exit code %d, want %d\n%s", strings.Join(args, " "), r.code, code, tail(r.all(), 12000))
	}
	return r
}

// says fails when an output lacks one of the texts.
func (r result) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.all(), text) {
			t.Errorf("the output does not say %q:\n%s", text, tail(r.all(), 6000))
			return
		}
	}
}

// show puts the lines that hold one of the words into the log of the test: what a person would have read.
func (r result) show(t *testing.T, words ...string) {
	t.Helper()
	for line := range strings.Lines(r.all()) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			t.Logf("| %s", strings.TrimRight(line, "\n"))
		}
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// record is a line of the event log, as far as these tests look at it.
type record struct {
	Seq      int64          `json:"seq"`
	Type     string         `json:"type"`
	Instance string         `json:"instance"`
	Task     string         `json:"task"`
	Kind     string         `json:"kind"`
	Status   string         `json:"status"`
	First    string         `json:"first"`
	Counts   map[string]int `json:"counts"`
	Exit     int            `json:"exit"`
	Resumed  bool           `json:"resumed"`
	Time     time.Time      `json:"time"`
	Failure  *struct {
		Summary, Step, Output, Hint string
	} `json:"failure"`
}

// failures are the last words of what failed, for a person who reads the log of the tests.
func failures(log []record) string {
	var b strings.Builder
	for _, r := range log {
		if r.Type == "run_started" {
			b.Reset()
		}
		if r.Failure != nil && r.Type == "instance_ended" {
			fmt.Fprintf(&b, "%s is %s: %s\n%s\n%s\n%s\n", r.Instance, r.Status, r.Failure.Summary, r.Failure.Step, r.Failure.Output, r.Failure.Hint)
		}
	}
	return b.String()
}

// runs are the ids of the runs, the one written to last at the end: ids of the same second are in no order.
func (c *controller) runs(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.state(), "runs"))
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]time.Time{}
	for _, e := range entries {
		if i, err := os.Stat(filepath.Join(c.state(), "runs", e.Name(), "events.jsonl")); err == nil {
			written[e.Name()] = i.ModTime()
		}
	}
	return slices.SortedFunc(maps.Keys(written), func(a, b string) int { return written[a].Compare(written[b]) })
}

// log reads the event log of the latest run. A last line that is torn by a kill is left out.
func (c *controller) log(t *testing.T) []record {
	t.Helper()
	ids := c.runs(t)
	if len(ids) == 0 {
		t.Fatal("there is no run")
	}
	b, err := os.ReadFile(filepath.Join(c.state(), "runs", ids[len(ids)-1], "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		var r record
		if line == "" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			if i >= len(lines)-1 {
				break
			}
			t.Fatalf("line %d of the event log: %v", i+1, err)
		}
		out = append(out, r)
	}
	return out
}

// lastCounts are the counts of the last session that ended.
func lastCounts(log []record) map[string]int {
	for _, r := range slices.Backward(log) {
		if r.Type == "run_ended" {
			return r.Counts
		}
	}
	return nil
}

// tally is what happened to instances over all sessions of a run.
type tally struct {
	sessions, starts, finished int
	twice                      []string // finished, then started again
	unfinished                 int      // starts without an end
}

// count goes over the log line by line. onDemand are tasks that are meant to run again: they mint what is never stored.
func count(log []record, onDemand ...string) tally {
	var n tally
	done, open := map[string]string{}, map[string]bool{}
	for _, r := range log {
		switch r.Type {
		case "run_started":
			n.sessions++
			n.unfinished += len(open)
			clear(open)
		case "instance_started":
			n.starts++
			open[r.Instance] = true
			if how, finished := done[r.Instance]; finished && !slices.Contains(onDemand, r.Task) {
				n.twice = append(n.twice, fmt.Sprintf("%s (was %s, started again at line %d)", r.Instance, how, r.Seq))
			}
		case "instance_ended":
			delete(open, r.Instance)
			if r.Status == "ok" || r.Status == "changed" {
				if done[r.Instance] == "" {
					n.finished++
				}
				done[r.Instance] = r.Status
			}
		}
	}
	return n
}

// results are the last results of all instances: a reused one counts as what it was.
func results(log []record) map[string]string {
	out := map[string]string{}
	for _, r := range log {
		if r.Type != "instance_ended" {
			continue
		}
		out[r.Instance] = r.Status
		if r.Status == "reused" && r.First != "" {
			out[r.Instance] = r.First
		}
	}
	return out
}
