package inventory

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

// TestLoad reads each X.yaml of each archive; X.want is what is said about it, and the hosts when it has no errors.
func TestLoad(t *testing.T) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, f := range a.Files {
			want[f.Name] = string(f.Data)
		}
		var files []txtar.File
		for _, f := range a.Files {
			base, ok := strings.CutSuffix(f.Name, ".yaml")
			if !ok {
				continue
			}
			got := describe("/inv/"+f.Name, f.Data)
			files = append(files, f, txtar.File{Name: base + ".want", Data: []byte(got)})
			if d := cmp.Diff(want[base+".want"], got); d != "" && !*update {
				t.Errorf("%s: %s (-want +got)\n%s", name, f.Name, d)
			}
		}
		if a.Files = files; *update {
			os.WriteFile(name, txtar.Format(a), 0o644)
		}
	}
}

func describe(file string, text []byte) string {
	inv, l := Load(file, diag.Pos{File: "-i"}, func(string) ([]byte, error) { return text, nil })
	var b bytes.Buffer
	diag.Write(&b, l.Sorted(), func(string) []byte { return text })
	if l.HasErrors() {
		return b.String()
	}
	for _, h := range inv.Hosts {
		vars, _ := json.Marshal(h.Vars)
		fmt.Fprintf(&b, "%s address=%s node_ip=%s %v %s %s\n", h.Name, h.Address, h.NodeIP, h.Groups, h.Connection, vars)
		fmt.Fprintf(&b, "  %+v\n", h.SSH)
	}
	for _, g := range inv.Groups {
		fmt.Fprintf(&b, "%s: %s\n", g.Name, strings.Join(g.Hosts, " "))
	}
	return b.String()
}

// FuzzLoad: no panic, and every mistake has a place.
func FuzzLoad(f *testing.F) {
	a, err := txtar.ParseFile("testdata/inventory.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, x := range a.Files {
		f.Add(string(x.Data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, l := Parse("inv", []byte(text))
		for _, d := range l.Sorted() {
			if !d.Pos.Known() {
				t.Errorf("no place: %v", d)
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	text := []byte("kflow: v1\ndefaults: {ssh: {user: root, jump: [bastion]}}\nhosts:\n  bastion: {ssh: {jump: []}}\n" +
		"  \"wn[1:5000]\": {address: \"h[1:5000].example.org\", groups: [workers]}\n")
	for b.Loop() {
		if inv, l := Parse("inv", text); len(inv.Hosts) != 5001 || l.HasErrors() {
			b.Fatal(l.Sorted())
		}
	}
}
