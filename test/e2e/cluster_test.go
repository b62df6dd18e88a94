package e2e

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// vrrpPassword is the secret input of the runs. VRRP uses eight characters.
const vrrpPassword = "Zq7xW2vk"

func (l *lab) site() string { return filepath.Join(l.repo, "test/lab/site.yaml") }

// TestCluster is the main job: the flagship, as a site uses it, from bare hosts to a working cluster. What was built is
// used by the tests after it.
func TestCluster(t *testing.T) {
	l := needLab(t)
	l.bare(t)
	c := l.controller(t)
	c.env = []string{"KFLOW_INPUT_VRRP_PASSWORD=" + vrrpPassword}
	var plan map[string]planned
	t.Run("a plan on bare hosts writes nothing", func(t *testing.T) { plan = planWritesNothing(t, l, c) })
	spy := watchArguments()
	built := t.Run("kflow run from bare hosts", func(t *testing.T) { build(t, l, c) })
	arguments := spy.stop()
	if !built {
		t.Fatal("there is no cluster: nothing else can be tested")
	}
	log := c.log(t)
	t.Run("five ready nodes, three healthy members of etcd, the API through the virtual address", func(t *testing.T) { working(t, l) })
	t.Run("the run did what was planned", func(t *testing.T) { planHeld(t, c, plan, log) })
	t.Run("a second run changes nothing", func(t *testing.T) { secondRun(t, l, c) })
	uninterrupted = takePicture(t, l)
	t.Run("no secret anywhere", func(t *testing.T) { noSecrets(t, l, c, arguments) })
	t.Run("the virtual address moves", func(t *testing.T) { addressMoves(t, l) })
}

// build runs the site playbook.
func build(t *testing.T, l *lab, c *controller) {
	r := c.run(t, "run", l.site(), "-i", l.inventory())
	if r.code != 0 {
		t.Fatalf("exit code %d after %s\n%s", r.code, r.took, tail(r.all(), 12000))
	}
	log := c.log(t)
	n := count(log)
	for instance, status := range results(log) {
		if !slices.Contains([]string{"ok", "changed", "skipped"}, status) {
			t.Errorf("%s is %s", instance, status)
		}
	}
	if r.err != "" {
		t.Errorf("standard error is not empty: %s", r.err)
	}
	t.Logf("BARE HOSTS TO A WORKING CLUSTER: %s; %d instances finished, results %v", r.took, n.finished, lastCounts(log))
	slowest(t, log)
	lastLine(t, r)
}

func lastLine(t *testing.T, r result) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	t.Logf("| %s", lines[len(lines)-1])
}

