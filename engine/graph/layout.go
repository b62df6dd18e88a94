package graph

import (
	"cmp"
	"math"
	"slices"
)

// Sizes of a picture.
const (
	taskHeight  = 42.0
	header      = 26.0 // of a frame, for its name
	margin      = 14.0 // of a frame, around what is in it
	rowGap      = 16.0 // between layers that no arrow joins
	arrowGap    = 34.0 // between layers with arrows
	portGap     = 12.0 // between arrows at one box
	leastWidth  = 460.0
	largestRoot = 1500.0
)

// layout gives every box its size and place, the innermost first. size is the size of a task.
func (b *box) layout(size func(*box) (w, h float64), title func(*box) float64) {
	if !b.frame() {
		b.w, b.h = size(b)
		return
	}
	area, widest, all := 0.0, 0.0, 0.0
	for _, in := range b.boxes {
		in.layout(size, title)
		area += (in.w + between) * (in.h + arrowGap)
		widest, all = max(widest, in.w), all+in.w+between
	}
	width := max(widest, math.Sqrt(2*area), min(all, leastWidth))
	if b.node < 0 {
		width = max(widest, min(largestRoot, max(1.6*leastWidth, width)))
	}
	b.pack(b.components(), width+between, title(b))
}

// pack lays out the components of a frame, each by itself, and puts them side by side in rows.
func (b *box) pack(components []*box, width, title float64) {
	top := margin
	if b.node >= 0 {
		top = header + margin/2
	}
	for _, c := range components {
		l := c.layer(width)
		l.untangle()
		l.spread()
		c.place(l)
	}
	slices.SortStableFunc(components, func(a, b *box) int { return cmp.Compare(math.Floor(2*a.w/width), math.Floor(2*b.w/width)) })
	x, y, row, used := 0.0, 0.0, 0.0, 0.0
	for _, c := range components {
		if x > 0 && x+c.w > width {
			x, y, row = 0, y+row+rowGap, 0
		}
		c.x, c.y = x, y
		used = max(used, x+c.w)
		x, row = x+c.w+between, max(row, c.h)
	}
	b.w = max(used, title) + 2*margin
	b.h = top + y + row + margin
	for _, c := range components {
		c.move(c.x+(b.w-used)/2, c.y+top)
	}
}

// components are the boxes of a frame, those that arrows join together; those without arrows come first, as one.
func (b *box) components() []*box {
	root := map[*box]*box{}
	find := func(x *box) *box {
		for root[x] != nil {
			x = root[x]
		}
		return x
	}
	joined := map[*box]bool{}
	for _, l := range b.links {
		joined[l.from], joined[l.to] = true, true
		if from, to := find(l.from), find(l.to); from != to {
			root[from] = to
		}
	}
	alone := &box{}
	out, byRoot := []*box{alone}, map[*box]*box{}
	for _, in := range b.boxes {
		if !joined[in] {
			alone.boxes = append(alone.boxes, in)
			continue
		}
		c := byRoot[find(in)]
		if c == nil {
			c = &box{}
			byRoot[find(in)] = c
			out = append(out, c)
		}
		c.boxes = append(c.boxes, in)
	}
	for _, l := range b.links {
		c := byRoot[find(l.from)]
		c.links = append(c.links, l)
	}
	if len(alone.boxes) == 0 {
		out = out[1:]
	}
	return out
}

// move shifts what is in a component.
func (b *box) move(x, y float64) {
	for _, in := range b.boxes {
		in.x, in.y = in.x+x, in.y+y
	}
	for _, l := range b.links {
		for i := range l.points {
			l.points[i].x += x
			l.points[i].y += y
		}
	}
}

// place gives the boxes of a component their places, and the arrows their ways: they run down between layers, and past
// boxes only where the layer has left room for them.
func (b *box) place(l *layering) {
	y := 0.0
	tops, bottoms := make([]float64, len(l.layers)), make([]float64, len(l.layers))
	for i, layer := range l.layers {
		tops[i], bottoms[i] = y, y
		for _, x := range layer {
			b.w = max(b.w, x.x+x.w/2)
			if x.box != nil {
				x.box.x, x.box.y = x.x-x.w/2, y
				bottoms[i] = max(bottoms[i], y+x.box.h)
			}
		}
		y = bottoms[i] + gap(layer)
	}
	b.h = bottoms[len(bottoms)-1]
	ports := l.ports()
	for _, k := range b.links {
		k.points = route(l.chains[k], ports[k], tops, bottoms, l)
	}
}

// gap is the room below a layer: more where many arrows have to get past each other.
func gap(layer []*item) float64 {
	n, slant := 0, 0.0
	for _, x := range layer {
		n += len(x.down)
		for _, d := range x.down {
			slant = max(slant, math.Abs(d.x-x.x))
		}
	}
	if n == 0 {
		return rowGap
	}
	return arrowGap + min(50, slant/14)
}

// port is where an arrow leaves its first box and enters its last one.
type port struct{ from, to float64 }

// ports spreads the arrows at each box, in the order in which they go on.
func (l *layering) ports() map[*link]port {
	type end struct {
		link *link
		next float64
	}
	leaving, entering := map[*item][]end{}, map[*item][]end{}
	for k, chain := range l.chains {
		first, last := chain[0], chain[len(chain)-1]
		leaving[first] = append(leaving[first], end{k, chain[1].x})
		entering[last] = append(entering[last], end{k, chain[len(chain)-2].x})
	}
	out := map[*link]port{}
	each := func(ends map[*item][]end, set func(*link, float64)) {
		for x, list := range ends {
			slices.SortFunc(list, func(a, b end) int {
				return cmp.Or(cmp.Compare(a.next, b.next), cmp.Compare(a.link.from.node, b.link.from.node), cmp.Compare(a.link.to.node, b.link.to.node))
			})
			step := min(portGap, (x.w-3*margin)/float64(len(list)))
			for i, e := range list {
				set(e.link, x.x+step*(float64(i)-float64(len(list)-1)/2))
			}
		}
	}
	each(leaving, func(k *link, at float64) { out[k] = port{from: at} })
	each(entering, func(k *link, at float64) { out[k] = port{out[k].from, at} })
	return out
}

// route is the way of an arrow, from corner to corner: straight down within a layer, anywhere between two.
func route(chain []*item, p port, tops, bottoms []float64, l *layering) []point {
	at := slices.IndexFunc(l.layers, func(layer []*item) bool {
		return chain[0].at < len(layer) && layer[chain[0].at] == chain[0]
	})
	points := []point{{p.from, chain[0].box.y + chain[0].box.h}, {p.from, bottoms[at]}}
	for i, x := range chain[1:] {
		here := at + 1 + i
		if x.box != nil {
			points = append(points, point{p.to, tops[here]})
			break
		}
		points = append(points, point{x.x, tops[here]}, point{x.x, bottoms[here]})
	}
	return points
}
