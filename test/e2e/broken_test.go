package e2e

import (
	"strings"
	"testing"
	"time"
)

// hangingShell: a host that lets us in and then gives no sign of life is left out, as one that does not answer.
func hangingShell(t *testing.T, l *lab) {
	c := l.controller(t)
	l.on(t, "k8s-wn02", "echo 'sleep 600' >/root/.bashrc")
	defer l.sh(t, "console", "k8s-wn02", "rm", "-f", "/root/.bashrc")
	r := c.want(t, 4, "run", l.playbook("touch.yaml"), "-i", l.inventory(), "--set", "text=hang")
	r.says(t, "k8s-wn02", "did not start within", "kflow resume")
	r.show(t, "did not start")
	if got := results(c.log(t)); got["note@k8s-wn01"] != "changed" || got["note@k8s-wn02"] != "unreachable" {
		t.Errorf("results: %v", got)
	}
	l.sh(t, "console", "k8s-wn02", "rm", "-f", "/root/.bashrc")
	c.want(t, 0, "resume")
	if n := count(c.log(t)); len(n.twice) > 0 {
		t.Errorf("ran twice: %v", n.twice)
	}
	if got := l.on(t, "k8s-wn02", "cat /etc/kflow-e2e"); got != "hang" {
		t.Errorf("after resume: %q", got)
	}
}

// killedAgent: what an agent was doing when it was killed does not go on beside its repetition.
func killedAgent(t *testing.T, l *lab) {
	c := l.controller(t)
	p := c.start(t, "run", l.playbook("orphan.yaml"), "-i", l.inventory())
	until(t, "slow runs on k8s-wn01", 30*time.Second, func() (bool, string) {
		out, err := l.try("console", "k8s-wn01", "pgrep", "-x", "sleep")
		return err == nil, out
	})
	l.sh(t, "console", "k8s-wn01", "sh", "-c", "kill -9 $(pgrep -f '[k]flow/agent-')")
	if r := p.wait(t, 2*time.Minute); r.code != 0 {
		t.Fatalf("exit code %d\n%s", r.code, tail(r.all(), 4000))
	}
	for _, host := range allHosts {
		if got := l.on(t, host, "cat /etc/kflow-e2e-orphan"); strings.Fields(got)[0] != "once" || len(strings.Fields(got)) != 1 {
			t.Errorf("%s: %q", host, got)
		}
	}
	c.want(t, 0, "run", l.playbook("touch.yaml"), "-i", l.inventory())
}
