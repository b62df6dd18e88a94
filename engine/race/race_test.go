package race_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/race"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/tasks"
)

var update = flag.Bool("update", false, "rewrite what testdata expects")

// hosts are three control planes and two workers.
const hosts = `kflow: v1
hosts:
  m1: {address: 10.0.0.1, groups: [control_plane], vars: {dir: /data}}
  m2: {address: 10.0.0.2, groups: [control_plane], vars: {dir: /data}}
  m3: {address: 10.0.0.3, groups: [control_plane], vars: {dir: /srv}}
  w1: {address: 10.0.0.4, groups: [workers], vars: {dir: /srv}}
  w2: {address: 10.0.0.5, groups: [workers], vars: {dir: /srv}}
`

// TestRaces checks the playbooks of each archive: `NAME.yaml` and what is said of it, `NAME.want`. Other files are parts.
func TestRaces(t *testing.T) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	if len(archives) == 0 {
		t.Fatal("no testdata")
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { testArchive(t, name) })
	}
}

func testArchive(t *testing.T, name string) {
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
	}
	for i, f := range a.Files {
		yaml, ok := strings.CutSuffix(f.Name, ".want")
		if !ok {
			continue
		}
		_, found := check(t, yaml+".yaml", files)
		var got bytes.Buffer
		if err := diag.Write(&got, found.Sorted(), func(file string) []byte { return files[file] }); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(f.Data), got.String()); d != "" && !*update {
			t.Errorf("%s (-want +got)\n%s", yaml, d)
		}
		a.Files[i].Data = got.Bytes()
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check loads and plans a playbook, and looks for races.
func check(t testing.TB, file string, files map[string][]byte) (*plan.Plan, diag.List) {
	t.Helper()
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return text, nil
		}
		return nil, fs.ErrNotExist
	}
	pb, _, found := playbook.Load(context.Background(), file, playbook.Options{Kinds: tasks.All(), Read: read})
	if found.HasErrors() {
		return nil, found
	}
	inv, diags := inventory.Load("hosts.yaml", diag.Pos{}, func(string) ([]byte, error) { return []byte(hosts), nil })
	found.Extend(diags)
	values, diags := pb.Inputs.Merge()
	found.Extend(diags)
	p, diags := plan.Make(pb, inv, plan.Options{Inputs: values.Inputs})
	found.Extend(diags)
	if !found.HasErrors() {
		race.Check(p, plan.NewSketches(p), &found)
	}
	return p, found
}

// TestRandomPlaybooks compares the check with a search of all pairs of instances: it says something exactly when there is
// a race, and only what is one.
func TestRandomPlaybooks(t *testing.T) {
	races := 0
	for seed := range uint64(400) {
		text := random(rand.New(rand.NewPCG(seed, 1)))
		p, found := check(t, "p.yaml", map[string][]byte{"p.yaml": []byte(text)})
		if p == nil {
			t.Fatalf("seed %d: %v\n%s", seed, found.Err(), text)
		}
		want := reference(p)
		for _, d := range found.Sorted() {
			if pair := names(d); !slices.Contains(want, pair) {
				t.Errorf("seed %d: %s is no race\n%s", seed, pair, text)
			}
		}
		if (found.Len() > 0) != (len(want) > 0) {
			t.Errorf("seed %d: found %v, there are %v\n%s", seed, found.Sorted(), want, text)
		}
		races += len(want)
	}
	if races < 100 {
		t.Errorf("only %d races in all: the playbooks are too tame", races)
	}
}

// names are the two tasks a finding is about, sorted.
func names(d diag.Diagnostic) string {
	parts := strings.Split(d.Summary, "`")
	two := []string{parts[1], parts[3]}
	slices.Sort(two)
	return strings.Join(two, " ")
}

// random is a playbook of tasks that write few files, with random needs. Blocks with a lock are groups of the scheduler.
func random(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("kflow: v1\nname: random\ngroups: {control_plane: {}, workers: {}}\ntasks:\n")
	n, in := 3+r.IntN(8), ""
	for i := range n {
		if i%4 == 3 && r.IntN(2) == 0 {
			fmt.Fprintf(&b, "  - id: t%d\n    lock: l%d\n%s    steps:\n", i, i, needs(r, i))
			fmt.Fprintf(&b, "      - {id: a%d, %s}\n      - {id: b%d, %s}\n", i, file(r), i, file(r))
			continue
		}
		on := []string{"all", "control_plane", "workers", "control_plane[0]", "all - control_plane[0]"}[r.IntN(5)]
		in = needs(r, i)
		fmt.Fprintf(&b, "  - id: t%d\n    on: %s\n%s    %s\n", i, on, in, file(r))
	}
	return b.String()
}

