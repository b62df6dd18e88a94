// Package bench measures what kflow promises on speed, on the hosts of test/lab, as ratios in one run: each figure stands
// beside what it is compared with, measured by the same process a moment before or after. Benchmarks that need no host are
// with the packages they measure.
package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var hosts = map[string]string{"k8s-mn01": "11", "k8s-mn02": "22", "k8s-mn03": "33", "k8s-wn01": "100", "k8s-wn02": "200"}

type lab struct {
	repo, ns, net, run, kflow, home string
}

func needLab(b *testing.B) *lab {
	b.Helper()
	if os.Getenv("KFLOW_LAB") == "" {
		b.Skip("NOT MEASURED: KFLOW_LAB is not set. This benchmark needs root and a lab of five hosts: test/lab/lab.sh up 5, then KFLOW_LAB=1")
	}
	repo, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	dir := env("LAB_DIR", filepath.Join(cache, "kflow-lab"))
	l := &lab{repo: repo, ns: env("LAB_NS", "kflab"), net: env("LAB_NET", "10.99.0"), run: filepath.Join(dir, "run"),
		kflow: env("KFLOW_BIN", filepath.Join(repo, "bin/kflow")), home: b.TempDir()}
	if l.ns != "kflab" {
		l.run += "-" + l.ns
	}
	if _, err := os.Stat(filepath.Join(l.run, "inventory.yaml")); err != nil {
		b.Fatalf("no lab: %v (test/lab/lab.sh up 5)", err)
	}
	return l
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func (l *lab) inventory() string { return filepath.Join(l.run, "inventory.yaml") }

// inside runs a program on the lab's network and returns how long it took.
func (l *lab) inside(b *testing.B, argv ...string) (time.Duration, string) {
	b.Helper()
	return l.timed(b, exec.Command("nsenter", append([]string{"--net=/run/netns/" + l.ns, "--"}, argv...)...))
}

func (l *lab) timed(b *testing.B, c *exec.Cmd) (time.Duration, string) {
	b.Helper()
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.home, "NO_COLOR=1"}
	start := time.Now()
	out, err := c.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(c.Args, " "), err, out)
	}
	return took, string(out)
}

// converged runs a playbook until it finds nothing to change.
func (l *lab) converged(b *testing.B, playbook, inventory string) {
	b.Helper()
	for range 3 {
		if _, out := l.inside(b, l.kflow, "run", playbook, "-i", inventory); strings.Contains(out, " 0 changed") {
			return
		}
	}
	b.Fatalf("%s does not converge", playbook)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkNode compares a converged run of thirty tasks on five hosts, the whole process, with thirty times `ssh HOST
// true` on connections that are open already, the five hosts in parallel.
func BenchmarkNode(b *testing.B) {
	l := needLab(b)
	playbook := filepath.Join(l.repo, "test/bench/node.yaml")
	l.converged(b, playbook, l.inventory())
	control := l.masters(b)
	var ours, theirs []time.Duration
	for range 5 {
		took, out := l.inside(b, l.kflow, "run", playbook, "-i", l.inventory())
		if !strings.Contains(out, "0 changed") {
			b.Fatalf("not converged:\n%s", out)
		}
		ours = append(ours, took)
		theirs = append(theirs, l.thirty(b, control))
	}
	o, t := median(ours), median(theirs)
	report(b, "kflow-ms", ms(o), "ssh-x30-ms", ms(t), "kflow/ssh-x30", float64(o)/float64(t))
	if o >= t {
		b.Errorf("a converged run of 30 tasks on 5 hosts took %s, thirty `ssh HOST true` on open connections %s: it must take less", o, t)
	}
}

func report(b *testing.B, pairs ...any) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	for i := 0; i < len(pairs); i += 2 {
		b.ReportMetric(pairs[i+1].(float64), pairs[i].(string))
	}
}

// masters opens a multiplexed ssh connection to each host.
func (l *lab) masters(b *testing.B) string {
	b.Helper()
	control := filepath.Join(b.TempDir(), "%h")
	for host := range hosts {
		l.inside(b, "ssh", "-F", filepath.Join(l.run, "ssh_config"), "-o", "ControlMaster=yes", "-o", "ControlPersist=60", "-o", "ControlPath="+control, "-fNq", host)
	}
	b.Cleanup(func() {
		for host := range hosts {
			c := exec.Command("ssh", "-F", filepath.Join(l.run, "ssh_config"), "-o", "ControlPath="+control, "-O", "exit", host)
			_ = c.Run() // it would end by itself
		}
	})
	return control
}

