package sched

import "math/bits"

// readySet is a priority queue of instances: the lowest index first. Each level has a bit for every non-zero word of the
// one below, so that adding and popping touch one word a level: four levels are enough for sixteen million instances.
type readySet struct{ levels [][]uint64 }

func newReadySet(size int) readySet {
	var s readySet
	for {
		size = (size + 63) / 64
		s.levels = append(s.levels, make([]uint64, max(size, 1)))
		if size <= 1 {
			return s
		}
	}
}

func (s *readySet) empty() bool { return s.levels[len(s.levels)-1][0] == 0 }

func (s *readySet) add(i inst) {
	for _, words := range s.levels {
		old := words[i>>6]
		words[i>>6] = old | 1<<(i&63)
		if old != 0 {
			return
		}
		i >>= 6
	}
}

// pop takes the first instance out. The set must not be empty.
func (s *readySet) pop() inst {
	var i inst
	for l := len(s.levels) - 1; l >= 0; l-- {
		i = i<<6 | inst(bits.TrailingZeros64(s.levels[l][i]))
	}
	for j, l := i, 0; l < len(s.levels); l++ {
		words := s.levels[l]
		words[j>>6] &^= 1 << (j & 63)
		if words[j>>6] != 0 {
			break
		}
		j >>= 6
	}
	return i
}

// queue is a binary heap of instances, the lowest index first: those that wait for one lock, slot or host.
type queue []inst

func (q *queue) push(i inst) {
	h := append(*q, i)
	k := len(h) - 1
	for k > 0 {
		up := (k - 1) / 2
		if h[up] <= h[k] {
			break
		}
		h[up], h[k] = h[k], h[up]
		k = up
	}
	*q = h
}

func (q *queue) pop() inst {
	h := *q
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for k := 0; ; {
		c := 2*k + 1
		if c >= last {
			break
		}
		if c+1 < last && h[c+1] < h[c] {
			c++
		}
		if h[k] <= h[c] {
			break
		}
		h[k], h[c] = h[c], h[k]
		k = c
	}
	*q = h
	return top
}
