package tasks_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/tasks"
)

// TestEveryKindIsDocumented: the schema, the editor's help and docs/kinds are made of these texts.
func TestEveryKindIsDocumented(t *testing.T) {
	for _, k := range tasks.All().Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			if k.Summary == "" || k.Doc == "" || len(k.Examples) == 0 {
				t.Error("a kind needs a summary, a text and an example")
			}
			for _, e := range k.Examples {
				if !strings.HasPrefix(e.YAML, "- id: ") || !strings.Contains(e.YAML, "\n  "+k.Name+":") {
					t.Errorf("example %q is no complete task of this kind", e.Title)
				}
			}
			documented(t, k.Name, shape.Of(k.New()))
			if k.Outputs != nil {
				documented(t, k.Name+" outputs", shape.Of(k.Outputs))
			}
		})
	}
}

func documented(t *testing.T, at string, typ *shape.Type) {
	t.Helper()
	for _, f := range typ.Fields {
		name := at + "." + f.Name
		if !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: its doc is not a sentence: %q", name, f.Doc)
		}
		leaf := f.Type
		for leaf.Elem != nil {
			leaf = leaf.Elem
		}
		documented(t, name, leaf)
	}
}