func (l *lab) thirty(b *testing.B, control string) time.Duration {
	b.Helper()
	start := time.Now()
	errs := make([]error, 0, len(hosts))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for host := range hosts {
		wg.Go(func() {
			for range 30 {
				if out, err := exec.Command("ssh", "-F", filepath.Join(l.run, "ssh_config"), "-o", "ControlPath="+control, host, "true").CombinedOutput(); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("%w: %s", err, out))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkTask measures what one more task costs on a host that is far away: a chain of tasks, through a proxy that
// delays every byte by ten milliseconds each way. A task may cost one round trip and two milliseconds.
func BenchmarkTask(b *testing.B) {
	l := needLab(b)
	const delay, tasks, overhead = 10 * time.Millisecond, 100, 2 * time.Millisecond
	for _, hop := range []struct {
		name  string
		delay time.Duration
	}{{"near", 0}, {"far", delay}} {
		b.Run(hop.name, func(b *testing.B) {
			inventory, trip := l.behind(b, "k8s-wn01", hop.delay)
			short, long := l.chain(b, 1), l.chain(b, tasks+1)
			l.once(b, long, inventory)
			var few, many []time.Duration
			for range 5 {
				few = append(few, l.once(b, short, inventory))
				many = append(many, l.once(b, long, inventory))
			}
			each := (median(many) - median(few)) / tasks
			report(b, "ms/task", ms(each), "round-trip-ms", ms(trip), "overhead-ms", ms(each-trip))
			if each > trip+overhead {
				b.Errorf("a task costs %s where a round trip takes %s: it may cost %s more", each, trip, overhead)
			}
		})
	}
}

// once runs kflow on the network of the lab.
func (l *lab) once(b *testing.B, playbook, inventory string) time.Duration {
	b.Helper()
	took, _ := l.inside(b, l.kflow, "run", playbook, "-i", inventory)
	return took
}

// chain writes a playbook of n tasks, each waiting for the one before.
func (l *lab) chain(b *testing.B, n int) string {
	b.Helper()
	var y strings.Builder
	y.WriteString("kflow: v1\nname: chain\ntasks:\n")
	for i := range n {
		fmt.Fprintf(&y, "  - id: t%d\n", i)
		if i > 0 {
			fmt.Fprintf(&y, "    needs: [t%d]\n", i-1)
		}
		fmt.Fprintf(&y, "    file:\n      path: /run/kflow-bench-%d\n      content: task %d\n", i, i)
	}
	file := filepath.Join(b.TempDir(), "chain.yaml")
	if err := os.WriteFile(file, []byte(y.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// BenchmarkConnect compares a run of one task on hosts that have the agent with one on hosts that have it not.
func BenchmarkConnect(b *testing.B) {
	l := needLab(b)
	playbook := l.chain(b, 1)
	l.converged(b, playbook, l.inventory())
	var cached, fresh []time.Duration
	for range 5 {
		for host := range hosts {
			l.inside(b, "ssh", "-F", filepath.Join(l.run, "ssh_config"), host, "rm -f /var/lib/kflow/agent-*")
		}
		took, _ := l.inside(b, l.kflow, "run", playbook, "-i", l.inventory())
		fresh = append(fresh, took)
		took, _ = l.inside(b, l.kflow, "run", playbook, "-i", l.inventory())
		cached = append(cached, took)
	}
	_, size := l.inside(b, "ssh", "-F", filepath.Join(l.run, "ssh_config"), "k8s-wn01", "stat -c %s /var/lib/kflow/agent-*")
	var bytes float64
	if _, err := fmt.Sscan(size, &bytes); err != nil {
		b.Fatalf("size of the agent: %v", err)
	}
	report(b, "cached-ms", ms(median(cached)), "sent-ms", ms(median(fresh)), "cached/sent", float64(median(cached))/float64(median(fresh)), "agent-MB", bytes/1e6)
	if bytes >= 8e6 {
		b.Errorf("the agent has %.0f bytes, 8 MB is the limit", bytes)
	}
	if median(cached) >= median(fresh) {
		b.Error("a cached agent is no faster than one that is sent")
	}
}

// BenchmarkGraph measures `kflow graph` of the flagship, the whole process, beside a process that only says its version.
// It reaches no host and so needs no lab: the addresses of its inventory are those of the document.
func BenchmarkGraph(b *testing.B) {
	repo, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	kflow := env("KFLOW_BIN", filepath.Join(repo, "bin/kflow"))
	if _, err := os.Stat(kflow); err != nil {
		b.Skipf("NOT MEASURED: %v (make build)", err)
	}
	l := &lab{home: b.TempDir()}
	var graph, version []time.Duration
	for range 11 {
		took, out := l.timed(b, exec.Command(kflow, "graph", filepath.Join(repo, "playbooks/ha-containerd.yaml")))
		if !strings.Contains(out, "join_control_plane") {
			b.Fatalf("that is no graph:\n%s", out)
		}
		graph = append(graph, took)
		took, _ = l.timed(b, exec.Command(kflow, "version"))
		version = append(version, took)
	}
	g, v := slices.Min(graph), slices.Min(version)
	report(b, "graph-ms", ms(g), "version-ms", ms(v), "graph/version", float64(g)/float64(v))
	if g >= 100*time.Millisecond {
		b.Errorf("the graph took %s, it must take less than 100 ms", g)
	}
}
