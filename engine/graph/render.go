package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Formats are the names that Render knows.
func Formats() []string { return []string{"text", "dot", "mermaid", "json", "svg"} }

// Render draws the graph in the format of that name. Edges that a picture can do without are left out, except in JSON.
// Errors: as of Levels, and an unknown format.
func (g *Graph) Render(format string) (string, error) {
	switch format {
	case "text":
		return g.Text()
	case "dot":
		return g.DOT()
	case "mermaid":
		return g.Mermaid()
	case "svg":
		return g.SVG()
	case "json":
		return g.JSON()
	}
	return "", fmt.Errorf("there is no format %q for a graph; there are %s", format, strings.Join(Formats(), ", "))
}

// reduced is the graph as drawn.
func (g *Graph) reduced() (*tree, []int, error) {
	r, err := g.Reduce()
	if err != nil {
		return nil, nil, err
	}
	t, err := r.check()
	if err != nil {
		return nil, nil, err
	}
	level, err := t.levels()
	return t, level, err
}

// JSON is the whole graph with the level of each task.
func (g *Graph) JSON() (string, error) {
	t, err := g.check()
	if err != nil {
		return "", err
	}
	level, err := t.levels()
	if err != nil {
		return "", err
	}
	out := Graph{Name: g.Name, Nodes: slices.Clone(g.Nodes), Edges: g.Edges, Path: g.Path, PathFrom: g.PathFrom}
	for i := range out.Nodes {
		out.Nodes[i].Level = level[i]
	}
	if out.Nodes == nil {
		out.Nodes = []Node{}
	}
	if out.Edges == nil {
		out.Edges = []Edge{}
	}
	b, err := json.MarshalIndent(out, "", "  ")
	return string(b) + "\n", err
}

// Text lists the tasks by level, each with its kind, where it runs, and what it waits for:
//
//	level 3
//	  runtime/config  file    5 hosts   after runtime/package
//	  init            kubeadm k8s-mn01  after runtime/unit, load_balancer@all
func (g *Graph) Text() (string, error) {
	t, level, err := g.reduced()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	tasks := 0
	for i := range t.Nodes {
		if !t.group(i) {
			tasks++
		}
	}
	fmt.Fprintf(&b, "%s: %s in %s\n", line(g.Name), counted(tasks, "task"), counted(slices.Max(append([]int{0}, level...)), "level"))
	widths, entering := t.widths(), t.entering()
	for at := 1; slices.Contains(level, at); at++ {
		fmt.Fprintf(&b, "\nlevel %d\n", at)
		for i, n := range t.Nodes {
			if level[i] == at {
				text := fmt.Sprintf("  %-*s  %-*s  %-*s  %s", widths[0], line(n.ID), widths[1], line(n.Kind), widths[2],
					line(n.Hosts), t.remarks(i, entering[i]))
				b.WriteString(strings.TrimRight(text, " ") + "\n")
			}
		}
	}
	b.WriteString(t.pathText())
	return b.String(), nil
}

// widths are those of the columns of Text.
func (t *tree) widths() [3]int {
	var w [3]int
	for i, n := range t.Nodes {
		if !t.group(i) {
			for c, text := range []string{n.ID, n.Kind, n.Hosts} {
				w[c] = min(40, max(w[c], len([]rune(line(text)))))
			}
		}
	}
	return w
}

// remarks are the last column of Text: what a task waits for, when it runs, what came of it.
func (t *tree) remarks(i int, waits []Edge) string {
	var parts, after []string
	for _, e := range waits {
		after = append(after, line(e.From)+marks(e))
	}
	if len(after) > 0 {
		parts = append(parts, "after "+strings.Join(after, ", "))
	}
	for _, word := range t.Nodes[i].words() {
		parts = append(parts, "["+line(word)+"]")
	}
	return strings.Join(parts, "  ")
}

// words are what is said of a node besides what it is and where it runs.
func (n Node) words() []string {
	outside, critical := "", ""
	if n.Outside {
		outside = "elsewhere"
	}
	if n.Critical {
		critical = "critical, " + n.Took
	}
	return slices.DeleteFunc([]string{outside, n.Run, n.Status, critical}, func(s string) bool { return s == "" })
}

// enters tells whether a task waits for e itself: an edge to a group is one to those tasks inside that wait for no other
// task inside.
func (t *tree) enters(e Edge, i int) bool {
	inside := t.tasks[t.index[e.To]]
	return slices.Contains(inside, i) &&
		!slices.ContainsFunc(inside, func(other int) bool { return other != i && slices.Contains(t.next[other], i) })
}

// entering are, by node, the edges that its task waits for itself.
func (t *tree) entering() [][]Edge {
	out := make([][]Edge, len(t.Nodes))
	for _, e := range t.Edges {
		for _, i := range t.tasks[t.index[e.To]] {
			if t.enters(e, i) {
				out[i] = append(out[i], e)
			}
		}
	}
	return out
}

// marks are what an edge adds to the name of a task.
func marks(e Edge) string {
	text := ""
	if e.Form == All {
		text = "@all"
	}
	if e.flows() {
		text += " (" + string(e.Reason) + ")"
	}
	return text
}

// line is text without line ends and control characters.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
