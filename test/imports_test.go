// Package test holds what concerns the repository as a whole: the directions of import, the lab of real hosts,
// acceptance tests and benchmarks.
package test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/kflow/kflow/"

// directions says which packages of ours a package may import. The longest prefix that matches counts; a package without
// an entry may import anything of ours.
var directions = []struct{ of, may string }{
	{"engine/diag", ""},
	{"engine/event", ""},
	{"engine/shape", ""},
	{"engine/sealed", ""},
	{"engine/mask", "engine/event"},
	{"engine/task", "engine/diag engine/shape engine/job engine/converge engine/task"},
	{"engine/job", "engine/task"},
	{"engine/converge", "engine/task engine/job engine/diag engine/shape engine/mask"},
	{"engine/sched", "engine/event"},
	{"engine/graph", "engine/diag engine/event"},
	{"engine/render", "engine/event engine/render"},
	{"engine/checkpoint", "engine/event"},
	{"engine/syntax", "engine/diag engine/shape"},
	{"engine/expr", "engine/diag engine/shape"},
	{"engine/inventory", "engine/diag engine/shape engine/syntax engine/expr"},
	{"engine/playbook", "engine/diag engine/shape engine/syntax engine/expr engine/task engine/event"},
	{"engine/agent", "engine/task engine/job engine/converge engine/host engine/facts engine/agent engine/transport engine/mask"},
	{"engine/transport", "engine/task engine/job engine/converge engine/host engine/facts engine/agent engine/transport engine/mask"},
	{"engine/host", "engine/task engine/job engine/host"},
	{"engine/facts", "engine/task"},
	{"engine/plan", "engine/diag engine/event engine/expr engine/inventory engine/playbook engine/sched engine/shape engine/task"},
	{"engine/race", "engine/diag engine/plan engine/playbook engine/render/fold engine/sched engine/task"},
	{"engine/couple", "engine/diag engine/plan engine/playbook engine/sched engine/task"},
	{"engine/run", "engine/checkpoint engine/diag engine/event engine/expr engine/job engine/mask engine/plan engine/playbook " +
		"engine/sched engine/shape engine/task engine/transport"},
	{"engine/sim/clock", "engine/sched"},
	{"engine/sim/host", "engine/task engine/job engine/converge"},
	{"engine/sim/cluster", "engine/sim/host"},
	{"engine/sim/internet", ""},
	{"tasks", "engine/task engine/diag tasks"},
}

// TestDirectionsOfImport keeps the layers of DESIGN section 9: kinds know the contract and nothing else, the scheduler
// knows no kind, no SSH and no YAML, renderers read events alone, and a simulated host knows no engine.
func TestDirectionsOfImport(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	checked := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		may, limited := allowed(pkg)
		if !limited {
			continue
		}
		checked++
		for _, imp := range fields[1:] {
			if ours, ok := strings.CutPrefix(imp, module); ok && !within(ours, may) {
				t.Errorf("%s imports %s; it may import %v of ours", pkg, ours, may)
			}
		}
	}
	if checked < len(directions) {
		t.Errorf("only %d packages were checked, %d rules exist: is a rule's folder gone?", checked, len(directions))
	}
}

func allowed(pkg string) ([]string, bool) {
	best := -1
	for i, d := range directions {
		if within(pkg, []string{d.of}) && (best < 0 || len(d.of) > len(directions[best].of)) {
			best = i
		}
	}
	if best < 0 {
		return nil, false
	}
	return strings.Fields(directions[best].may), true
}

func within(pkg string, prefixes []string) bool {
	for _, p := range prefixes {
		if pkg == p || strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}
