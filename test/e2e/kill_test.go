package e2e

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const kills = 20

// uninterrupted is what the hosts looked like after the build that nobody disturbed.
var uninterrupted picture

// TestKill builds the cluster once more from bare hosts, kills kflow twenty times at random moments, each time followed by
// `kflow resume`, and compares the end with that of the build of TestCluster.
func TestKill(t *testing.T) {
	l := needLab(t)
	l.bare(t)
	c := l.controller(t)
	c.env = []string{"KFLOW_INPUT_VRRP_PASSWORD=" + vrrpPassword}
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("KFLOW_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("KFLOW_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	start := time.Now()
	certificates = nil // of this cluster, not of the one before
	args := []string{"run", l.site(), "-i", l.inventory(), "-o", "json"}
	at := map[string]int{}
	killed := 0
	for killed < kills {
		p := c.start(t, args...)
		moment := moment(random)
		select {
		case err := <-p.done:
			r := p.result(t, err)
			if r.code != 0 {
				t.Fatalf("after %d kills: exit code %d\n%s", killed, r.code, tail(r.all(), 12000))
			}
			t.Fatalf("the build was complete after %d kills: KFLOW_SEED=%d draws them too late", killed, seed)
		case <-time.After(moment):
		}
		p.signal(syscall.SIGKILL)
		if r := p.wait(t, time.Minute); r.code != -1 {
			t.Fatalf("kill %d after %s: exit code %d\n%s", killed+1, moment, r.code, tail(r.all(), 6000))
		}
		killed++
		if ids := c.runs(t); len(ids) > 0 {
			args = []string{"resume", ids[len(ids)-1], "-o", "json"}
			for _, instance := range running(c.log(t)) {
				at[instance]++
			}
		}
	}
	t.Logf("%d kills within %s", killed, since(start))
	t.Logf("killed in: %s", spread(at))
	r := c.want(t, 0, args...)
	log := c.log(t)
	n := count(log, "cluster/join_info")
	t.Logf("last resume took %s; build with %d kills: %s, %d sessions", r.took, killed, since(start), n.sessions)
	t.Logf("COUNTED FROM THE EVENT LOG: %d starts, %d instances finished, %d starts cut off by a kill, %d finished instances run twice",
		n.starts, n.finished, n.unfinished, len(n.twice))
	if len(n.twice) > 0 {
		t.Errorf("finished and run again: %s", strings.Join(n.twice, "; "))
	}
	if ids := c.runs(t); len(ids) != 1 {
		t.Errorf("there are %d runs, want 1: %v", len(ids), ids)
	}
	for instance, status := range results(log) {
		if !slices.Contains([]string{"ok", "changed", "skipped"}, status) {
			t.Errorf("%s is %s", instance, status)
		}
	}
	working(t, l)
	compare(t, takePicture(t, l))
	r = c.want(t, 0, "run", l.site(), "-i", l.inventory())
	counts := lastCounts(c.log(t))
	if counts["changed"] != 0 {
		t.Errorf("another run changes something: %v", counts)
	}
	r.says(t, "0 changed")
	noSecrets(t, l, c, "")
}

// moment is when a session is killed: mostly soon, now and then after long enough to get through kubeadm.
func moment(r *rand.Rand) time.Duration {
	if r.IntN(10) < 7 {
		return 200*time.Millisecond + time.Duration(r.Int64N(int64(9*time.Second)))
	}
	return 20*time.Second + time.Duration(r.Int64N(int64(40*time.Second)))
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
