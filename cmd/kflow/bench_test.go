package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
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
