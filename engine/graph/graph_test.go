package graph

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	lib "github.com/dominikbraun/graph"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// cluster is a small procedure with everything a picture can show.
func cluster() *Graph {
	return &Graph{
		Name: "ha-containerd",
		Nodes: []Node{
			{ID: "preflight", Kind: "assert", Hosts: "5 hosts", Count: 5, Pos: "ha.yaml:12", Status: "ok"},
			{ID: "node", Title: "Prepare the node"},
			{ID: "node/hostname", Kind: "hostname", Hosts: "5 hosts", Parent: "node"},
			{ID: "node/kernel", Kind: "sysctl", Hosts: "5 hosts", Parent: "node", Status: "changed"},
			{ID: "runtime"},
			{ID: "runtime/files", Parent: "runtime"},
			{ID: "runtime/files/config", Kind: "file", Hosts: "5 hosts", Parent: "runtime/files"},
			{ID: "runtime/unit", Kind: "systemd", Hosts: "5 hosts", Parent: "runtime", Status: "failed"},
			{ID: "init", Kind: "kubeadm", Title: "Initialise <the> \"first\" control plane", Hosts: "k8s-mn01", Status: "blocked"},
			{ID: "join_info", Kind: "kubeadm", Hosts: "k8s-mn01", Run: "on_demand"},
			{ID: "join", Kind: "kubeadm", Hosts: "k8s-mn[02-03]"},
		},
		Edges: []Edge{
			{From: "preflight", To: "node", Form: Host, Reason: Needs},
			{From: "node/hostname", To: "node/kernel", Form: Host, Reason: Steps},
			{From: "node", To: "runtime", Form: Host, Reason: Needs},
			{From: "preflight", To: "runtime", Form: Host, Reason: Needs}, // said by the way over node
			{From: "runtime/files", To: "runtime/unit", Form: Host, Reason: Steps},
			{From: "runtime", To: "init", Form: Host, Reason: Needs},
			{From: "node", To: "init", Form: All, Reason: Before, Label: "etcd"},
			{From: "init", To: "join_info", Form: Host, Reason: Needs},
			{From: "join_info", To: "join", Form: All, Reason: Data},
			{From: "join_info", To: "join", Form: Host, Reason: Needs},
			{From: "init", To: "join", Form: Host, Reason: Data},
		},
	}
}

// marked is the same with the critical path of a run, and tasks of other hosts.
func marked() *Graph {
	g := cluster()
	g.Name = "ha-containerd on k8s-mn02"
	for i := range g.Nodes {
		g.Nodes[i].Status = []string{"", "no change", "will change, on 2 of 5", "known after", "would fail", "skipped", "action"}[i%7]
		g.Nodes[i].Outside = g.Nodes[i].ID == "init" || g.Nodes[i].ID == "join_info"
	}
	g.Mark([]Step{
		{Instance: "preflight@k8s-mn01", Took: 1200 * time.Millisecond},
		{Instance: "node/kernel@k8s-mn01", Took: 3 * time.Second},
		{Instance: "runtime/unit@k8s-mn01", Took: 12 * time.Second},
		{Instance: "init@k8s-mn01", Took: 95 * time.Second},
		{Instance: "join@k8s-mn03", Took: 41 * time.Second, Waited: 40 * time.Second},
	}, "in run 20260102-150405")
	return g
}

func TestPictures(t *testing.T) {
	for name, g := range map[string]func() *Graph{"cluster": cluster, "marked": marked} {
		for _, format := range Formats() {
			golden(t, g(), name, format)
		}
	}
}

func golden(t *testing.T, g *Graph, name, format string) {
	t.Helper()
	got, err := g.Render(format)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+"."+format+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s.%s (-want +got)\n%s", name, format, diff)
	}
}

