package playbook_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what testdata expects")

// TestLoad loads the first file of each archive, with the others beside it. The file `want` is what is said about it,
// and, when it has no errors, the tree.
func TestLoad(t *testing.T) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	if len(archives) == 0 {
		t.Fatal("no testdata")
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			kept := a.Files[:0:0]
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
				} else {
					kept = append(kept, f)
				}
			}
			got := describe(load(kept))
			if *update {
				a.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
				os.WriteFile(name, txtar.Format(a), 0o644)
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func load(files []txtar.File) (*playbook.Playbook, *playbook.Sources, diag.List) {
	byName := map[string][]byte{}
	for _, f := range files {
		byName[f.Name] = f.Data
	}
	return playbook.Load(context.Background(), files[0].Name, playbook.Options{Kinds: kinds(), Read: func(path string) ([]byte, error) {
		if text, ok := byName[path]; ok {
			return text, nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}})
}

func describe(pb *playbook.Playbook, src *playbook.Sources, l diag.List) string {
	var b bytes.Buffer
	diag.Write(&b, l.Sorted(), src.Text)
	if l.HasErrors() {
		return b.String()
	}
	for _, t := range pb.All() {
		fmt.Fprint(&b, t.Path)
		switch {
		case t.Leaf():
			c, _ := t.Params.Canonical()
			fmt.Fprintf(&b, " %s %s", t.Kind.Name, c)
		case t.Part != nil:
			fmt.Fprintf(&b, " use %s", t.Part.File)
		}
		b.WriteByte('\n')
		for _, n := range t.Needs {
			fmt.Fprintf(&b, "  <- %s %s (%s)", n.Target.Path, n.Form, n.Reason)
			if n.Via != nil {
				fmt.Fprintf(&b, " via %s", n.Via.Path)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
