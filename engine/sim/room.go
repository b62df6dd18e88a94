package sim

import "runtime/debug"

// Room sets how much memory the program takes for itself while something is rehearsed, and returns what puts that back. A
// rehearsal is short, and makes much that is soon thrown away: it may take more than usual before it is cleaned up, but stays
// below 1 GiB as long as what is really needed lets it.
func Room() (back func()) {
	const enough = 768 << 20
	const roomy = 300 // per cent
	percent, limit := debug.SetGCPercent(roomy), debug.SetMemoryLimit(enough)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}
