package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/schema"
	"github.com/kflow/kflow/engine/syntax"
	"github.com/kflow/kflow/tasks"
)

const root = "../../.."

func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := schema.Files(tasks.All())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		if got, err := os.ReadFile(filepath.Join(root, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not current (%v): go run ./engine/schema/gen", path, err)
		}
	}
	if stale, err := stalePages(root, files); err != nil || len(stale) > 0 {
		t.Errorf("pages of kinds that are no more: %v %v", stale, err)
	}
}

// compile compiles a generated schema, which must itself be a valid schema.
func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	files, err := schema.Files(tasks.All())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(files["schema/"+name+".schema.json"]))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("kflow:///"+name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("kflow:///" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a YAML document as a validator of JSON sees it.
func instance(t *testing.T, name string, text []byte) any {
	t.Helper()
	file, diags := syntax.Parse(name, text)
	if diags.HasErrors() {
		t.Fatal(diags.Err())
	}
	b, err := json.Marshal(file.Root.Any())
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// documents are all files of kflow's language below the directories that exist.
func documents(t *testing.T, dirs ...string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
				return err
			}
			text, err := os.ReadFile(path)
			if bytes.HasPrefix(text, []byte("kflow:")) || bytes.Contains(text, []byte("\nkflow:")) {
				found[path] = text
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// kindOf tells which schema a document is for: an inventory has hosts.
func kindOf(doc any) string {
	if m, ok := doc.(map[string]any); ok && m["hosts"] != nil && m["tasks"] == nil {
		return "inventory"
	}
	return "playbook"
}

func TestShippedPlaybooksAreValid(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{"playbook": compile(t, "playbook"), "inventory": compile(t, "inventory")}
	files := documents(t, filepath.Join(root, "playbooks"), "testdata/right")
	if len(files) == 0 {
		t.Error("there is no playbook to check")
	}
	for path, text := range files {
		doc := instance(t, path, text)
		if err := schemas[kindOf(doc)].Validate(doc); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestExamplesOfKindsAreValid(t *testing.T) {
	s := compile(t, "playbook")
	for _, k := range tasks.All().Kinds() {
		for _, e := range k.Examples {
			text := "kflow: v1\ntasks:\n"
			for line := range strings.Lines(e.YAML) {
				text += "  " + line
			}
			if err := s.Validate(instance(t, k.Name, []byte(text))); err != nil {
				t.Errorf("%s: %s: %v", k.Name, e.Title, err)
			}
		}
	}
}

// TestPiecesOfExamplesCanOverride: what a kind takes as a whole can be laid on a part, too, with any key left out.
func TestPiecesOfExamplesCanOverride(t *testing.T) {
	s := compile(t, "playbook")
	n := 0
	for _, k := range tasks.All().Kinds() {
		for _, e := range k.Examples {
			list, _ := instance(t, k.Name, []byte(e.YAML)).([]any)
			for _, task := range list {
				params := task.(map[string]any)[k.Name]
				for _, piece := range pieces(params) {
					n++
					doc := map[string]any{"kflow": "v1", "tasks": []any{map[string]any{"id": "a", "use": "p.yaml",
						"override": map[string]any{"b": map[string]any{k.Name: piece}}}}}
					if err := s.Validate(doc); err != nil {
						t.Errorf("%s: %s: %v as a piece: %v", k.Name, e.Title, piece, err)
					}
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d pieces: are the examples found?", n)
	}
}

func pieces(params any) []any {
	out := []any{params}
	m, _ := params.(map[string]any)
	for without := range m {
		piece := maps.Clone(m)
		delete(piece, without)
		out = append(out, piece)
		gone := maps.Clone(m)
		gone[without] = nil
		out = append(out, gone)
	}
	return out
}

// TestEditorsHaveSomethingToShow: the schemas are draft-07, and every key has a description, itself or where it leads.
func TestEditorsHaveSomethingToShow(t *testing.T) {
	files, err := schema.Files(tasks.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"playbook", "inventory"} {
		var doc map[string]any
		if err := json.Unmarshal(files["schema/"+name+".schema.json"], &doc); err != nil {
			t.Fatal(err)
		}
		if doc["$schema"] != "http://json-schema.org/draft-07/schema#" {
			t.Errorf("%s is of %v", name, doc["$schema"])
		}
		definitions, _ := doc["definitions"].(map[string]any)
		n := 0
		described(doc, func(path string, property map[string]any) {
			n++
			if to, ok := property["$ref"].(string); ok {
				property, _ = definitions[strings.TrimPrefix(to, "#/definitions/")].(map[string]any)
			}
			if text, _ := property["description"].(string); len(text) < 5 {
				t.Errorf("%s: %s has no description", name, path)
			}
		})
		if n < 20 {
			t.Errorf("%s: only %d keys", name, n)
		}
	}
	text := string(files["schema/playbook.schema.json"])
	for _, k := range tasks.All().Kinds() {
		if !strings.Contains(text, `"$ref": "#/definitions/kind_`+k.Name+`"`) {
			t.Errorf("kind %s has no branch", k.Name)
		}
	}
}

// described calls visit for every key that a schema knows.
func described(schema any, visit func(path string, property map[string]any)) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			for i, x := range v {
				walk(fmt.Sprint(path, "/", i), x)
			}
		case map[string]any:
			properties, _ := v["properties"].(map[string]any)
			for name, p := range properties {
				if p, ok := p.(map[string]any); ok {
					visit(path+"/"+name, p)
				}
			}
			for key, x := range v {
				if key != "default" && key != "enum" {
					walk(path+"/"+key, x)
				}
			}
		}
	}
	walk("", schema)
}

// accepts tells what kflow itself says of a document. The parts it uses are below testdata/parts.
func accepts(name, path string, text []byte) error {
	if name == "inventory" {
		_, diags := inventory.Parse(path, text)
		return diags.Err()
	}
	read := func(file string) ([]byte, error) {
		if filepath.Base(file) == filepath.Base(path) {
			return text, nil
		}
		return os.ReadFile(filepath.Join("testdata", "parts", filepath.Base(file)))
	}
	_, _, diags := playbook.Load(context.Background(), path, playbook.Options{Kinds: tasks.All(), Read: read})
	return diags.Err()
}

func TestTheSchemaRefusesNothingThatKflowAccepts(t *testing.T) {
	for path, text := range documents(t, "testdata/right") {
		if err := accepts(kindOf(instance(t, path, text)), path, text); err != nil {
			t.Errorf("%s is not right at all:\n%v", path, err)
		}
	}
}

// TestWrongPlaybooksAreRefused reads testdata/wrong: documents apart by ---, each beginning with a comment that says where
// the mistake is: `# /tasks/0/sysctl: why`.
func TestWrongPlaybooksAreRefused(t *testing.T) {
	paths, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := compile(t, strings.TrimSuffix(filepath.Base(path), ".yaml"))
		for _, doc := range strings.Split(string(text), "\n---\n") {
			header, _, _ := strings.Cut(strings.TrimPrefix(doc, "# "), "\n")
			where, why, _ := strings.Cut(header, ": ")
			err := s.Validate(instance(t, path, []byte(doc)))
			switch {
			case accepts(strings.TrimSuffix(filepath.Base(path), ".yaml"), path, []byte(doc)) == nil:
				t.Errorf("%s: %s: kflow itself has nothing against it", path, why)
			case err == nil:
				t.Errorf("%s: %s is accepted", path, why)
			case !strings.Contains(err.Error(), "'"+where+"'"):
				t.Errorf("%s: %s: the error is not at %s: %v", path, why, where, err)
			}
		}
	}
}
