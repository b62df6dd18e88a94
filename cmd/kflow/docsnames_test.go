package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/schema"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/tasks"
)

// names reports every name that a document does not have between backquotes.
func names(t *testing.T, path string, all []string) {
	t.Helper()
	if len(all) == 0 {
		t.Errorf("%s: nothing to look for", path)
	}
	text := docText(t, path)
	for _, name := range all {
		if !regexp.MustCompile("`([^`\n]*[^`\\w\n-])?" + regexp.QuoteMeta(name) + "([^`\\w\n-][^`\n]*)?`").MatchString(text) {
			t.Errorf("%s does not name `%s`", path, name)
		}
	}
}

// keysOf are the keys that a schema has at a path.
func keysOf(t *testing.T, doc []byte, path ...string) []string {
	t.Helper()
	var at any
	if err := json.Unmarshal(doc, &at); err != nil {
		t.Fatal(err)
	}
	for _, p := range path {
		at = at.(map[string]any)[p]
	}
	var out []string
	for key := range at.(map[string]any) {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

func TestDocsNameEveryKey(t *testing.T) {
	kinds := tasks.All()
	playbooks, err := schema.Playbook(kinds)
	if err != nil {
		t.Fatal(err)
	}
	inventories, err := schema.Inventory(kinds)
	if err != nil {
		t.Fatal(err)
	}
	task := []string{"definitions", "task", "properties"}
	keys := slices.DeleteFunc(keysOf(t, playbooks, task...), func(key string) bool {
		_, kind := kinds.Lookup(key)
		return kind
	})
	keys = append(keys, keysOf(t, playbooks, "properties")...)
	keys = append(keys, keysOf(t, playbooks, append(task, "retry", "properties")...)...)
	for _, key := range []string{"inputs", "groups"} {
		keys = append(keys, keysOf(t, playbooks, "properties", key, "additionalProperties", "properties")...)
	}
	names(t, "docs/language.md", keys)
	keys = keysOf(t, inventories, "properties")
	for _, definition := range []string{"host", "ssh"} {
		keys = append(keys, keysOf(t, inventories, "definitions", definition, "properties")...)
	}
	keys = append(keys, keysOf(t, inventories, "definitions", "ssh", "properties", "become", "properties")...)
	keys = append(keys, keysOf(t, inventories, "properties", "groups", "additionalProperties", "properties")...)
	names(t, "docs/inventory.md", keys)
}

// constants are the values of the constants of a type in a file.
func constants(t *testing.T, path, typ string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name := v.Type
		if sel, ok := name.(*ast.SelectorExpr); ok {
			name = sel.Sel
		}
		if id, ok := name.(*ast.Ident); ok && id.Name == typ {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err == nil && text != "" {
				out = append(out, text)
			}
		}
		return true
	})
	return out
}

// members are the names of a struct and of those in it, in JSON.
func members(typ reflect.Type) []string {
	var out []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out = append(out, name)
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == typ.PkgPath() && inner != typ {
			out = append(out, members(inner)...)
		}
	}
	return out
}

func TestDocsNameEveryWord(t *testing.T) {
	names(t, "docs/language.md", constants(t, "engine/event/event.go", "Status"))
	names(t, "docs/running.md", constants(t, "engine/event/event.go", "Type"))
	names(t, "docs/running.md", constants(t, "engine/checkpoint/fold.go", "Type"))
	names(t, "docs/running.md", members(reflect.TypeFor[event.Event]()))
	names(t, "docs/running.md", constants(t, "engine/run/planning.go", "Foresight"))
	var faults []string
	for _, k := range sim.Kinds() {
		faults = append(faults, string(k))
	}
	names(t, "docs/simulate.md", faults)
	names(t, "docs/simulate.md", host.Families())
	var verdicts []string
	for _, v := range constants(t, "engine/sim/sweep.go", "Verdict") {
		verdicts = append(verdicts, strings.ToUpper(v))
	}
	names(t, "docs/simulate.md", verdicts)
}

