package graph

import (
	"cmp"
	"math"
	"slices"
)

// item is what stands in a layer: a box, or the place where an arrow passes.
type item struct {
	box      *box // nil: an arrow passes
	w        float64
	x        float64 // its middle
	up, down []*item // in other layers; each next to this one
	at       int     // place in the layer
	wish     float64 // where the sweep at hand wants it
	weight   float64
}

// Distances of a picture.
const (
	between  = 18.0 // boxes side by side
	passing  = 10.0 // width of an arrow that passes
	straight = 8.0  // how much more an arrow that passes wants to be straight
	sweeps   = 12
)

// layering are the layers of a frame.
type layering struct {
	layers [][]*item
	chains map[*link][]*item // an arrow: its ends and where it passes
}

// layer distributes the boxes of a frame over layers, so that each arrow leads downward and no layer is wider than width
// unless a single box is.
func (b *box) layer(width float64) *layering {
	place := map[*box]int{}
	for i, in := range b.boxes {
		place[in] = i
	}
	rank := make([]int, len(b.boxes))
	var used []float64
	for _, i := range b.order(place) {
		r := 0
		for _, l := range b.links {
			if place[l.to] == i {
				r = max(r, rank[place[l.from]]+1)
			}
		}
		for r < len(used) && used[r] > 0 && used[r]+b.boxes[i].w+between > width {
			r++
		}
		for len(used) <= r {
			used = append(used, 0)
		}
		rank[i] = r
		used[r] += b.boxes[i].w + between
	}
	return b.chain(rank, len(used))
}

// chain makes the items, with one in each layer that an arrow passes.
func (b *box) chain(rank []int, layers int) *layering {
	out := &layering{layers: make([][]*item, layers), chains: map[*link][]*item{}}
	items, ranks := map[*box]*item{}, map[*box]int{}
	add := func(r int, x *item) *item {
		x.at = len(out.layers[r])
		out.layers[r] = append(out.layers[r], x)
		return x
	}
	for i, in := range b.boxes {
		items[in], ranks[in] = add(rank[i], &item{box: in, w: in.w}), rank[i]
	}
	for _, l := range b.links {
		last := items[l.from]
		chain := []*item{last}
		for r := ranks[l.from] + 1; r <= ranks[l.to]; r++ {
			next := items[l.to]
			if r < ranks[l.to] {
				next = add(r, &item{w: passing})
			}
			last.down, next.up = append(last.down, next), append(next.up, last)
			chain, last = append(chain, next), next
		}
		out.chains[l] = chain
	}
	return out
}

// untangle orders the layers so that few arrows cross: each item goes to the mean of its neighbours, layer by layer, down
// and up; the best order seen is kept.
func (l *layering) untangle() {
	best, order := l.crossings(), l.snapshot()
	for i := 0; i < 2*sweeps && best > 0; i++ {
		if i%2 == 0 {
			for _, layer := range l.layers {
				byMean(layer, func(x *item) []*item { return x.up })
			}
		} else {
			for _, layer := range slices.Backward(l.layers) {
				byMean(layer, func(x *item) []*item { return x.down })
			}
		}
		if n := l.crossings(); n < best {
			best, order = n, l.snapshot()
		}
	}
	l.layers = order
	for _, layer := range l.layers {
		number(layer)
	}
}

func (l *layering) snapshot() [][]*item {
	out := make([][]*item, len(l.layers))
	for i, layer := range l.layers {
		out[i] = slices.Clone(layer)
	}
	return out
}

func number(layer []*item) {
	for i, x := range layer {
		x.at = i
	}
}

func byMean(layer []*item, neighbours func(*item) []*item) {
	for _, x := range layer {
		x.wish = float64(x.at)
		if list := neighbours(x); len(list) > 0 {
			sum := 0.0
			for _, n := range list {
				sum += float64(n.at)
			}
			x.wish = sum / float64(len(list))
		}
	}
	slices.SortStableFunc(layer, func(a, b *item) int { return cmp.Compare(a.wish, b.wish) })
	number(layer)
}

// crossings counts the pairs of arrows that cross between layers: inversions of the order of their lower ends.
func (l *layering) crossings() int {
	n := 0
	for _, layer := range l.layers {
		var ends []int
		for _, x := range layer {
			own := make([]int, len(x.down))
			for i, d := range x.down {
				own[i] = d.at
			}
			slices.Sort(own)
			ends = append(ends, own...)
		}
		n += inversions(ends)
	}
	return n
}

// inversions counts pairs in the wrong order, by merging.
func inversions(list []int) int {
	if len(list) < 2 {
		return 0
	}
	left, right := slices.Clone(list[:len(list)/2]), slices.Clone(list[len(list)/2:])
	n := inversions(left) + inversions(right)
	for i := range list {
		if len(right) == 0 || len(left) > 0 && left[0] <= right[0] {
			list[i], left = left[0], left[1:]
			continue
		}
		list[i], right = right[0], right[1:]
		n += len(left)
	}
	return n
}

// spread gives every item its place from left to right: as near as can be to its neighbours, in the order of the layer,
// without touching.
func (l *layering) spread() {
	for _, layer := range l.layers {
		x := 0.0
		for _, i := range layer {
			i.x = x + i.w/2
			x += i.w + between
		}
	}
	for i := range 2*sweeps + 1 {
		for at := range l.layers {
			layer := l.layers[at]
			if i%2 == 1 {
				layer = l.layers[len(l.layers)-1-at]
			}
			for _, x := range layer {
				x.aim(i)
			}
			settle(layer)
		}
	}
	l.shift()
}

// aim sets where an item wants to be: below what is above it, above what is below it, in the end between both.
func (x *item) aim(sweep int) {
	list := x.up
	switch {
	case sweep == 2*sweeps:
		list = append(slices.Clone(x.up), x.down...)
	case sweep%2 == 1:
		list = x.down
	}
	x.wish, x.weight = x.x, 0.05
	if len(list) == 0 {
		return
	}
	sum, weight := 0.0, 0.0
	for _, n := range list {
		w := 1.0
		if x.box == nil && n.box == nil {
			w = straight
		}
		sum, weight = sum+w*n.x, weight+w
	}
	x.wish, x.weight = sum/weight, weight
}

// settle puts the items of a layer as near to their wishes as their order and widths allow (least squares, by pooling
// neighbours that would overlap).
func settle(layer []*item) {
	type pool struct {
		wish, weight float64
		n            int
	}
	var pools []pool
	offsets := make([]float64, len(layer))
	for i, x := range layer {
		if i > 0 {
			offsets[i] = offsets[i-1] + (layer[i-1].w+x.w)/2 + between
		}
		pools = append(pools, pool{x.wish - offsets[i], x.weight, 1})
		for len(pools) > 1 && pools[len(pools)-2].wish > pools[len(pools)-1].wish {
			a, b := pools[len(pools)-2], pools[len(pools)-1]
			both := pool{(a.wish*a.weight + b.wish*b.weight) / (a.weight + b.weight), a.weight + b.weight, a.n + b.n}
			pools = append(pools[:len(pools)-2], both)
		}
	}
	i := 0
	for _, p := range pools {
		for range p.n {
			layer[i].x = p.wish + offsets[i]
			i++
		}
	}
}

// shift lets the leftmost item begin at 0.
func (l *layering) shift() {
	left := math.Inf(1)
	for _, layer := range l.layers {
		for _, x := range layer {
			left = min(left, x.x-x.w/2)
		}
	}
	for _, layer := range l.layers {
		for _, x := range layer {
			x.x -= left
		}
	}
}
