package playbook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestAWordIsAListOfOne: where it can't mean anything else.
func TestAWordIsAListOfOne(t *testing.T) {
	for text, want := range map[string]any{
		"ls":                     []any{"ls"},
		`"ls"`:                   []any{"ls"},
		"ls-${{ host.name }}":    []any{"ls-w1"},
		"{argv: ls}":             []any{"ls"},
		"[ls, -l]":               []any{"ls", "-l"},
		"ls -l":                  nil,
		"ls,-l":                  nil,
		"ls -l ${{ host.name }}": nil,
		`""`:                     nil,
	} {
		pb, _, found := load(txtar.Parse([]byte("-- p.yaml --\nkflow: v1\ntasks:\n  - id: a\n    command: " + text + "\n")).Files)
		if want == nil {
			if err := found.Err(); err == nil || !strings.Contains(err.Error(), "want a list, not") || !strings.Contains(err.Error(), "(write ") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err := found.Err(); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		r, err := find(t, pb, "a").Params.Resolve(playbook.Resolver{Envs: func(playbook.Site) (expr.Env, error) { return env(), nil }})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, r.Value.(map[string]any)["argv"]); d != "" {
			t.Errorf("%s (-want +got)\n%s", text, d)
		}
	}
}
