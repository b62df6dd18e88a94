package graph

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// hues of kinds, by their place among the kinds of the picture; the shapes go round faster, so that a kind differs from
// all others in one of them.
func hues() []int { return []int{212, 32, 150, 275, 350, 185, 52, 318, 95, 240, 14, 168} }

// shapes of tasks.
func shapes() []func(w, h float64) string {
	return []func(w, h float64) string{rounded, pill, hexagon, cut, slanted}
}

// SVG is the graph as a picture that needs no other program: layers from top to bottom, blocks and parts as frames, kinds
// told by colour and shape. It follows the reader's choice of light or dark. What a mouse points at says what it is.
func (g *Graph) SVG() (string, error) {
	t, err := g.merged().check()
	if err != nil {
		return "", err
	}
	if _, err := t.levels(); err != nil {
		return "", err
	}
	p := &picture{tree: t}
	for i, n := range t.Nodes {
		if n.Kind != "" && !t.group(i) {
			p.kinds = append(p.kinds, n.Kind)
		}
	}
	slices.Sort(p.kinds)
	p.kinds = slices.Compact(p.kinds)
	root := t.boxes()
	if root.frame() {
		root.layout(p.size, func(b *box) float64 { return p.titleWidth(b) })
	}
	p.document(root)
	return p.b.String(), nil
}

type picture struct {
	*tree
	kinds []string
	b     strings.Builder
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// size is that of a task: room for its texts, more where a shape is slanted.
func (p *picture) size(b *box) (w, h float64) {
	n := p.Nodes[b.node]
	w = max(96, textWidth(shortID(n.ID), 13, true), textWidth(p.second(n), 11, false)) + 34
	return math.Ceil(w/2) * 2, taskHeight
}

func (p *picture) titleWidth(b *box) float64 {
	if b.node < 0 {
		return 0
	}
	return textWidth(p.frameTitle(p.Nodes[b.node]), 12, true)
}

// frameTitle is the name of a frame, with its hosts where those of all tasks in it are the same.
func (p *picture) frameTitle(n Node) string {
	parts := []string{shortID(n.ID)}
	if n.Title != "" {
		parts = append(parts, cutText(line(n.Title), 34))
	}
	if hosts := p.hostsOf(n.ID); hosts != "" && hosts != p.hostsOf(n.Parent) {
		parts = append(parts, cutText(line(hosts), 28))
	}
	return strings.Join(parts, " · ")
}

// hostsOf are the hosts of a frame; "" where its tasks have different ones.
func (p *picture) hostsOf(id string) string {
	i, ok := p.index[id]
	if !ok {
		return ""
	}
	hosts := p.Nodes[p.tasks[i][0]].Hosts
	if slices.ContainsFunc(p.tasks[i], func(t int) bool { return p.Nodes[t].Hosts != hosts }) {
		return ""
	}
	return hosts
}

// second is the second line of a task. Hosts that stand at the frame are not said again.
func (p *picture) second(n Node) string {
	hosts := n.Hosts
	if p.hostsOf(n.Parent) == hosts {
		hosts = ""
	}
	run := n.Run
	if n.Status != "" && strings.ReplaceAll(run, "_", " ") == n.Status {
		run = ""
	}
	var parts []string
	elsewhere := ""
	if n.Outside {
		elsewhere = "elsewhere"
	}
	for _, text := range []string{n.Kind, hosts, elsewhere, run, n.Status, n.Took} {
		if text != "" {
			parts = append(parts, cutText(line(text), 28))
		}
	}
	return strings.Join(parts, " · ")
}

// shortID is the last part of a path: the frames around it say the rest.
func shortID(id string) string { return cutText(line(id[strings.LastIndexByte(id, '/')+1:]), 40) }

func cutText(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// textWidth is about as wide as a text is in a sans-serif font; rather more.
func textWidth(s string, size float64, bold bool) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtf.,:;|!'()[] ", r):
			w += 0.36
		case strings.ContainsRune("mwMW@%", r) || r > 0x2000:
			w += 0.95
		case r >= 'A' && r <= 'Z':
			w += 0.72
		default:
			w += 0.6
		}
	}
	if bold {
		w *= 1.06
	}
	return w * size
}

