// Package graph is the graph of a playbook, as people see it: tasks, blocks and parts as nodes, what waits for what as
// edges. It finds cycles, sorts tasks into levels, and draws: text, DOT, Mermaid, JSON, SVG. It knows neither playbooks nor
// hosts: whoever has them fills in a Graph.
//
// # Nodes and edges
//
// A node that others name as their Parent is a group (a block, or a part); the others are tasks. An edge leads from what
// runs first to what waits for it. One that starts or ends at a group stands for edges of all tasks inside.
//
// The form of an edge says which instances wait for which: Host, each for the one on its own host; All, each for those on
// all hosts. In text and labels the second is written as in a playbook, id@all.
//
// # How it is done
//
// The graph is a github.com/dominikbraun/graph: it refuses nodes and edges that can't be, and finds the strongly
// connected components that cycles are made of. Levels are our own, as its topological sort takes quadratic time, and so
// is the reduction, as an edge may only be left out of a picture where the ones that stay say the same (see Reduce). This
// graph has tens or hundreds of nodes; the instances of a run are not in it, they are numbers in the scheduler.
//
// # Drawing
//
// Names may hold anything; each renderer escapes for its language. Output depends on the input alone: nodes and edges
// come in the order given.
//
// # The picture
//
// SVG needs no other program. Each frame (a block or part, and the whole) is laid out by itself, the innermost first, and
// is one box for the frame around it; so frames hold what is in them, and nothing overlaps. An edge between tasks of two
// frames is drawn between the frames. Within a frame, boxes that no arrow joins are put side by side; those that are
// joined go into layers from top to bottom, no wider than looks well. An arrow over several layers has a place in each, so
// that it passes between boxes; layers are ordered by the means of their neighbours until few arrows cross, and each box
// moves as near to its neighbours as its layer allows (least squares). 500 tasks take a hundredth of a second.
package graph

import (
	"errors"
	"fmt"
	"slices"

	lib "github.com/dominikbraun/graph"
)

// Form of an edge: which instances wait for which.
type Form string

// The forms.
const (
	Host Form = "host" // each instance for the one on its own host
	All  Form = "all"  // each instance for those on all hosts
)

// Reason of an edge: why there is one.
type Reason string

// The reasons.
const (
	Needs  Reason = "needs"
	Before Reason = "before"
	Steps  Reason = "step order"
	Data   Reason = "data" // an expression reads the task
	Lazy   Reason = "lazy" // a lazy parameter reads the task, which runs on demand
)

// Node is a task, a block or a part.
type Node struct {
	ID     string `json:"id"` // its path: runtime/unit
	Title  string `json:"title,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Hosts  string `json:"hosts,omitempty"` // where it runs, for people: "5 hosts", "k8s-mn01"
	Count  int    `json:"count,omitempty"` // of hosts
	Parent string `json:"parent,omitempty"`
	Pos    string `json:"pos,omitempty"`
	Run    string `json:"run,omitempty"`    // on_failure, always or on_demand; "" = on_success
	Status string `json:"status,omitempty"` // of a run or a dry run, if it is about one
	Level  int    `json:"level,omitempty"`  // set by JSON; counts from 1, 0 for groups

	Outside  bool   `json:"outside,omitempty"`  // not one of those the graph is about: what they wait for
	Critical bool   `json:"critical,omitempty"` // on the critical path
	Took     string `json:"took,omitempty"`     // there, for people: "12s on k8s-mn01"
}

// Edge leads from what runs first to what waits for it.
type Edge struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Form   Form   `json:"form"`
	Reason Reason `json:"reason"`
	Label  string `json:"label,omitempty"`

	Critical bool `json:"critical,omitempty"` // from one step of the critical path to the next
}

// flows tells whether the edge carries data.
func (e Edge) flows() bool { return e.Reason == Data || e.Reason == Lazy }

// Graph is the graph of a playbook.
type Graph struct {
	Name  string `json:"name"`
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`

	Path     []Step `json:"critical_path,omitempty"` // see Mark
	PathFrom string `json:"critical_path_from,omitempty"`
}

// tree is a Graph that has been checked, with what all functions need of it. Nodes are their indices.
type tree struct {
	*Graph
	index    map[string]int
	children map[string][]int // in order; "" = the top
	tasks    [][]int          // by node: the tasks inside; of a task, itself
	next     [][]int          // edges between tasks, each once, sorted
	parts    [][]int          // strongly connected components with more than one task, or with an edge to itself
}

