package kinds_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/tasks"
)

var update = flag.Bool("update", false, "write the results as they are now")

// TestKinds carries every case out on the families it names.
func TestKinds(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	images := sim.NewImages()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			c := read(t, file)
			c.images = images
			c.check(t)
		})
	}
}

// TestEveryKindHasCases: a kind without a case behaves in nobody knows which way on the simulator.
func TestEveryKindHasCases(t *testing.T) {
	for _, k := range tasks.All().Kinds() {
		if files, _ := filepath.Glob("testdata/" + k.Name + "-*.txtar"); len(files) == 0 {
			t.Errorf("kind %s has no case testdata/%s-*.txtar", k.Name, k.Name)
		}
	}
}

// testCase is one file.
type testCase struct {
	file    string
	archive *txtar.Archive
	inputs  []txtar.File      // without the results
	results map[string]string // by family
	images  *sim.Images
}

func read(t *testing.T, file string) *testCase {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &testCase{file: file, archive: a, results: map[string]string{}}
	for _, f := range a.Files {
		families, ok := strings.CutPrefix(f.Name, "result ")
		if !ok {
			c.inputs = append(c.inputs, f)
			continue
		}
		for _, family := range strings.Fields(families) {
			c.results[family] = string(f.Data)
		}
	}
	return c
}

// section is the text of a section; "" when there is none.
func (c *testCase) section(name string) string {
	for _, f := range c.inputs {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (c *testCase) lines(name string) []string {
	var out []string
	for line := range strings.Lines(c.section(name)) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func (c *testCase) families() []string {
	if list := strings.Fields(c.section("os")); len(list) > 0 {
		return list
	}
	return host.Families()
}

func (c *testCase) check(t *testing.T) {
	got := map[string]string{}
	for _, family := range c.families() {
		r := &rehearsal{T: t, c: c, family: family}
		got[family] = r.carryOut()
	}
	if *update {
		c.write(t, got)
		return
	}
	for _, family := range c.families() {
		if d := cmp.Diff(c.results[family], got[family]); d != "" {
			t.Errorf("%s on %s (-want +got):\n%s", c.file, family, d)
		}
	}
	for family := range c.results {
		if !slices.Contains(c.families(), family) {
			t.Errorf("%s has a result for %s, on which it is not carried out", c.file, family)
		}
	}
}

// write puts the results into the file: a section for all families that have the same.
func (c *testCase) write(t *testing.T, got map[string]string) {
	t.Helper()
	a := &txtar.Archive{Comment: c.archive.Comment, Files: slices.Clone(c.inputs)}
	for _, family := range c.families() {
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool {
			return strings.HasPrefix(f.Name, "result ") && string(f.Data) == got[family]
		})
		if i >= 0 {
			a.Files[i].Name += " " + family
			continue
		}
		a.Files = append(a.Files, txtar.File{Name: "result " + family, Data: []byte(got[family])})
	}
	const readable = 0o644
	if err := os.WriteFile(c.file, txtar.Format(a), readable); err != nil {
		t.Fatal(err)
	}
	fmt.Println("wrote", c.file)
}
