package playbook_test

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/playbook"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad: Load never panics, every diagnostic has a place, and a playbook without errors has a tree that can be walked.
func FuzzLoad(f *testing.F) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range cases(a) {
			part := ""
			if len(c.files) > 1 {
				part = string(c.files[1].Data)
			}
			f.Add(string(c.files[0].Data), part)
		}
	}
	f.Fuzz(func(t *testing.T, main, part string) {
		pb, _, l := playbook.Load(context.Background(), "p.yaml", playbook.Options{Kinds: kinds(), Read: func(path string) ([]byte, error) {
			switch filepath.Base(path) {
			case "p.yaml":
				return []byte(main), nil
			case "part.yaml", "q.yaml", "t.tmpl":
				return []byte(part), nil
			}
			return nil, fs.ErrNotExist
		}})
		for _, d := range l.Sorted() {
			if !d.Pos.Known() {
				t.Errorf("no place: %v", d)
			}
		}
		if pb == nil || l.HasErrors() {
			return
		}
		pb.Edges()
		pb.StaticAsserts()
		pb.GroupsNeeded()
		pb.Inputs.Merge()
		for i, task := range pb.All() {
			if task.Index != i || task.Leaf() == (len(task.Steps) > 0) && task.Part == nil {
				t.Errorf("%s: %d %d", task.Path, task.Index, i)
			}
			task.Params.Canonical()
		}
	})
}

// BenchmarkLoad reads a playbook of 2,000 tasks: 100 blocks of 10 steps, and 20 uses of a part with 50 tasks.
func BenchmarkLoad(b *testing.B) {
	var main, part strings.Builder
	main.WriteString("kflow: v1\ngroups: {workers: {}}\ninputs: {v: {type: version, default: 1.2.3}}\ntasks:\n")
	for i := range 100 {
		fmt.Fprintf(&main, "  - id: block_%d\n    on: workers\n    when: host.facts.os.family == \"debian\"\n    steps:\n", i)
		for j := range 10 {
			fmt.Fprintf(&main, "      - id: step_%d\n        file:\n          path: /etc/x%d\n          content: \"v ${{ inputs.v }} on ${{ host.name }}\"\n", j, j)
		}
	}
	for i := range 20 {
		fmt.Fprintf(&main, "  - id: part_%d\n    needs: [block_%d]\n    use: part.yaml\n    with: {version: \"${{ inputs.v }}\"}\n", i, i)
	}
	part.WriteString("kflow: v1\ninputs: {version: {type: version}}\ntasks:\n")
	for i := range 50 {
		fmt.Fprintf(&part, "  - id: t%d\n    command: [run, \"${{ inputs.version }}\", \"${{ host.facts.cpus }}\"]\n", i)
	}
	files := []txtar.File{{Name: "p.yaml", Data: []byte(main.String())}, {Name: "part.yaml", Data: []byte(part.String())}}
	b.ReportAllocs()
	for b.Loop() {
		pb, _, l := load(files)
		if l.Len() > 0 || len(pb.All()) != 2120 {
			b.Fatal(l.Sorted(), len(pb.All()))
		}
	}
}