// check finds ids that are given twice and names of nodes that do not exist; the error joins all findings.
func (g *Graph) check() (*tree, error) {
	t := &tree{Graph: g, index: map[string]int{}, children: map[string][]int{}, tasks: make([][]int, len(g.Nodes))}
	var wrong []error
	for i, n := range g.Nodes {
		if _, twice := t.index[n.ID]; twice || n.ID == "" {
			wrong = append(wrong, fmt.Errorf("graph: node id %q is empty or given twice", n.ID))
		}
		t.index[n.ID] = i
	}
	for i, n := range g.Nodes {
		if _, known := t.index[n.Parent]; !known && n.Parent != "" {
			wrong = append(wrong, fmt.Errorf("graph: node %q is inside %q, which does not exist", n.ID, n.Parent))
		}
		t.children[n.Parent] = append(t.children[n.Parent], i)
	}
	for _, e := range g.Edges {
		for _, id := range []string{e.From, e.To} {
			if _, known := t.index[id]; !known {
				wrong = append(wrong, fmt.Errorf("graph: an edge %s -> %s: there is no node %q", e.From, e.To, id))
			}
		}
	}
	if err := errors.Join(append(wrong, t.inside()...)...); err != nil {
		return nil, err
	}
	return t, t.connect()
}

// inside finds the tasks of each node, and groups that contain themselves.
func (t *tree) inside() []error {
	var wrong []error
	for i, n := range t.Nodes {
		if len(t.children[n.ID]) > 0 {
			continue
		}
		depth := 0
		for at := i; ; at = t.index[t.Nodes[at].Parent] {
			t.tasks[at] = append(t.tasks[at], i)
			if _, known := t.index[t.Nodes[at].Parent]; !known {
				break
			}
			if depth++; depth > len(t.Nodes) {
				break
			}
		}
	}
	for i, n := range t.Nodes {
		if len(t.tasks[i]) == 0 {
			wrong = append(wrong, fmt.Errorf("graph: group %q contains itself", n.ID))
		}
	}
	return wrong
}

// group tells whether a node is a block or a part.
func (t *tree) group(i int) bool { return len(t.children[t.Nodes[i].ID]) > 0 }

// connect builds the graph of tasks: an edge of a group is one of each task inside. Its vertices are the ids: the
// library's search for components stops short at a vertex that is the zero value of its type.
func (t *tree) connect() error {
	g := lib.New(lib.StringHash, lib.Directed())
	for _, n := range t.Nodes {
		if err := g.AddVertex(n.ID); err != nil {
			return fmt.Errorf("graph: node %q: %w", n.ID, err)
		}
	}
	for _, e := range t.Edges {
		for _, from := range t.tasks[t.index[e.From]] {
			for _, to := range t.tasks[t.index[e.To]] {
				err := g.AddEdge(t.Nodes[from].ID, t.Nodes[to].ID)
				if err != nil && !errors.Is(err, lib.ErrEdgeAlreadyExists) {
					return fmt.Errorf("graph: edge %s -> %s: %w", e.From, e.To, err)
				}
			}
		}
	}
	return t.read(g)
}

// read takes from the library, whose answers come in the order of maps, what is needed, in order.
func (t *tree) read(g lib.Graph[string, string]) error {
	adjacent, err := g.AdjacencyMap()
	if err != nil {
		return fmt.Errorf("graph: %w", err)
	}
	t.next = make([][]int, len(t.Nodes))
	for from, edges := range adjacent {
		for to := range edges {
			t.next[t.index[from]] = append(t.next[t.index[from]], t.index[to])
		}
		slices.Sort(t.next[t.index[from]])
	}
	components, err := lib.StronglyConnectedComponents(g)
	if err != nil {
		return fmt.Errorf("graph: %w", err)
	}
	for _, ids := range components {
		var c []int
		for _, id := range ids {
			c = append(c, t.index[id])
		}
		slices.Sort(c)
		if len(c) > 1 || slices.Contains(t.next[c[0]], c[0]) {
			t.parts = append(t.parts, c)
		}
	}
	slices.SortFunc(t.parts, func(a, b []int) int { return a[0] - b[0] })
	return nil
}