func (p *picture) document(root *box) {
	legend := p.legendRows(max(root.w, 420))
	w, h := max(root.w, 420), root.h+28*float64(len(legend))+40
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-label="%s">`,
		num(w), num(h), num(w), num(h), escape(line(p.Name)))
	p.printf("<title>%s</title>", escape(line(p.Name)))
	p.style()
	p.printf("<defs>%s</defs>", p.tips())
	p.printf(`<rect class="page" width="100%%" height="100%%"/>`)
	p.inside(root, (w-root.w)/2, 0)
	p.legend(legend, root.h+16)
	p.printf("</svg>")
}

// tips are the heads of arrows.
func (p *picture) tips() string {
	const tip = `<marker id="%s" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="%d" markerHeight="%d" markerUnits="userSpaceOnUse" orient="auto"><path class="%s" d="M0,0.5 L8,4 L0,7.5 z"/></marker>`
	tips := fmt.Sprintf(tip, "arrow", 7, 7, "tip")
	if len(p.Path) > 0 {
		tips += fmt.Sprintf(tip, "critical", 9, 9, "tip critical")
	}
	return tips
}

// inside draws what is in a frame: arrows first, boxes over them.
func (p *picture) inside(b *box, x, y float64) {
	for _, l := range b.links {
		p.arrow(l, x, y)
	}
	for _, in := range b.boxes {
		if in.frame() {
			p.frame(in, x+in.x, y+in.y)
			continue
		}
		p.task(in, x+in.x, y+in.y)
	}
}

func (p *picture) frame(b *box, x, y float64) {
	n := p.Nodes[b.node]
	p.printf(`<g><title>%s</title><rect class="frame d%d" x="%s" y="%s" width="%s" height="%s" rx="10"/>`, escape(p.text(n)), b.depth%2, num(x), num(y), num(b.w), num(b.h))
	p.printf(`<text class="name" x="%s" y="%s">%s</text></g>`, num(x+margin), num(y+18), escape(p.frameTitle(n)))
	p.inside(b, x, y)
}

func (p *picture) task(b *box, x, y float64) {
	n := p.Nodes[b.node]
	class := "task " + p.kindClass(n.Kind)
	if c := statusClass(n.Status); c != "" {
		class += " " + c
	}
	if n.Run != "" || n.Outside {
		class += " other"
	}
	if n.Critical {
		class += " critical"
	}
	p.printf(`<g transform="translate(%s %s)"><title>%s</title><path class="%s" d="%s"/>`, num(x), num(y), escape(p.text(n)), class, p.shape(n.Kind)(b.w, b.h))
	p.printf(`<text class="id" x="%s" y="18">%s</text><text class="what" x="%s" y="33">%s</text></g>`, num(b.w/2), escape(shortID(n.ID)), num(b.w/2), escape(p.second(n)))
}

func (p *picture) kindClass(kind string) string {
	i, ok := slices.BinarySearch(p.kinds, kind)
	if !ok {
		return ""
	}
	return "k" + strconv.Itoa(i%len(hues()))
}

func (p *picture) shape(kind string) func(w, h float64) string {
	i, ok := slices.BinarySearch(p.kinds, kind)
	if !ok {
		return rounded
	}
	return shapes()[i%len(shapes())]
}

// arrow draws an arrow: curves between layers, straight lines within.
func (p *picture) arrow(l *link, x, y float64) {
	class := "arrow"
	if l.all {
		class += " all"
	}
	if l.data {
		class += " data"
	}
	tip := "arrow"
	if l.critical {
		class, tip = class+" critical", "critical"
	}
	var d strings.Builder
	for i, at := range l.points {
		px, py := num(x+at.x), num(y+at.y)
		switch {
		case i == 0:
			fmt.Fprintf(&d, "M%s,%s", px, py)
		case i%2 == 1 || at.x == l.points[i-1].x:
			fmt.Fprintf(&d, " L%s,%s", px, py)
		default:
			middle := num(y + (l.points[i-1].y+at.y)/2)
			fmt.Fprintf(&d, " C%s,%s %s,%s %s,%s", num(x+l.points[i-1].x), middle, px, middle, px, py)
		}
	}
	p.printf(`<g><title>%s</title><path class="wide" d="%s"/><path class="%s" d="%s" marker-end="url(#%s)"/></g>`, escape(strings.Join(l.says, "\n")), d.String(), class, d.String(), tip)
}

// num is a number as short as it can be written.
func num(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

// escape is text for XML.
func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return ""
	}
	return b.String()
}

func rounded(w, h float64) string { return corners(w, h, 7) }
func pill(w, h float64) string    { return corners(w, h, h/2) }

func corners(w, h, r float64) string {
	return fmt.Sprintf("M%s,0 H%s A%s,%s 0 0 1 %s,%s V%s A%s,%s 0 0 1 %s,%s H%s A%s,%s 0 0 1 0,%s V%s A%s,%s 0 0 1 %s,0 z",
		num(r), num(w-r), num(r), num(r), num(w), num(r), num(h-r), num(r), num(r), num(w-r), num(h), num(r), num(r), num(r), num(h-r), num(r), num(r), num(r), num(r))
}

func hexagon(w, h float64) string {
	return fmt.Sprintf("M12,0 H%s L%s,%s L%s,%s H12 L0,%s z", num(w-12), num(w), num(h/2), num(w-12), num(h), num(h/2))
}

func cut(w, h float64) string {
	return fmt.Sprintf("M8,0 H%s L%s,8 V%s L%s,%s H8 L0,%s V8 z", num(w-8), num(w), num(h-8), num(w-8), num(h), num(h-8))
}

func slanted(w, h float64) string {
	return fmt.Sprintf("M10,0 H%s L%s,%s H0 z", num(w), num(w-10), num(h))
}
