package graph

import (
	"slices"
	"strings"
)

// box is a node of a picture: a task, or a frame with boxes inside. The root is a frame without a node.
type box struct {
	node   int // -1: the root
	parent *box
	depth  int
	boxes  []*box
	links  []*link // between boxes directly inside

	x, y, w, h float64 // from the corner of the frame around it
}

func (b *box) frame() bool { return len(b.boxes) > 0 }

// link is an arrow between two boxes of one frame. It stands for all edges between what is in them.
type link struct {
	from, to *box
	all      bool     // an edge waits for all hosts
	data     bool     // all edges carry data
	critical bool     // an edge is on the critical path
	says     []string // the edges
	points   []point
}

type point struct{ x, y float64 }

// boxes makes the boxes of a graph with the arrows between them. An edge between tasks of two frames is drawn between
// the frames: its ends are the outermost boxes that do not hold both tasks.
func (t *tree) boxes() *box {
	root := &box{node: -1}
	byNode := make([]*box, len(t.Nodes))
	t.fillBox(root, "", byNode)
	found := map[[2]*box]*link{}
	for _, e := range t.Edges {
		from, to := siblings(byNode[t.index[e.From]], byNode[t.index[e.To]])
		if from == nil {
			continue
		}
		l := found[[2]*box{from, to}]
		if l == nil {
			l = &link{from: from, to: to, data: true}
			found[[2]*box{from, to}] = l
			from.parent.links = append(from.parent.links, l)
		}
		l.all = l.all || e.Form == All
		l.data = l.data && e.flows()
		l.critical = l.critical || e.Critical
		l.says = append(l.says, line(e.To)+" waits for "+line(e.From)+marks(e))
	}
	root.thin()
	return root
}

func (t *tree) fillBox(b *box, id string, byNode []*box) {
	for _, i := range t.children[id] {
		in := &box{node: i, parent: b, depth: b.depth + 1}
		byNode[i] = in
		b.boxes = append(b.boxes, in)
		t.fillBox(in, t.Nodes[i].ID, byNode)
	}
}

// siblings are the boxes around a and b that lie in one frame; nil where one holds the other.
func siblings(a, b *box) (*box, *box) {
	for a.depth > b.depth {
		a = a.parent
	}
	for b.depth > a.depth {
		b = b.parent
	}
	if a == b {
		return nil, nil
	}
	for a.parent != b.parent {
		a, b = a.parent, b.parent
	}
	return a, b
}

// thin removes arrows that say nothing new, where a way over others leads to the same box, and those that would close a
// circle: two frames may wait for parts of each other.
func (b *box) thin() {
	for _, in := range b.boxes {
		in.thin()
	}
	place := map[*box]int{}
	for i, in := range b.boxes {
		place[in] = i
	}
	b.links = b.acyclic(place)
	reach := b.reach(place)
	b.links = slices.DeleteFunc(b.links, func(l *link) bool {
		return !l.critical && slices.ContainsFunc(b.links, func(other *link) bool {
			return other != nil && other != l && other.from == l.from && (other.all || !l.all) && reach[place[other.to]].has(place[l.to])
		})
	})
}

// acyclic leaves out arrows that lead back, in the order of the boxes.
func (b *box) acyclic(place map[*box]int) []*link {
	out := make([][]*link, len(b.boxes))
	for _, l := range b.links {
		out[place[l.from]] = append(out[place[l.from]], l)
	}
	state := make([]int, len(b.boxes)) // 1 = on the way, 2 = done
	back := map[*link]bool{}
	var visit func(i int)
	visit = func(i int) {
		state[i] = 1
		for _, l := range out[i] {
			switch state[place[l.to]] {
			case 0:
				visit(place[l.to])
			case 1:
				back[l] = true
			}
		}
		state[i] = 2
	}
	for i := range b.boxes {
		if state[i] == 0 {
			visit(i)
		}
	}
	return slices.DeleteFunc(b.links, func(l *link) bool { return back[l] })
}

// reach is, by box, the boxes that arrows lead to, directly or not.
func (b *box) reach(place map[*box]int) []set {
	reach := make([]set, len(b.boxes))
	for _, i := range slices.Backward(b.order(place)) {
		reach[i] = make(set, (len(b.boxes)+63)/64)
		for _, l := range b.links {
			if place[l.from] == i {
				reach[i].add(place[l.to])
				reach[i].union(reach[place[l.to]])
			}
		}
	}
	return reach
}

// order sorts the boxes so that arrows lead forward; otherwise they stay in the order of the playbook.
func (b *box) order(place map[*box]int) []int {
	waits := make([]int, len(b.boxes))
	next := make([][]int, len(b.boxes))
	for _, l := range b.links {
		waits[place[l.to]]++
		next[place[l.from]] = append(next[place[l.from]], place[l.to])
	}
	var out []int
	for i := range b.boxes {
		if waits[i] == 0 {
			out = append(out, i)
		}
	}
	for at := 0; at < len(out); at++ {
		for _, to := range next[out[at]] {
			if waits[to]--; waits[to] == 0 {
				out = append(out, to)
			}
		}
	}
	return out
}

// text is what people see of a box when they point at it.
func (t *tree) text(n Node) string {
	lines := []string{n.ID}
	if n.Title != "" {
		lines = append(lines, n.Title)
	}
	if n.Kind != "" {
		lines = append(lines, n.Kind+" on "+n.Hosts)
	}
	lines = append(lines, n.words()...)
	if n.Pos != "" {
		lines = append(lines, n.Pos)
	}
	for i := range lines {
		lines[i] = line(lines[i])
	}
	return strings.Join(lines, "\n")
}
