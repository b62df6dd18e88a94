package graph

import (
	"fmt"
	"slices"
	"strings"
)

// fill is the colour of a result, as in the picture. It is light, so that black text can be read on it.
func fill(status string) string {
	switch statusClass(status) {
	case "s-ok":
		return "#d5efd5"
	case "s-changed":
		return "#fdf0c4"
	case "s-later":
		return "#d4e4f7"
	case "s-bad":
		return "#f8cfcb"
	case "s-skip":
		return "#e4e4e4"
	}
	return ""
}

// critical is the colour of the critical path: readable on light and on dark.
const critical = "#d9480f"

// caption is what stands in the box of a node, line by line.
func (n Node) caption() []string {
	lines := []string{n.ID}
	if n.Title != "" {
		lines = append(lines, n.Title)
	}
	what := strings.TrimLeft(strings.Join([]string{n.Kind, n.Hosts}, ", "), ", ")
	if what = strings.TrimRight(what, ", "); what != "" {
		lines = append(lines, what)
	}
	return append(lines, n.words()...)
}

// label is what stands at an edge.
func (e Edge) label() string {
	label := e.Label
	if label == "" && e.flows() {
		label = string(e.Reason)
	}
	if e.Form == All {
		label = strings.TrimSpace("all " + label)
	}
	return label
}

// DOT is the graph in the language of Graphviz, groups as clusters.
func (g *Graph) DOT() (string, error) {
	t, _, err := g.reduced()
	if err != nil {
		return "", err
	}
	d := &drawing{tree: t}
	d.printf("digraph %s {", dotText(g.Name))
	d.printf("  graph [rankdir=TB, compound=true, fontname=\"sans-serif\"];")
	d.printf("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"];")
	d.printf("  edge [fontname=\"sans-serif\", fontsize=10];")
	d.dotNodes("", "  ")
	for _, e := range t.Edges {
		d.dotEdge(e)
	}
	d.printf("}")
	return d.b.String(), nil
}

type drawing struct {
	*tree
	b strings.Builder
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

func (d *drawing) dotNodes(parent, indent string) {
	for _, i := range d.children[parent] {
		n := d.Nodes[i]
		label := dotText(strings.Join(n.caption(), "\n"))
		if d.group(i) {
			d.printf("%ssubgraph cluster_%d {\n%s  label=%s; style=rounded; color=gray;", indent, i, indent, label)
			d.dotNodes(n.ID, indent+"  ")
			d.printf("%s}", indent)
			continue
		}
		more := ""
		if c := fill(n.Status); c != "" {
			more += fmt.Sprintf(", fillcolor=%q", c)
		}
		if n.Run != "" || n.Outside {
			more += `, style="rounded,filled,dashed"`
		}
		if n.Critical {
			more += fmt.Sprintf(", color=%q, penwidth=3", critical)
		}
		d.printf("%sn%d [label=%s%s];", indent, i, label, more)
	}
}

// dotEdge draws an edge. One of a group runs between tasks inside it and is cut at its border.
func (d *drawing) dotEdge(e Edge) {
	from, to := d.index[e.From], d.index[e.To]
	var more []string
	if text := e.label(); text != "" {
		more = append(more, "label="+dotText(text))
	}
	switch {
	case e.flows():
		more = append(more, "style=dashed")
	case e.Form == All:
		more = append(more, "penwidth=2")
	}
	if e.Critical {
		more = append(more, fmt.Sprintf("color=%q", critical))
	}
	if d.group(from) {
		more = append(more, fmt.Sprintf("ltail=cluster_%d", from))
	}
	if d.group(to) {
		more = append(more, fmt.Sprintf("lhead=cluster_%d", to))
	}
	attributes := ""
	if len(more) > 0 {
		attributes = " [" + strings.Join(more, ", ") + "]"
	}
	last := d.tasks[from][len(d.tasks[from])-1]
	d.printf("  n%d -> n%d%s;", last, d.tasks[to][0], attributes)
}

// dotText is a quoted string of DOT. In one only the quote ends it; a backslash begins an escape such as \n or \N.
func dotText(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	s = strings.ReplaceAll(s, `"`, `\"`)
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = line(lines[i])
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

// Mermaid is the graph as a flowchart of Mermaid, groups as subgraphs: GitHub shows it in Markdown.
func (g *Graph) Mermaid() (string, error) {
	t, _, err := g.reduced()
	if err != nil {
		return "", err
	}
	d := &drawing{tree: t}
	d.printf("flowchart TB")
	d.mermaidNodes("", "  ")
	for _, e := range t.Edges {
		d.printf("  n%d %s n%d", d.index[e.From], mermaidArrow(e), d.index[e.To])
	}
	d.mermaidStyles()
	return d.b.String(), nil
}

func (d *drawing) mermaidNodes(parent, indent string) {
	for _, i := range d.children[parent] {
		label := mermaidText(strings.Join(d.Nodes[i].caption(), "\n"))
		if d.group(i) {
			d.printf("%ssubgraph n%d [%s]", indent, i, label)
			d.mermaidNodes(d.Nodes[i].ID, indent+"  ")
			d.printf("%send", indent)
			continue
		}
		d.printf("%sn%d[%s]", indent, i, label)
	}
}

func mermaidArrow(e Edge) string {
	arrow := "-->"
	switch {
	case e.flows():
		arrow = "-.->"
	case e.Form == All:
		arrow = "==>"
	}
	if text := e.label(); text != "" {
		arrow += "|" + mermaidText(text) + "|"
	}
	return arrow
}

func (d *drawing) mermaidStyles() {
	var dashed []string
	for i, n := range d.Nodes {
		var style []string
		if c := fill(n.Status); c != "" && !d.group(i) {
			style = append(style, "fill:"+c, "color:#000")
		}
		if n.Critical {
			style = append(style, "stroke:"+critical, "stroke-width:3px")
		}
		if len(style) > 0 {
			d.printf("  style n%d %s", i, strings.Join(style, ","))
		}
		if (n.Run != "" || n.Outside) && !d.group(i) {
			dashed = append(dashed, fmt.Sprintf("n%d", i))
		}
	}
	for i, e := range d.Edges {
		if e.Critical {
			d.printf("  linkStyle %d stroke:%s,stroke-width:3px", i, critical)
		}
	}
	if len(dashed) > 0 {
		d.printf("  classDef other stroke-dasharray: 5 5\n  class %s other", strings.Join(dashed, ","))
	}
}

// mermaidText is a quoted text of Mermaid. What could be syntax, HTML or Markdown is written as #code;.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("<br/>")
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		case slices.Contains([]rune("\"#&<>`;\\%{}|*~$"), r):
			fmt.Fprintf(&b, "#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}
