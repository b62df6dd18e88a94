package plan

import "github.com/kflow/kflow/engine/sched"

// enough is the number of instances up to which every host is looked at by checks.
const enough = 20_000

// Samples are the hosts that a check looks at: all of them, or in large plans one of those that run the same tasks.
func (p *Plan) Samples() []int {
	var out []int
	seen := map[string]bool{}
	all := len(p.Hosts)*len(p.Leaves) <= enough
	for h := range p.Hosts {
		if all {
			out = append(out, h)
			continue
		}
		class := make([]byte, len(p.Leaves))
		for i, l := range p.Leaves {
			if l.Runs(h) {
				class[i] = 1
			}
		}
		if !seen[string(class)] {
			seen[string(class)] = true
			out = append(out, h)
		}
	}
	return out
}

// InTurn tells whether the instances of a leaf run one after the other: a lock, or `max_parallel: 1`, of its own or of a
// block around it.
func (p *Plan) InTurn(leaf int) bool {
	spec := p.Spec.Tasks[leaf]
	one := spec.Lock != "" || spec.MaxParallel == 1
	for g := spec.Group; g != sched.None && !one; g = p.Spec.Groups[g].Group {
		one = p.Spec.Groups[g].Lock != "" || p.Spec.Groups[g].MaxParallel == 1
	}
	return one
}