func file(r *rand.Rand) string {
	path := []string{"/a", "/a/b", "/c"}[r.IntN(3)]
	if r.IntN(2) == 0 {
		return fmt.Sprintf("command: {argv: [x], creates: %s, reads: [/d], rerun: safe}", path)
	}
	return fmt.Sprintf("command: {argv: [x], reads: [%s/], rerun: safe}", path)
}

func needs(r *rand.Rand, i int) string {
	var list []string
	for j := range i {
		if r.IntN(i) < 2 {
			list = append(list, fmt.Sprintf("t%d%s", j, []string{"", "@all", "@host"}[r.IntN(3)]))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "    needs: [" + strings.Join(list, ", ") + "]\n"
}

// reference finds the races of a plan by way of all instances and all pairs.
func reference(p *plan.Plan) []string {
	after := closure(p)
	var out []string
	for a, one := range p.Leaves {
		for b, two := range p.Leaves {
			for h := range p.Hosts {
				x, y := [2]int{a, h}, [2]int{b, h}
				if a < b && slices.Contains(one.Hosts, h) && slices.Contains(two.Hosts, h) && !after[x][y] && !after[y][x] && conflict(p, a, b) {
					pair := []string{one.Task.Path, two.Task.Path}
					slices.Sort(pair)
					out = append(out, strings.Join(pair, " "))
				}
			}
		}
	}
	return out
}

func conflict(p *plan.Plan, a, b int) bool {
	s := plan.NewSketches(p)
	x, y := s.Of(p.Leaves[a], 0)[0].Params, s.Of(p.Leaves[b], 0)[0].Params
	creates := func(m map[string]any) string { c, _ := m["creates"].(string); return c }
	reads := func(m map[string]any) string { return m["reads"].([]any)[0].(string) }
	under := func(dir, file string) bool {
		return file != "" && strings.HasSuffix(dir, "/") && strings.HasPrefix(file+"/", dir)
	}
	return creates(x) != "" && creates(x) == creates(y) || under(reads(x), creates(y)) || under(reads(y), creates(x))
}

// closure is what waits for what, instance by instance, as the scheduler is told. An instance of a group stands for its
// begin.
func closure(p *plan.Plan) map[[2]int]map[[2]int]bool {
	next := map[[2]int][][2]int{}
	all := len(p.Leaves)
	edges := func(to int, hosts []int, needs []sched.Need, group int) {
		for _, h := range hosts {
			for _, n := range needs {
				for _, from := range p.Spec.Tasks[n.Task].Hosts {
					if n.Form == sched.AllHosts || from == h {
						next[[2]int{n.Task, from}] = append(next[[2]int{n.Task, from}], [2]int{to, h})
					}
				}
			}
			if group != sched.None && slices.Contains(p.Spec.Groups[group].Hosts, h) {
				next[[2]int{all + group, h}] = append(next[[2]int{all + group, h}], [2]int{to, h})
			}
		}
	}
	for i, t := range p.Spec.Tasks {
		edges(i, t.Hosts, t.Needs, t.Group)
	}
	for g, t := range p.Spec.Groups {
		edges(all+g, t.Hosts, t.Needs, t.Group)
	}
	out := map[[2]int]map[[2]int]bool{}
	for from := range next {
		out[from] = map[[2]int]bool{}
		for queue := next[from]; len(queue) > 0; queue = queue[1:] {
			if !out[from][queue[0]] {
				out[from][queue[0]] = true
				queue = append(slices.Clone(queue), next[queue[0]]...)
			}
		}
	}
	return out
}

// BenchmarkRace checks 2,000 tasks in 100 chains on five hosts, each of which writes a file that the next one reads, in
// directories that all share.
func BenchmarkRace(b *testing.B) {
	var text strings.Builder
	text.WriteString("kflow: v1\nname: large\ngroups: {control_plane: {}, workers: {}}\ntasks:\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "  - id: t%d\n    command: {argv: [x], creates: /srv/chain%d/%d, reads: [/srv/chain%d/%d]}\n", i, i%100, i, i%100, i-100)
		if i >= 100 {
			fmt.Fprintf(&text, "    needs: [t%d]\n", i-100)
		}
	}
	files := map[string][]byte{"p.yaml": []byte(text.String())}
	p, found := check(b, "p.yaml", files)
	if found.Len() > 0 {
		b.Fatal(found.Err())
	}
	for b.Loop() {
		var found diag.List
		race.Check(p, plan.NewSketches(p), &found)
	}
}
