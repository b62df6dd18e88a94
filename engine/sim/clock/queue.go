package clock

import (
	"context"
	"time"
)

// moment is something that is planned: a sleeper wakes, a timer rings, a context ends.
type moment struct {
	at    time.Time
	in    time.Duration // of a sleeper: from when it was planned
	order int
	name  string // tells those of the same order apart
	seq   int64
	at0   int // place in the queue

	ctx  context.Context // of a sleeper; nil = none
	wake chan struct{}
	ring *timer
	end  func()
}

// queue is a heap: what happens first is at its head.
type queue []*moment

func (q queue) Len() int { return len(q) }

func (q queue) Less(a, b int) bool {
	x, y := q[a], q[b]
	switch {
	case !x.at.Equal(y.at):
		return x.at.Before(y.at)
	case x.order != y.order:
		return x.order < y.order
	case x.name != y.name:
		return x.name < y.name
	}
	return x.seq < y.seq
}

func (q queue) Swap(a, b int) {
	q[a], q[b] = q[b], q[a]
	q[a].at0, q[b].at0 = a, b
}

func (q *queue) Push(x any) {
	p := x.(*moment)
	p.at0 = len(*q)
	*q = append(*q, p)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return p
}
