package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const flagship = "../../playbooks/ha-containerd.yaml"

// BenchmarkGraphOfTheFlagship is the whole command: it has to be done before a person notices (100 ms). x/yaml says how
// many times longer it takes than to parse the same files as YAML, which is what nobody can do without.
func BenchmarkGraphOfTheFlagship(b *testing.B) { againstYAML(b, "graph", flagship) }

// BenchmarkValidateTheFlagship is the same for kflow validate.
func BenchmarkValidateTheFlagship(b *testing.B) { againstYAML(b, "validate", flagship) }

// BenchmarkValidate2000 is kflow validate of a playbook of 2,000 tasks in blocks and parts, each on all of five hosts: to be
// done within a second. x/half says how many times longer it takes than half as many tasks: 2 is linear.
func BenchmarkValidate2000(b *testing.B) {
	dir := b.TempDir()
	half, whole := largePlaybook(b, dir, "half.yaml", 1000), largePlaybook(b, dir, "whole.yaml", 2000)
	validate := func(file string) func() {
		return func() {
			if code := run(context.Background(), []string{"validate", file}, strings.NewReader(""), io.Discard, os.Stderr); code != 0 {
				b.Fatalf("exit code %d", code)
			}
		}
	}
	least := func(file string) time.Duration { // of the processor's time: others may be using this machine
		best := time.Hour
		for range 3 {
			start := cpuTime(b)
			validate(file)()
			best = min(best, cpuTime(b)-start)
		}
		return best
	}
	floor, best := least(half), least(whole)
	for b.Loop() {
		validate(whole)()
	}
	b.ReportMetric(float64(best.Microseconds())/1000, "cpu-ms/op")
	b.ReportMetric(float64(best)/float64(floor), "x/half")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// largePlaybook writes a playbook of n tasks: half of them in blocks of ten steps that write files and start units, half in
// parts of fifty. Each block and part waits for one before it; all read facts, inputs and outputs.
func largePlaybook(b *testing.B, dir, name string, n int) string {
	var main, part strings.Builder
	main.WriteString("kflow: v1\nname: large\ninventory: hosts.yaml\ninputs: {v: {type: version, default: 1.2.3}}\ntasks:\n")
	for i := range n / 20 {
		fmt.Fprintf(&main, "  - id: block_%d\n", i)
		if i > 0 {
			fmt.Fprintf(&main, "    needs: [block_%d]\n", i/2)
		}
		main.WriteString("    steps:\n")
		for j := range 5 {
			fmt.Fprintf(&main, "      - id: file_%d\n        when: host.facts.os.family == \"debian\"\n        file:\n          path: /etc/b%d/f%d\n          content: ${{ inputs.v }} on ${{ host.name }}\n", j, i, j)
			fmt.Fprintf(&main, "      - id: unit_%d\n        systemd: {unit: u%d-%d, state: started, restart_on: [/etc/b%d/f%d]}\n", j, i, j, i, j)
		}
	}
	for i := range n / 100 {
		fmt.Fprintf(&main, "  - id: part_%d\n    needs: [block_%d]\n    use: part%d.yaml\n    with: {dir: /srv/p%d}\n", i, i, n, i)
	}
	part.WriteString("kflow: v1\ninputs: {dir: {type: path}}\ntasks:\n")
	for i := range 25 {
		fmt.Fprintf(&part, "  - id: ask_%d\n    command: {argv: [cat, \"${{ inputs.dir }}/%d\"], read_only: true}\n", i, i)
		fmt.Fprintf(&part, "  - id: keep_%d\n    file:\n      path: ${{ inputs.dir }}/copy%d\n      content: ${{ tasks.ask_%d.outputs.stdout }}\n", i, i, i)
	}
	hosts := "kflow: v1\nhosts: {h1: {}, h2: {}, h3: {}, h4: {}, h5: {}}\n"
	for file, text := range map[string]string{name: main.String(), fmt.Sprintf("part%d.yaml", n): part.String(), "hosts.yaml": hosts} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return filepath.Join(dir, name)
}

func againstYAML(b *testing.B, args ...string) {
	command := func() {
		if code := run(context.Background(), args, strings.NewReader(""), io.Discard, os.Stderr); code != 0 {
			b.Fatalf("exit code %d", code)
		}
	}
	command() // once, so that both find the files in memory
	floor := fastest(func() { parseAll(b) })
	start := time.Now()
	for b.Loop() {
		command()
	}
	each := time.Since(start) / time.Duration(b.N)
	b.ReportMetric(float64(each.Microseconds())/1000, "ms/op")
	b.ReportMetric(float64(each)/float64(floor), "x/yaml")
	b.ReportMetric(0, "ns/op")
}

// parseAll reads the playbook and its parts as YAML, and nothing more.
func parseAll(b *testing.B) {
	parts, err := filepath.Glob("../../playbooks/lib/*.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range append(parts, flagship) {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		var node yaml.Node
		if err := yaml.Unmarshal(text, &node); err != nil {
			b.Fatal(err)
		}
	}
}

func fastest(f func()) time.Duration {
	best := time.Hour
	for range 5 {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}
