package e2e

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything is what a plan must leave as it is: every file with its time, packages, units, modules, settings. What logs and
// systemd write by themselves is left out, and so is the agent below /var/lib, which a plan may put there.
const everything = `
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/log -o -path /var/tmp \
  -o -path /var/lib/systemd -o -path /var/lib/kflow -o -path /var/cache/kflow -o -path '*/.cache' -o -path '*kflow-agent*' \) -prune \
  -o -printf '%p %y %s %m %u %T@\n' | grep -v '^/ \|^/var/lib d '
dpkg-query -W -f 'package ${Package} ${Version} ${db:Status-Abbrev}\n'
systemctl list-unit-files --no-legend --plain | awk '{print "unit", $1, $2}'
systemctl list-units --type=service --no-legend --plain | awk '$1 !~ /^(user|session|systemd-|apt-|dpkg-|e2scrub|fstrim|logrotate|man-db)/ {print "service", $1, $3}'
sort /proc/sys/net/ipv4/ip_forward /proc/swaps | sed 's,^,setting ,'
`

// planned is a line of kflow plan -o json.
type planned struct {
	Instance, Is, Why string
	Changes           []struct{ Summary string }
}

func (c *controller) plan(t *testing.T, code int) map[string]planned {
	t.Helper()
	r := c.run(t, "plan", c.lab.site(), "-i", c.lab.inventory(), "-o", "json")
	if r.code != code {
		t.Errorf("kflow plan: exit code %d, want %d\n%s", r.code, code, tail(r.err, 4000))
	}
	out := map[string]planned{}
	for line := range strings.Lines(r.out) {
		var p planned
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out[p.Instance] = p
	}
	return out
}

// planWritesNothing plans the main job on five bare hosts: the plan ends without an error although nothing is installed yet,
// and the hosts are as they were.
func planWritesNothing(t *testing.T, l *lab, c *controller) map[string]planned {
	before := l.everywhere(t)
	plan := c.plan(t, 2)
	for host, now := range l.everywhere(t) {
		if d := cmp.Diff(before[host], now); d != "" {
			t.Errorf("the plan has changed %s (-before +after)\n%s", host, tail(d, 3000))
		}
	}
	return plan
}

// planHeld compares the plan with the run that followed. A plan after the run has no changes.
func planHeld(t *testing.T, c *controller, plan map[string]planned, built []record) {
	compared(t, plan, results(built))
	for _, name := range slices.Sorted(maps.Keys(plan)) {
		if p := plan[name]; p.Is == "would fail" || p.Is == "unreachable" {
			t.Errorf("%s %s: %s", name, p.Is, p.Why)
		}
	}
	for name, p := range c.plan(t, 0) {
		if p.Is != "no change" && p.Is != "skipped" {
			t.Errorf("after the run %s is planned as `%s` (%s) %v", name, p.Is, p.Why, p.Changes)
		}
	}
}

// compared holds every line of a plan against the result of the run.
func compared(t *testing.T, plan map[string]planned, got map[string]string) {
	t.Helper()
	want := map[string][]string{"no change": {"ok"}, "will change": {"changed"}, "action": {"changed"}, "skipped": {"skipped"},
		"known after": {"ok", "changed", "skipped"}}
	counts := map[string]int{}
	for name, p := range plan {
		counts[p.Is]++
		if status, ran := got[name]; !slices.Contains(want[p.Is], status) && (ran || p.Is != "skipped") {
			t.Errorf("%s: planned `%s` (%s) %v, and then it was %q", name, p.Is, p.Why, p.Changes, status)
		}
	}
	for name, status := range got {
		if _, ok := plan[name]; !ok {
			t.Errorf("%s was %s, and the plan does not have it", name, status)
		}
	}
	t.Logf("PLAN AND RUN AGREE on %d instances: %v", len(plan), counts)
}

// savedPlan carries out a plan that was kept. It does what it says, no longer when a host has changed otherwise since, and what
// somebody has done by then is done.
func savedPlan(t *testing.T, l *lab) {
	c := l.controller(t)
	file := filepath.Join(c.home, "note.plan")
	l.on(t, "k8s-wn02", "echo of somebody >/etc/kflow-e2e")
	c.want(t, 2, "plan", l.playbook("touch.yaml"), "-i", l.inventory(), "--set", "text=planned", "--out", file)
	c.want(t, 0, "run", "--plan", file)
	for _, host := range allHosts {
		if got := l.on(t, host, "cat /etc/kflow-e2e"); got != "planned" {
			t.Errorf("%s: %q", host, got)
		}
	}
	c.want(t, 2, "plan", l.playbook("touch.yaml"), "-i", l.inventory(), "--set", "text=again", "--out", file)
	l.on(t, "k8s-wn02", "echo of somebody >/etc/kflow-e2e")
	c.want(t, 1, "run", "--plan", file).says(t, "note@k8s-wn02", "plan again")
	if got := l.on(t, "k8s-wn01", "cat /etc/kflow-e2e"); got != "planned" {
		t.Errorf("a plan that no longer fits was carried out: %q", got)
	}
	l.on(t, "k8s-wn02", "echo planned >/etc/kflow-e2e")
	l.on(t, "k8s-wn01", "echo again >/etc/kflow-e2e")
	c.want(t, 0, "run", "--plan", file).says(t, "already as planned, all or in part: note@k8s-wn01")
	for _, host := range allHosts {
		if got := l.on(t, host, "cat /etc/kflow-e2e"); got != "again" {
			t.Errorf("%s: %q", host, got)
		}
	}
	for _, host := range allHosts {
		l.on(t, host, "rm /etc/kflow-e2e")
	}
}

// everywhere asks all hosts.
func (l *lab) everywhere(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, host := range allHosts {
		out[host] = sorted(l.on(t, host, everything))
	}
	return out
}
