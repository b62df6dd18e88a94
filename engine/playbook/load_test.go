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

// TestLoad loads the cases of each archive. A case is a folder; its first file is loaded, the others lie beside it, and
// `want` is what is said about it and, when it has no errors, the tree.
func TestLoad(t *testing.T) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	if len(archives) == 0 {
		t.Fatal("no testdata")
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testArchive(t, name)
		})
	}
}

func testArchive(t *testing.T, name string) {
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out := &txtar.Archive{Comment: a.Comment}
	for _, c := range cases(a) {
		got := describe(load(c.files))
		out.Files = append(append(out.Files, c.files...), txtar.File{Name: c.name + "/want", Data: []byte(got)})
		if d := cmp.Diff(c.want, got); d != "" && !*update {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type testCase struct {
	name, want string
	files      []txtar.File
}

func cases(a *txtar.Archive) []*testCase {
	var out []*testCase
	for _, f := range a.Files {
		name, rest, _ := strings.Cut(f.Name, "/")
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, &testCase{name: name})
		}
		c := out[len(out)-1]
		if rest == "want" {
			c.want = string(f.Data)
		} else {
			c.files = append(c.files, f)
		}
	}
	return out
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
