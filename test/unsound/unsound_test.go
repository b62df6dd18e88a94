// Package unsound holds playbooks that are wrong in ways that only their whole shows: races, versions that do not go
// together, addresses that overlap. Each says in its first line by which rules it must be found; `error` is a finding
// that has no rule and can't be switched off. The playbooks that kflow ships give no finding at all.
package unsound

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks"
)

// look validates a playbook.
func look(t *testing.T, file string, set ...string) (*engine.Project, []diag.Diagnostic) {
	t.Helper()
	p, found := engine.Open(context.Background(), engine.Config{Playbook: file, Sketch: true, Set: set, Kinds: tasks.All(), Environ: []string{}})
	return p, found.Sorted()
}

// rules are the names of the rules that found something, each once.
func rules(found []diag.Diagnostic) []string {
	var out []string
	for _, d := range found {
		name := d.Rule
		if name == "" {
			name = d.Severity.String()
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wanted reads the first line.
func wanted(text string) []string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.Fields(strings.TrimPrefix(line, "# rules:"))
}

func TestEachIsFoundByItsRule(t *testing.T) {
	files, _ := filepath.Glob("*.yaml")
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# rules:") {
			continue
		}
		n++
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			_, found := look(t, file)
			if d := cmp.Diff(wanted(string(text)), rules(found)); d != "" {
				t.Errorf("rules (-want +got)\n%s%v", d, found)
			}
			for _, d := range found {
				if !d.Pos.Known() || d.Rule != "" && d.Hint == "" {
					t.Errorf("a finding without place or way out: %v", d)
				}
			}
			allowed(t, string(text))
		})
	}
	if n < 20 {
		t.Errorf("only %d playbooks", n)
	}
}

// TestEveryRuleHasAPlaybook: a rule that nothing shows could find nothing at all. Each says its fact and where it is from.
func TestEveryRuleHasAPlaybook(t *testing.T) {
	shown := map[string]bool{}
	files, _ := filepath.Glob("*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(text), "# rules:") {
			for _, rule := range wanted(string(text)) {
				shown[rule] = true
			}
		}
	}
	n := 0
	for _, k := range tasks.All().Kinds() {
		coupler, ok := k.New().(task.Coupler)
		if !ok {
			continue
		}
		for _, c := range coupler.Couplings() {
			n++
			if !shown[c.Rule] {
				t.Errorf("rule %s of %s: no playbook here shows it", c.Rule, k.Name)
			}
			if len(c.Fact) < 20 || c.Source == "" {
				t.Errorf("rule %s: the fact %q, its source %q", c.Rule, c.Fact, c.Source)
			}
		}
	}
	if n < 15 || !shown["race"] {
		t.Errorf("%d rules, race shown: %t", n, shown["race"])
	}
}

// allowed switches the rules off by name: nothing is found then.
func allowed(t *testing.T, text string) {
	t.Helper()
	allow := "allow:\n"
	for _, rule := range wanted(text) {
		if rule == "error" {
			return
		}
		allow += "  - {rule: " + rule + ", reason: the test says so}\n"
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"p.yaml": strings.Replace(text, "tasks:\n", allow+"tasks:\n", 1), "hosts.yaml": inventory(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inAnyCase := strings.Contains(text, "# The kind refuses it in any case.")
	if _, found := look(t, filepath.Join(dir, "p.yaml")); len(rules(found)) > 0 && (!inAnyCase || slices.ContainsFunc(found, func(d diag.Diagnostic) bool { return d.Rule != "" })) {
		t.Errorf("switched off, and still found: %v", found)
	}
}

func inventory(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("hosts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestShippedPlaybooksAreSound: no finding, not even a warning.
func TestShippedPlaybooksAreSound(t *testing.T) {
	files, _ := filepath.Glob("../../playbooks/*.yaml")
	if len(files) == 0 {
		t.Fatal("no playbooks")
	}
	for _, file := range files {
		if _, found := look(t, file); len(found) > 0 {
			t.Errorf("%s: %v", file, found)
		}
	}
}

// TestValuesOfTheFlagship: one wrong value among many right ones.
func TestValuesOfTheFlagship(t *testing.T) {
	for set, want := range map[string]string{
		"pause_tag=3.6":         "pause-image",
		"vip_port=6443":         "api-port",
		"calico_version=3.27.0": "",
		"kubernetes_version=1.30.2,calico_version=3.27.0":                                         "cni-version",
		"kubernetes_repository=https://pkgs.k8s.io/core:/stable:/v1.28/{format}/":                 "repository-minor",
		"kubernetes_repository=https://packages.cloud.google.com/yum/repos/kubernetes-el7-x86_64": "repository-gone",
		"calico_manifest=https://raw.githubusercontent.com/projectcalico/calico/master/x.yaml":    "floating-manifest",
		"image_repository=k8s.gcr.io":                                                             "frozen-registry",
	} {
		_, found := look(t, "../../playbooks/ha-containerd.yaml", strings.Split(set, ",")...)
		if got := strings.Join(rules(found), " "); got != want {
			t.Errorf("--set %s: %q, want %q\n%v", set, got, want, found)
		}
	}
}

// TestPictureIsCurrent: `make picture` draws it anew.
func TestPictureIsCurrent(t *testing.T) {
	p, _ := look(t, "../../playbooks/ha-containerd.yaml")
	svg, err := p.Graph("svg")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../docs/ha-containerd.svg")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(svg, "../../playbooks/", "playbooks/")
	if string(have) != want {
		t.Error("docs/ha-containerd.svg is not what `make picture` draws")
	}
}