func TestDocsNameEveryCommand(t *testing.T) {
	readme := docText(t, "README.md")
	a := &app{}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			(&docSession{path: "help of " + c.CommandPath()}).checkCommand(t, docCommand{words: strings.TrimSpace(line)})
		}
		if c.Runnable() && !c.Hidden && c.Name() != "help" && !strings.Contains(readme, "`"+c.CommandPath()) {
			t.Errorf("README.md does not name `%s`", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(a.root())
	for _, code := range []int{engine.ExitOK, engine.ExitUsage, engine.ExitChanges, engine.ExitFailed, engine.ExitUnreachable, engine.ExitLocked,
		engine.ExitInterrupted} {
		if !regexp.MustCompile(`[:,] ` + strconv.Itoa(code) + ` [a-z]`).MatchString(a.root().Long) {
			t.Errorf("kflow --help: the exit code %d is missing", code)
		}
		for _, page := range []string{"README.md", "docs/running.md"} {
			if !strings.Contains(docText(t, page), "\n| "+strconv.Itoa(code)+" | ") {
				t.Errorf("%s: the exit code %d is missing", page, code)
			}
		}
	}
}

var (
	linkRE    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingRE = regexp.MustCompile(`(?m)^#+ (.+)$`)
	pathRE    = regexp.MustCompile("`((?:cmd|docs|engine|playbooks|schema|tasks|test)/[A-Za-z0-9_./-]*)`")
)

// anchors are the places in a page that links can name.
func anchors(text string) []string {
	var out []string
	for _, m := range headingRE.FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(plain, " ", "-"))
	}
	return out
}

func TestDocsLinkToWhatExists(t *testing.T) {
	links := 0
	for _, path := range documents(t) {
		text := docText(t, path)
		for _, m := range linkRE.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(docText(t, target)), anchor) {
				t.Errorf("%s links to %s: there is no such heading", path, m[1])
			}
		}
		for _, m := range pathRE.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names a file: %v", path, err)
			}
		}
	}
	folders, _ := filepath.Glob(filepath.Join(root, "engine/*/"))
	for _, f := range folders {
		if info, err := os.Stat(f); err == nil && info.IsDir() && !strings.Contains(docText(t, "CONTRIBUTING.md"), "`engine/"+filepath.Base(f)+"`") {
			t.Errorf("CONTRIBUTING.md does not say what %s is", f)
		}
	}
	if links < 30 {
		t.Errorf("only %d links were found", links)
	}
}

// sources are the texts of kflow itself, in one line, verbs and quotes left out.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"cmd", "engine", "tasks"} {
		if err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			b.Write(text)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	text := regexp.MustCompile(`" \+\s*"|%[a-z]|[\x60"\\]`).ReplaceAllString(b.String(), "")
	return strings.Join(strings.Fields(text), " ")
}

// The messages of the page for the night are those that kflow has. What the system says of errors is not among them.
func TestTroubleshootingKnowsTheMessages(t *testing.T) {
	system := []string{"connection refused", "no route to host", "no such host", "no space left on device", "x509", "certificate has expired or is not yet valid"}
	text, all, n := docText(t, "docs/troubleshooting.md"), sources(t), 0
	parts := regexp.MustCompile("…|[`\",:;()=]|\\b[A-Z]{4,}\\b|\\bN\\b|TASK@HOST|\\brun\\b|events[.]jsonl|\\d+s\\b|root@|\\$OPS")
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]+`)[^|`]*\\|").FindAllStringSubmatch(text, -1) {
		for _, part := range parts.Split(m[1], -1) {
			part = strings.Join(strings.Fields(part), " ")
			if len(part) < 5 || slices.Contains(system, part) {
				continue
			}
			if n++; !strings.Contains(all, part) {
				t.Errorf("docs/troubleshooting.md: %s: nothing says %q", m[1], part)
			}
		}
	}
	if n < 25 {
		t.Errorf("only %d texts were found", n)
	}
}

// Each shipped procedure has a page that says which task, block or part does which step: all of them.
func TestProceduresNameEveryTask(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs/procedures/*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		pb, _, diags := playbook.Load(t.Context(), filepath.Join(root, "playbooks", name+".yaml"), playbook.Options{Kinds: tasks.All()})
		if pb == nil || diags.HasErrors() {
			t.Fatalf("%s: %v", name, diags.Err())
		}
		text := docText(t, "docs/procedures/"+name+".md")
		if !strings.Contains(docText(t, "README.md"), "(docs/procedures/"+name+".md)") {
			t.Errorf("README.md does not lead to docs/procedures/%s.md", name)
		}
		for _, task := range pb.All() {
			if task.Leaf() && !namesTask(text, task) {
				t.Errorf("docs/procedures/%s.md does not name `%s`", name, task.Path)
			}
		}
	}
}

func namesTask(text string, task *playbook.Task) bool {
	for ; task != nil; task = task.Parent {
		if strings.Contains(text, "`"+task.Path+"`") {
			return true
		}
	}
	return false
}
