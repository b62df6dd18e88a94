package sched

import "slices"

// rootSets are the causes of what is blocked. Many instances are blocked by the same few: a set is kept once, and an
// instance holds its number.
type rootSets struct {
	sets    [][]inst // each sorted, at most MaxRoots
	blocked []int    // instances that have the set
	known   map[string]int32
}

func newRootSets() rootSets { return rootSets{known: map[string]int32{}} }

// of returns the number of a set. It keeps the list.
func (r *rootSets) of(list []inst) int32 {
	list = list[:min(len(list), MaxRoots)]
	key := textOf(list)
	n, ok := r.known[key]
	if !ok {
		n = int32(len(r.sets))
		r.known[key] = n
		r.sets = append(r.sets, list)
		r.blocked = append(r.blocked, 0)
	}
	return n
}

func (r *rootSets) one(i inst) int32 { return r.of([]inst{i}) }

// join returns the union of two sets, each of which may be None.
func (r *rootSets) join(a, b int32) int32 {
	switch {
	case a == b || b == None:
		return a
	case a == None:
		return b
	}
	both := append(slices.Clone(r.sets[a]), r.sets[b]...)
	slices.Sort(both)
	return r.of(slices.Compact(both))
}

func (r *rootSets) count(set int32, by int) {
	if set != None {
		r.blocked[set] += by
	}
}

// victims returns for each root how many instances it blocked.
func (r *rootSets) victims() map[inst]int {
	n := map[inst]int{}
	for set, list := range r.sets {
		for _, i := range list {
			n[i] += r.blocked[set]
		}
	}
	return n
}