// slowest shows what a build spends its time with.
func slowest(t *testing.T, log []record) {
	t.Helper()
	began, took := map[string]time.Time{}, map[string]time.Duration{}
	for _, r := range log {
		switch r.Type {
		case "instance_started":
			began[r.Instance] = r.Time
		case "instance_ended":
			if start, ok := began[r.Instance]; ok {
				took[r.Instance] = max(took[r.Instance], r.Time.Sub(start))
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(took), func(a, b string) int { return int(took[b] - took[a]) })
	for _, name := range names[:min(8, len(names))] {
		t.Logf("  %6.1f s  %s", took[name].Seconds(), name)
	}
}

// working looks at the cluster without kflow.
func working(t *testing.T, l *lab) {
	first := controlPlanes[0]
	d := until(t, "five nodes are Ready", 2*time.Minute, func() (bool, string) {
		out, err := l.kubectl(first, "get nodes --no-headers")
		return err == nil && strings.Count(out, " Ready ") == 5 && !strings.Contains(out, "NotReady"), out
	})
	out, _ := l.kubectl(first, "get nodes -o wide")
	for line := range strings.Lines(out) {
		t.Logf("| %s", strings.TrimRight(line[:min(len(line), 90)], " \n"))
	}
	e := until(t, "etcd has three healthy members", time.Minute, func() (bool, string) {
		out, err := l.etcd(first, "endpoint health --cluster -w json")
		var members []struct{ Health bool }
		if err != nil || json.Unmarshal([]byte(out), &members) != nil || len(members) != 3 {
			return false, out
		}
		return members[0].Health && members[1].Health && members[2].Health, out
	})
	a := until(t, "the API answers on the virtual address, through haproxy", time.Minute, func() (bool, string) {
		out, err := l.healthz()
		return err == nil && out == "ok", out
	})
	backends := l.on(t, first, "grep -c '^ *server k8s-mn' /etc/haproxy/haproxy.cfg")
	if backends != "3" {
		t.Errorf("haproxy has %s backends", backends)
	}
	if _, err := l.kubectl(first, "--server=https://"+l.vip()+":8443 get --raw /readyz"); err != nil {
		t.Errorf("kubectl through the virtual address: %v", err)
	}
	t.Logf("five Ready nodes (%s), etcd: three healthy members (%s), https://%s:8443/healthz: ok (%s), held by %s", d, e, l.vip(), a, l.holder())
}

// etcd runs etcdctl in the member of a control plane.
func (l *lab) etcd(host, args string) (string, error) {
	return l.kubectl(host, "-n kube-system exec etcd-"+host+" -- etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt"+
		" --cert=/etc/kubernetes/pki/etcd/peer.crt --key=/etc/kubernetes/pki/etcd/peer.key "+args)
}

// holder is the control plane that has the virtual address; "" when none has.
func (l *lab) holder() string {
	for _, host := range controlPlanes {
		if out, err := l.try("console", host, "ip", "-br", "addr"); err == nil && strings.Contains(out, l.vip()+"/") {
			return host
		}
	}
	return ""
}

func secondRun(t *testing.T, l *lab, c *controller) {
	r := c.want(t, 0, "run", l.site(), "-i", l.inventory(), "-v")
	counts := lastCounts(c.log(t))
	if counts["changed"] != 0 || counts["failed"] != 0 {
		var changed []string
		for instance, status := range results(c.log(t)) {
			if status == "changed" {
				changed = append(changed, instance)
			}
		}
		t.Errorf("counts: %v; changed: %v", counts, changed)
		r.show(t, "change ")
	}
	r.says(t, "0 changed")
	t.Logf("SECOND RUN: %s, %v", r.took, counts)
	lastLine(t, r)
	r = c.want(t, 0, "run", l.site(), "-i", l.inventory(), "-o", "json")
	t.Logf("third run, as JSON: %s, %d lines", r.took, strings.Count(r.out, "\n"))
}

// addressMoves stops the host that holds the address, as a power cut does.
func addressMoves(t *testing.T, l *lab) {
	holder := l.holder()
	if holder == "" {
		t.Fatal("nobody holds the virtual address")
	}
	l.sh(t, "stop", holder)
	answers := until(t, "the API answers again", time.Minute, func() (bool, string) {
		out, err := l.healthz()
		return err == nil && out == "ok", out
	})
	next := l.holder()
	if next == holder || next == "" {
		t.Errorf("the address is with %q", next)
	}
	steady := until(t, "the API answers ten times in a row", time.Minute, func() (bool, string) {
		for i := range 10 {
			if out, err := l.healthz(); err != nil || out != "ok" {
				return false, strconv.Itoa(i) + " times"
			}
		}
		return true, ""
	})
	l.sh(t, "start", holder)
	back := until(t, "the haproxy and keepalived of the host that was stopped work", time.Minute, func() (bool, string) {
		out, err := l.try("exec", "curl", "-ks", "--max-time", "2", "https://"+l.address(holder)+":8443/healthz")
		if err != nil || out != "ok" {
			return false, out
		}
		out, err = l.try("ssh", holder, "systemctl is-active keepalived kubelet containerd")
		return err == nil, out
	})
	if out, err := l.kubectl(next, "--server=https://"+l.vip()+":8443 get nodes --no-headers"); err != nil || strings.Count(out, "\n")+1 != 5 {
		t.Errorf("the cluster after that: %v\n%s", err, out)
	}
	t.Logf("%s stopped: the API answered on %s after %s, ten times in a row after %s more; started again: it serves the API after %s",
		holder, next, answers, steady, back)
}
