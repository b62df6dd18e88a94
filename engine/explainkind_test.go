package engine_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/tasks"
)

func TestEveryKindIsExplained(t *testing.T) {
	kinds := tasks.All()
	for _, name := range kinds.Names() {
		kind, _ := kinds.Lookup(name)
		text, ok := engine.ExplainKind(t.Context(), kinds, name)
		if !ok || !strings.HasPrefix(text, name+": ") {
			t.Errorf("%s: %q", name, text)
		}
		for _, e := range kind.Examples {
			if !strings.Contains(text, e.Title) {
				t.Errorf("%s: example %q is not shown", name, e.Title)
			}
		}
	}
	if _, ok := engine.ExplainKind(t.Context(), kinds, "no-such"); ok {
		t.Error("a kind that does not exist is explained")
	}
}

// TestExampleWithATemplate: the file that it names is not there when the example is explained.
func TestExampleWithATemplate(t *testing.T) {
	text, _ := engine.ExplainKind(t.Context(), tasks.All(), "file")
	if !strings.Contains(text, "# writes path:/etc/haproxy/haproxy.cfg") {
		t.Errorf("the example with a template does not say what it writes:\n%s", text)
	}
}