// TestCriticalPathStaysWhole: no edge of it is left out of a picture, also where other ways say the same.
func TestCriticalPathStaysWhole(t *testing.T) {
	g := tasks("a b c", "a>b", "b>c", "a>c")
	g.Mark([]Step{{Instance: "a@h", Took: time.Second}, {Instance: "c@h", Took: time.Second}}, "")
	r, err := g.Reduce()
	if err != nil || len(r.Edges) != 3 {
		t.Errorf("%v %v", r.Edges, err)
	}
	svg, err := g.SVG()
	if n := strings.Count(svg, `class="arrow critical" d`); err != nil || n != 2 { // and in the legend
		t.Errorf("%d critical arrows: %v", n, err)
	}
}

func TestUnknownFormatNamesTheKnownOnes(t *testing.T) {
	if _, err := cluster().Render("png"); err == nil || !strings.Contains(err.Error(), "text, dot, mermaid, json") {
		t.Error(err)
	}
}

// tasks makes a graph of tasks from edges such as "a>b" (host by host) and "a=>b" (all).
func tasks(names string, edges ...string) *Graph {
	g := &Graph{}
	for i, id := range strings.Fields(names) {
		g.Nodes = append(g.Nodes, Node{ID: id, Pos: fmt.Sprintf("p.yaml:%d", i+1)})
	}
	for _, e := range edges {
		from, to, _ := strings.Cut(e, ">")
		form := Host
		if strings.HasSuffix(from, "=") {
			form = All
		}
		g.Edges = append(g.Edges, Edge{From: strings.TrimSuffix(from, "="), To: to, Form: form, Reason: Needs})
	}
	return g
}

func ids(nodes []Node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.ID)
	}
	return strings.Join(all, " ")
}

