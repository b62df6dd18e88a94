package graph

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestPictureHasNoOverlaps lays out random graphs and looks at every pair: boxes of a frame do not touch, what is in a
// frame is in it, and no arrow runs through a box that it does not join.
func TestPictureHasNoOverlaps(t *testing.T) {
	for seed := range uint64(156) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := 3 + r.IntN(60)
		if seed >= 150 {
			n = []int{150, 500}[seed%2]
		}
		g := randomGraph(r, n)
		tr, err := g.check()
		if err != nil {
			t.Fatal(err)
		}
		p := &picture{tree: tr}
		root := tr.boxes()
		root.layout(p.size, p.titleWidth)
		overlaps(t, fmt.Sprintf("seed %d", seed), root)
	}
}

func overlaps(t *testing.T, name string, b *box) {
	t.Helper()
	for i, in := range b.boxes {
		if in.x < margin-0.01 || in.y < margin-0.01 || in.x+in.w > b.w-margin+0.01 || in.y+in.h > b.h-margin+0.01 {
			t.Errorf("%s: box %d is not in frame %d", name, in.node, b.node)
		}
		for _, other := range b.boxes[:i] {
			if in.x < other.x+other.w && other.x < in.x+in.w && in.y < other.y+other.h && other.y < in.y+in.h {
				t.Errorf("%s: boxes %d and %d overlap", name, in.node, other.node)
			}
		}
		for _, l := range b.links {
			if l.from != in && l.to != in && crosses(l.points, in) {
				t.Errorf("%s: the arrow from %d to %d runs through %d", name, l.from.node, l.to.node, in.node)
			}
		}
		overlaps(t, name, in)
	}
	for _, l := range b.links {
		if l.points[0].y > l.points[len(l.points)-1].y {
			t.Errorf("%s: the arrow from %d to %d leads up", name, l.from.node, l.to.node)
		}
	}
}

// crosses tells whether an arrow touches a box: curves stay between the heights of their ends.
func crosses(points []point, b *box) bool {
	for i := 1; i < len(points); i++ {
		left, right := math.Min(points[i-1].x, points[i].x), math.Max(points[i-1].x, points[i].x)
		if left < b.x+b.w-0.01 && right > b.x+0.01 && points[i-1].y < b.y+b.h-0.01 && points[i].y > b.y+0.01 {
			return true
		}
	}
	return false
}

// randomGraph has blocks in blocks, and edges that lead forward.
func randomGraph(r *rand.Rand, n int) *Graph {
	g := &Graph{Name: "random"}
	parents := []string{""}
	var tasks []string
	for i := range n {
		parent := parents[r.IntN(len(parents))]
		id := strings.TrimPrefix(fmt.Sprintf("%s/t%d", parent, i), "/")
		if r.IntN(6) == 0 {
			g.Nodes = append(g.Nodes, Node{ID: id, Parent: parent, Title: strings.Repeat("x", r.IntN(40))})
			parents = append(parents, id)
			g.Nodes = append(g.Nodes, Node{ID: id + "/first", Parent: id, Kind: "file"})
			tasks = append(tasks, id+"/first")
			continue
		}
		g.Nodes = append(g.Nodes, Node{ID: id, Parent: parent, Kind: []string{"file", "systemd", "kubeadm"}[r.IntN(3)], Hosts: "5 hosts"})
		for range r.IntN(3) {
			if len(tasks) > 0 {
				g.Edges = append(g.Edges, Edge{From: tasks[r.IntN(len(tasks))], To: id, Form: []Form{Host, All}[r.IntN(2)], Reason: Needs})
			}
		}
		tasks = append(tasks, id)
	}
	return g
}

// TestSVGIsWellFormed draws texts that could be markup.
func TestSVGIsWellFormed(t *testing.T) {
	nasty := `<script>"&'` + "\x00\n]]>"
	g := &Graph{Name: nasty, Nodes: []Node{
		{ID: "a" + nasty, Kind: nasty, Title: nasty, Hosts: nasty, Status: nasty, Pos: nasty},
		{ID: "b", Parent: "c"}, {ID: "c", Title: nasty},
	}, Edges: []Edge{{From: "a" + nasty, To: "b", Form: All, Reason: Data}}}
	svg, err := g.SVG()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(svg, "<script") {
		t.Error("a name became an element")
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
	}
}

// TestSVGIsTheSameEveryTime: a picture in a repository must not change by itself.
func TestSVGIsTheSameEveryTime(t *testing.T) {
	for seed := range uint64(20) {
		g := randomGraph(rand.New(rand.NewPCG(seed, 9)), 60)
		first, err := g.SVG()
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if again, _ := g.SVG(); again != first {
				t.Fatalf("seed %d: two pictures of one graph differ", seed)
			}
		}
	}
}

// TestEmptySVG: a playbook without tasks has a picture, too.
func TestEmptySVG(t *testing.T) {
	if svg, err := (&Graph{Name: "empty"}).SVG(); err != nil || !strings.HasSuffix(svg, "</svg>\n") {
		t.Errorf("%v %q", err, svg)
	}
}

// BenchmarkSVG draws 500 tasks.
func BenchmarkSVG(b *testing.B) {
	g := randomGraph(rand.New(rand.NewPCG(1, 1)), 500)
	for b.Loop() {
		if _, err := g.SVG(); err != nil {
			b.Fatal(err)
		}
	}
}
