package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// dockerHosts are the lab for docker-cri, which has one control plane.
const dockerHosts = "k8s-mn01=11 k8s-wn01=100 k8s-wn02=200"

// TestDocker is the second playbook, docker-cri, from bare hosts to a cluster whose container runtime is Docker, through the unit
// and socket of cri-dockerd. In its place the lab has the dockershim it was made of; Docker is Debian's.
func TestDocker(t *testing.T) {
	l := needLab(t)
	t.Setenv("LAB_HOSTS", dockerHosts)
	l.sh(t, "up", "3")
	c := l.controller(t)
	site := filepath.Join(l.repo, "test/lab/docker-site.yaml")
	if !t.Run("kflow run from bare hosts", func(t *testing.T) { buildDocker(t, l, c, site) }) {
		t.Fatal("there is no cluster: nothing else can be tested")
	}
	t.Run("three ready nodes, whose runtime is Docker", func(t *testing.T) { dockerWorks(t, l) })
	t.Run("a second run changes nothing", func(t *testing.T) {
		r := c.want(t, 0, "run", site, "-i", l.inventory(), "-v")
		if counts := lastCounts(c.log(t)); counts["changed"] != 0 || counts["failed"] != 0 {
			t.Errorf("counts: %v", counts)
			r.show(t, "change ")
		}
		lastLine(t, r)
	})
	t.Run("a node that leaves and comes again", func(t *testing.T) { dockerLeaves(t, l, c, site) })
	t.Run("the configuration of Docker changes: it is restarted, and the pods come back", func(t *testing.T) { dockerRestarts(t, l, c, site) })
}

func buildDocker(t *testing.T, l *lab, c *controller, site string) {
	r := c.run(t, "run", site, "-i", l.inventory())
	if r.code != 0 {
		t.Fatalf("exit code %d after %s\n%s", r.code, r.took, tail(r.all(), 12000))
	}
	log := c.log(t)
	for instance, status := range results(log) {
		if !slices.Contains([]string{"ok", "changed", "skipped"}, status) {
			t.Errorf("%s is %s", instance, status)
		}
	}
	t.Logf("BARE HOSTS TO A WORKING CLUSTER WITH DOCKER: %s; %d instances finished, results %v", r.took, count(log).finished, lastCounts(log))
	slowest(t, log)
}

func dockerWorks(t *testing.T, l *lab) {
	first := controlPlanes[0]
	d := until(t, "three nodes are Ready, with Docker", 2*time.Minute, func() (bool, string) {
		out, err := l.kubectl(first, "get nodes -o wide --no-headers")
		return err == nil && strings.Count(out, " Ready ") == 3 && strings.Count(out, "docker://") == 3, out
	})
	for _, host := range append([]string{first}, workers...) {
		if out := l.on(t, host, "systemctl is-active docker cri-docker.socket cri-docker kubelet; docker info -f '{{.CgroupDriver}} {{.Driver}}'"); out != "active\nactive\nactive\nactive\nsystemd overlay2" {
			t.Errorf("%s: %s", host, out)
		}
		if out := l.on(t, host, "journalctl -b -p warning --no-pager -o cat _PID=1 | grep -c 'Unknown key' || true"); out != "0" {
			t.Errorf("%s: systemd does not understand %s lines of the units", host, out)
		}
	}
	t.Logf("three Ready nodes with Docker (%s)", d)
}

// dockerRestarts changes what Docker is told: its containers end with it, and kubelet starts them again.
func dockerRestarts(t *testing.T, l *lab, c *controller, site string) {
	dir := t.TempDir() // with all that the site playbook uses
	for _, part := range []string{"playbooks", "test/lab/parts"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(l.repo, part))); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"log-driver": "json-file",`, `"log-driver": "json-file", "log-opts": {"max-file": "3"},`, 1)
	if changed == string(text) {
		t.Fatal("there is nothing to change in the site playbook")
	}
	other := filepath.Join(dir, "test/lab/docker-site.yaml")
	if err := os.WriteFile(other, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := c.want(t, 0, "run", other, "-i", l.inventory(), "-v")
	r.says(t, "restart docker")
	for _, instance := range []string{"cluster/docker/config@k8s-mn01", "cluster/docker/service@k8s-wn02"} {
		if status := results(c.log(t))[instance]; status != "changed" {
			t.Errorf("%s is %s", instance, status)
		}
	}
	lastLine(t, r)
}

// dockerLeaves resets a node, and lets the playbook join it again.
func dockerLeaves(t *testing.T, l *lab, c *controller, site string) {
	const host = "k8s-wn02"
	c.want(t, 0, "run", l.playbook("docker-leave.yaml"), "-i", l.inventory())
	if out := l.on(t, host, "docker ps -aq --filter label=io.kubernetes.pod.uid | wc -l"); out != "0" {
		t.Errorf("%s containers of pods are left", out)
	}
	if out, err := l.kubectl(controlPlanes[0], "get nodes --no-headers"); err != nil || strings.Count(out, "\n")+1 != 2 {
		t.Errorf("the nodes that are left: %v\n%s", err, out)
	}
	r := c.want(t, 0, "run", site, "-i", l.inventory())
	if status := results(c.log(t))["cluster/join@"+host]; status != "changed" {
		t.Errorf("join is %s\n%s", status, tail(r.all(), 4000))
	}
	dockerWorks(t, l)
	lastLine(t, r)
}