func TestLevels(t *testing.T) {
	levels, err := tasks("d a b c e", "a>b", "b>c", "a>c", "c>d").Levels()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range levels {
		got = append(got, ids(l))
	}
	if want := []string{"a e", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestACycleIsSaidAsItsPathWithPositions(t *testing.T) {
	g := tasks("x a b c d", "x>a", "a>b", "b>c", "c>a", "c>d", "d>b")
	_, err := g.Levels()
	var cycle *CycleError
	if !errors.As(err, &cycle) || ids(cycle.Path) != "a b c" {
		t.Fatalf("got %v", err)
	}
	if want := "tasks wait for each other: a (p.yaml:2) -> b (p.yaml:3) -> c (p.yaml:4) -> a (p.yaml:2)"; err.Error() != want {
		t.Errorf("got %q", err)
	}
	if _, err := g.Text(); !errors.As(err, &cycle) {
		t.Errorf("text: %v", err)
	}
}

func TestCyclesThroughGroupsAndToItself(t *testing.T) {
	g := tasks("a b c", "a>a")
	if c, err := g.Cycle(); err != nil || ids(c) != "a" {
		t.Errorf("itself: %v %v", c, err)
	}
	g = tasks("g g1 g2 x", "g>x", "x>g2")
	g.Nodes[1].Parent, g.Nodes[2].Parent = "g", "g"
	if c, err := g.Cycle(); err != nil || ids(c) != "g2 x" {
		t.Errorf("through a group: %v %v", c, err)
	}
	if c, err := cluster().Cycle(); c != nil || err != nil {
		t.Errorf("none: %v %v", c, err)
	}
}

func TestWhatIsNoGraph(t *testing.T) {
	g := tasks("a a b", "a>nowhere")
	g.Nodes = append(g.Nodes, Node{ID: "x", Parent: "y"}, Node{ID: "y", Parent: "x"}, Node{ID: "z", Parent: "none"})
	_, err := g.Levels()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{`"a" is empty or given twice`, `there is no node "nowhere"`, `group "x" contains itself`, `"none", which does not exist`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

func TestReduceKeepsWhatSaysMore(t *testing.T) {
	for _, c := range []struct {
		name  string
		edges []string
		want  string
	}{
		{"a way says the same", []string{"a>b", "b>c", "a>c"}, "a>b b>c"},
		{"all is more than a way host by host", []string{"a>b", "b>c", "a=>c"}, "a>b b>c a=>c"},
		{"a way that begins with all says all", []string{"a=>b", "b>c", "a=>c"}, "a=>b b>c"},
		{"twice", []string{"a>b", "a=>b"}, "a=>b"},
		{"long ways", []string{"a>b", "b>c", "c>d", "a>c", "a>d", "b>d"}, "a>b b>c c>d"},
	} {
		r, err := tasks("a b c d", c.edges...).Reduce()
		if err != nil {
			t.Fatal(err)
		}
		if got := written(r); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func written(g *Graph) string {
	var all []string
	for _, e := range g.Edges {
		arrow := ">"
		if e.Form == All {
			arrow = "=>"
		}
		all = append(all, e.From+arrow+e.To)
	}
	return strings.Join(all, " ")
}

func TestReduceOfRandomGraphsIsTheTransitiveReduction(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		g, n := tasks(""), 12
		oracle := lib.New(lib.StringHash, lib.Directed())
		for i := range n {
			g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i)})
			oracle.AddVertex(fmt.Sprint(i))
		}
		for i := range n {
			for j := i + 1; j < n; j++ {
				if random.IntN(3) == 0 {
					g.Edges = append(g.Edges, Edge{From: fmt.Sprint(i), To: fmt.Sprint(j), Form: Host, Reason: Needs})
					oracle.AddEdge(fmt.Sprint(i), fmt.Sprint(j))
				}
			}
		}
		want, err := lib.TransitiveReduction(oracle)
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.Reduce()
		if err != nil {
			t.Fatal(err)
		}
		size, _ := want.Size()
		for _, e := range got.Edges {
			if _, err := want.Edge(e.From, e.To); err != nil {
				t.Errorf("%s>%s is superfluous", e.From, e.To)
			}
		}
		if len(got.Edges) != size {
			t.Fatalf("%d edges, want %d", len(got.Edges), size)
		}
	}
}

// outside is text without its quoted strings. A backslash hides the next character in DOT, and nothing in Mermaid.
func outside(t *testing.T, text string, backslash bool) (rest string, quoted []string) {
	var b, q strings.Builder
	in := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			if in {
				quoted = append(quoted, q.String())
				q.Reset()
			}
			in = !in
		case in && c == '\\' && backslash:
			i++
			q.WriteString("\\" + string(text[min(i, len(text)-1)]))
		case in:
			q.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	if in {
		t.Fatalf("a quote is not closed in %s", text)
	}
	return b.String(), quoted
}

func FuzzNamesCannotBreakOut(f *testing.F) {
	f.Add(`a" -> b; x="`, "b\\", "]\nend\n")
	f.Add("`**md**`", "<script>alert(1)</script>", "#quot;\\N&lt;")
	f.Add("subgraph", "end", "a\x00b\r\n")
	f.Fuzz(func(t *testing.T, id, title, label string) {
		if id == "" || id == "g" || id == "other" {
			t.Skip()
		}
		g := &Graph{Name: title, Nodes: []Node{{ID: "g", Title: label}, {ID: id, Title: title, Kind: label, Hosts: title, Run: label, Status: title, Parent: "g"}, {ID: "other"}},
			Edges: []Edge{{From: id, To: "other", Label: label}}}
		for format, safe := range map[string]*regexp.Regexp{
			"dot":     regexp.MustCompile(`^[a-z0-9_ \n\[\]{};,=>\-A-Z]*$`),
			"mermaid": regexp.MustCompile(`^[a-z0-9 \n\[\]|>=\-A-Z,:#]*$`),
		} {
			text, err := g.Render(format)
			if err != nil {
				t.Fatal(err)
			}
			rest, quoted := outside(t, text, format == "dot")
			if !safe.MatchString(rest) || strings.Count(text, "\n") != strings.Count(rest, "\n") {
				t.Fatalf("%s: outside of quotes: %s", format, rest)
			}
			for _, q := range quoted {
				if format == "mermaid" && strings.ContainsAny(strings.ReplaceAll(q, "<br/>", ""), "<>`\"\\") {
					t.Fatalf("mermaid: %q", q)
				}
			}
		}
	})
}
