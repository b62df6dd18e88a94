// Build makes the agents that package binaries holds. Run it from the root of the repository:
//
//	go run ./engine/agent/binaries/build [ARCH...]
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kflow/kflow/engine/agent/binaries"
)

const dir = "engine/agent/binaries"

func main() {
	arches := os.Args[1:]
	if len(arches) == 0 {
		arches = binaries.Arches()
	}
	for _, arch := range arches {
		if err := build(arch); err != nil {
			fmt.Fprintln(os.Stderr, "build agent for", arch+":", err)
			os.Exit(1)
		}
	}
}

// build compiles the agent and packs it. It is sent to hosts, so small counts for more than fast: HTTP/2 is left out and
// nothing is inlined. A file that would not change keeps its time, so that kflow is not linked again.
func build(arch string) error {
	tmp, err := os.MkdirTemp("", "kflow-agent-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "nethttpomithttp2", "-gcflags=all=-l", "-ldflags", "-s -w -buildid= -funcalign 16", "-o",
		out, "./cmd/kflow-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	program, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	b, err := binaries.Pack(program)
	if err != nil {
		return err
	}
	fmt.Printf("agent linux/%s: %.1f MB, packed %.1f MB, %s\n", arch, float64(len(program))/1e6, float64(len(b.Data))/1e6, b.SHA256[:12])
	file := filepath.Join(dir, "agent-linux-"+arch+".gz")
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, b.Data) {
		return nil
	}
	return os.WriteFile(file, b.Data, 0o644)
}
