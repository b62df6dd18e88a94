package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lab is the lab of this test run.
type lab struct {
	repo   string // root of the repository
	script string // lab.sh
	ns     string // network namespace
	net    string // first three parts of its addresses
	run    string // folder of the lab's inventory, known_hosts and ssh_config
	kflow  string // the program under test
}

// The hosts, as test/lab names them.
var (
	controlPlanes = []string{"k8s-mn01", "k8s-mn02", "k8s-mn03"}
	workers       = []string{"k8s-wn01", "k8s-wn02"}
	allHosts      = append(append([]string{}, controlPlanes...), workers...)
	lastPart      = map[string]string{"k8s-mn01": "11", "k8s-mn02": "22", "k8s-mn03": "33", "k8s-wn01": "100", "k8s-wn02": "200"}
)

// needLab skips a test where there is no lab, with the reason.
func needLab(t *testing.T) *lab {
	t.Helper()
	if os.Getenv("KFLOW_LAB") == "" {
		t.Skip("NOT TESTED: KFLOW_LAB is not set. These tests need root and a lab of real hosts: run test/e2e/run.sh")
	}
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("LAB_DIR")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "kflow-lab")
	}
	l := &lab{repo: repo, script: filepath.Join(repo, "test/lab/lab.sh"), ns: env("LAB_NS", "kflab"), net: env("LAB_NET", "10.99.0"),
		run: filepath.Join(dir, "run"), kflow: env("KFLOW_BIN", filepath.Join(repo, "bin/kflow"))}
	if l.ns != "kflab" {
		l.run += "-" + l.ns
	}
	if _, err := os.Stat(l.kflow); err != nil {
		t.Fatalf("%s is not built: %v (make build)", l.kflow, err)
	}
	return l
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func (l *lab) address(host string) string { return l.net + "." + lastPart[host] }
func (l *lab) vip() string                { return l.net + ".240" }
func (l *lab) inventory() string          { return filepath.Join(l.run, "inventory.yaml") }

// sh runs a command of lab.sh and returns what it prints.
func (l *lab) sh(t *testing.T, args ...string) string {
	t.Helper()
	out, err := l.try(args...)
	if err != nil {
		t.Fatalf("lab.sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (l *lab) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 3*time.Minute, errors.New("lab.sh took more than 3 minutes"))
	defer cancel()
	c := exec.CommandContext(ctx, l.script, args...)
	c.Env = append(os.Environ(), "LAB_NS="+l.ns, "LAB_NET="+l.net)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), err
}

// on runs a shell command on a host, by the lab's ssh.
func (l *lab) on(t *testing.T, host, command string) string {
	t.Helper()
	return l.sh(t, "ssh", host, command)
}

// bare starts the lab afresh: five bare hosts.
func (l *lab) bare(t *testing.T) {
	t.Helper()
	start := time.Now()
	l.sh(t, "up", "5")
	t.Logf("five bare hosts up in %s", since(start))
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }

// until asks again and again until ask is content, and returns how long that took.
func until(t *testing.T, what string, patience time.Duration, ask func() (ok bool, seen string)) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := ask()
		if ok {
			return since(start)
		}
		if time.Since(start) > patience {
			t.Fatalf("after %s still not: %s\nseen last: %s", patience, what, seen)
		}
		<-tick.C
	}
}

// kubectl asks the cluster on a control plane.
func (l *lab) kubectl(host, args string) (string, error) {
	return l.try("ssh", host, "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s "+args)
}

// healthz asks the API through the virtual address, from the lab's network.
func (l *lab) healthz() (string, error) {
	return l.try("exec", "curl", "-ks", "--max-time", "2", "https://"+l.vip()+":8443/healthz")
}
