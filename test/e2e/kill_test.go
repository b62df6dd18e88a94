package e2e

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killsWanted is how often TestKill kills: twenty times, or $KFLOW_KILLS (CI takes a sample).
func killsWanted(t *testing.T) int {
	t.Helper()
	text := os.Getenv("KFLOW_KILLS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("KFLOW_KILLS=%s is no number of kills", text)
	}
	return n
}

// uninterrupted is what the hosts looked like after the build that nobody disturbed.
var uninterrupted picture

// TestKill builds the cluster once more from bare hosts, kills kflow twenty times (see killsWanted) at random moments, each time followed by
// `kflow resume`, and compares the end with that of the build of TestCluster. Should a build be complete before the last
// kill, another one follows.
func TestKill(t *testing.T) {
	l := needLab(t)
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("KFLOW_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("KFLOW_SEED=%d", seed)
	random, kills := rand.New(rand.NewPCG(seed, 0)), killsWanted(t)
	total := tally{}
	for killed := 0; killed < kills; {
		l.bare(t)
		c := l.controller(t)
		c.env = []string{"KFLOW_INPUT_VRRP_PASSWORD=" + vrrpPassword}
		certificates = nil // of this cluster, not of the one before
		killed += killedBuild(t, l, c, random, kills-killed)
		n := endOfBuild(t, l, c)
		total.starts += n.starts
		total.finished += n.finished
		total.unfinished += n.unfinished
		total.twice = append(total.twice, n.twice...)
	}
	t.Logf("COUNTED FROM THE EVENT LOGS over %d kills: %d starts, %d instances finished, %d starts cut off by a kill, %d finished instances run twice",
		kills, total.starts, total.finished, total.unfinished, len(total.twice))
}

// killedBuild starts a build and kills it up to so many times. At its end the build is complete.
func killedBuild(t *testing.T, l *lab, c *controller, random *rand.Rand, most int) (killed int) {
	t.Helper()
	start, at := time.Now(), map[string]int{}
	args := []string{"run", l.site(), "-i", l.inventory(), "-o", "json"}
	complete := false
	for !complete && killed < most {
		p := c.start(t, args...)
		if ended, err := c.moment(random, p.done); ended {
			r := p.result(t, err)
			if r.code != 0 {
				t.Fatalf("after %d kills: exit code %d\n%s", killed, r.code, failures(c.log(t)))
			}
			complete = true
			continue
		}
		p.signal(syscall.SIGKILL)
		if r := p.wait(t, time.Minute); r.code != -1 {
			t.Fatalf("kill %d: exit code %d\n%s", killed+1, r.code, tail(r.all(), 6000))
		}
		killed++
		if ids := c.runs(t); len(ids) > 0 && count(c.log(t)).sessions > 0 { // else it was killed before the run began
			args = []string{"resume", ids[len(ids)-1], "-o", "json"}
			for _, task := range running(c.log(t)) {
				at[task]++
			}
		}
	}
	t.Logf("%d kills within %s, while these ran: %s", killed, since(start), spread(at))
	if !complete {
		r := c.run(t, args...)
		if r.code != 0 {
			t.Fatalf("the last resume: exit code %d\n%s\n%s", r.code, failures(c.log(t)), r.err)
		}
		t.Logf("the last resume took %s", r.took)
	}
	t.Logf("bare hosts to a working cluster with %d kills: %s", killed, since(start))
	return killed
}

// endOfBuild checks a build that was killed again and again.
func endOfBuild(t *testing.T, l *lab, c *controller) tally {
	t.Helper()
	log := c.log(t)
	n := count(log, "cluster/join_info") // minted again by every session that needs it
	if len(n.twice) > 0 {
		t.Errorf("finished and run again: %s", strings.Join(n.twice, "; "))
	}
	for instance, status := range results(log) {
		if !slices.Contains([]string{"ok", "changed", "skipped"}, status) {
			t.Errorf("%s is %s", instance, status)
		}
	}
	working(t, l)
	compare(t, takePicture(t, l))
	r := c.want(t, 0, "run", l.site(), "-i", l.inventory())
	if counts := lastCounts(c.log(t)); counts["changed"] != 0 {
		t.Errorf("another run changes something: %v\n%s", counts, tail(r.out, 3000))
	}
	noSecrets(t, l, c, "")
	return n
}

// moment waits for the moment to kill a session: some instances more have ended, then some seconds. Time alone would spend
// all kills on what takes longest, and more so the slower the machine is. It returns early when the session ends.
func (c *controller) moment(random *rand.Rand, done <-chan error) (ended bool, err error) {
	more, rest := c.ends()+random.IntN(22), time.Duration(random.Int64N(int64(14*time.Second)))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for c.ends() < more {
		select {
		case err := <-done:
			return true, err
		case <-tick.C:
		}
	}
	select {
	case err := <-done:
		return true, err
	case <-time.After(rest):
		return false, nil
	}
}

// ends counts the instances in the log of the latest run that were carried out to their end.
func (c *controller) ends() int {
	logs, err := filepath.Glob(filepath.Join(c.state(), "runs", "*", "events.jsonl"))
	if err != nil || len(logs) == 0 {
		return 0
	}
	b, err := os.ReadFile(logs[len(logs)-1])
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte(`"status":"ok"`)) + bytes.Count(b, []byte(`"status":"changed"`))
}

// running are the tasks that had begun and not ended when the log ends.
func running(log []record) []string {
	open := map[string]bool{}
	for _, r := range log {
		switch r.Type {
		case "run_started":
			clear(open)
		case "instance_started":
			open[r.Task] = true
		case "instance_ended":
			delete(open, r.Task)
		}
	}
	return slices.Collect(maps.Keys(open))
}

func spread(at map[string]int) string {
	var parts []string
	for _, task := range slices.Sorted(maps.Keys(at)) {
		parts = append(parts, task+" "+strconv.Itoa(at[task]))
	}
	return strings.Join(parts, ", ")
}
