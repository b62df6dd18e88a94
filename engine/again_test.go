package engine

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/kflow/kflow/engine/checkpoint"
)

// TestWhatIsGivenAgainIsGivenOnce: a resume that names the same file, or input, as its run does not add to it.
func TestWhatIsGivenAgainIsGivenOnce(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	p := &Project{cfg: Config{Set: []string{"a=2", "c=3"}, SetFile: []string{"f=new"}, Vars: []string{"x.age"}, Identity: []string{"key"}}}
	p.takeOver(&checkpoint.State{Info: map[string]any{
		"set": []any{"a=1", "b=1"}, "set_file": []any{"f=old", "g=g"}, "vars": []any{here + "/x.age", "/y.yaml"}, "identity": []any{here + "/key"},
	}})
	for _, c := range []struct{ got, want []string }{
		{p.cfg.Set, []string{"b=1", "a=2", "c=3"}},
		{p.cfg.SetFile, []string{"g=g", "f=new"}},
		{p.cfg.Vars, []string{"/y.yaml", "x.age"}},
		{p.cfg.Identity, []string{"key"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
