package syntax

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kflow/kflow/engine/diag"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what testdata expects")

// TestMistakes reads each file X.yaml of each archive; X.want is what is said about it.
func TestMistakes(t *testing.T) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out := &txtar.Archive{Comment: a.Comment}
			want := map[string]string{}
			for _, f := range a.Files {
				want[f.Name] = string(f.Data)
			}
			for _, f := range a.Files {
				base, ok := strings.CutSuffix(f.Name, ".yaml")
				if !ok {
					continue
				}
				got := report(f.Name, f.Data)
				out.Files = append(out.Files, f, txtar.File{Name: base + ".want", Data: []byte(got)})
				if d := cmp.Diff(want[base+".want"], got); d != "" && !*update {
					t.Errorf("%s (-want +got)\n%s", f.Name, d)
				}
			}
			if *update {
				os.WriteFile(name, txtar.Format(out), 0o644)
			}
		})
	}
}

func report(name string, text []byte) string {
	f, l := Parse(name, text)
	var b bytes.Buffer
	diag.Write(&b, l.Sorted(), func(string) []byte { return f.Text })
	if l.Len() == 0 {
		j, _ := json.Marshal(f.Root.Any())
		fmt.Fprintf(&b, "%s\n", j)
	}
	return b.String()
}
