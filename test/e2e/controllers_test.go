package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// twoControllers has two state folders that know nothing of each other: the hosts keep their runs apart.
func twoControllers(t *testing.T, l *lab) {
	one, two := l.controller(t), l.controller(t)
	l.letGo(t, false)
	first := one.holding(t, "run", l.playbook("hold.yaml"), "-i", l.inventory())
	for _, ssh := range []string{"user: root", "user: ops\nbecome: true"} { // one lock for all that are root in the end
		r := two.want(t, 5, "run", l.playbook("touch.yaml"), "-i", l.hosts(t, ssh, allHosts...), "--set", "text=second")
		r.says(t, "in use by run "+one.runs(t)[0]+" of hold", fmt.Sprintf("process %d on", first.cmd.Process.Pid), "refused")
		r.show(t, "in use", "do ", "refused")
		t.Logf("refused after %s", r.took)
	}
	l.untouched(t, "second")
	if left := two.runs(t); len(left) > 0 {
		t.Errorf("what was refused has left %v", left)
	}
	two.want(t, 2, "plan", l.playbook("touch.yaml"), "-i", l.inventory(), "--set", "text=planned")

	first.signal(syscall.SIGKILL)
	first.wait(t, time.Minute)
	r := two.want(t, 0, "run", l.playbook("touch.yaml"), "-i", l.inventory(), "--set", "text=after-kill")
	t.Logf("after kill -9 of the first, the second one took %s", r.took)

	first = one.holding(t, "resume")
	two.want(t, 5, "run", l.playbook("touch.yaml"), "-i", l.hosts(t, "user: root", "k8s-wn01"))
	agentsKilled(t, l, "k8s-wn01") // it is the same run that comes back
	l.letGo(t, true)
	if r := first.wait(t, time.Minute); r.code != 0 {
		t.Errorf("the first run ended with %d\n%s", r.code, r.all())
	}
	two.want(t, 0, "run", l.playbook("touch.yaml"), "-i", l.inventory(), "--set", "text=at-last")
	l.letGo(t, false)
}

// holding starts a kflow whose hosts are then held.
func (c *controller) holding(t *testing.T, args ...string) *process {
	t.Helper()
	before := 0
	if _, err := os.Stat(filepath.Join(c.state(), "runs")); err == nil {
		before = count(c.log(t)).starts
	}
	p := c.start(t, args...)
	until(t, "all hosts are held", 30*time.Second, func() (bool, string) {
		if _, err := os.Stat(filepath.Join(c.state(), "runs")); err != nil || len(c.runs(t)) == 0 {
			return false, "no run"
		}
		n := count(c.log(t)).starts - before
		return n >= len(allHosts), fmt.Sprintf("%d starts", n)
	})
	return p
}

// letGo lets hold.yaml end on all hosts, or not.
func (l *lab) letGo(t *testing.T, now bool) {
	t.Helper()
	for _, host := range allHosts {
		if now {
			l.on(t, host, "touch /run/kflow-e2e-go")
		} else {
			l.on(t, host, "rm -f /run/kflow-e2e-go")
		}
	}
}

// agentsKilled kills the agents of a host, and sees that another one has come.
func agentsKilled(t *testing.T, l *lab, host string) {
	t.Helper()
	before := l.on(t, host, "pgrep -f '/agent-[0-9a-f]{64} ' | sort | tr '\\n' ' '")
	l.on(t, host, "pkill -9 -f '/agent-[0-9a-f]{64} ' || true")
	until(t, "another agent has come to "+host, 30*time.Second, func() (bool, string) {
		now, err := l.try("ssh", host, "pgrep -f '/agent-[0-9a-f]{64} ' | sort | tr '\\n' ' '")
		return err == nil && now != "" && now != before, now
	})
}
