package playbook

// Edges are the needs between leaves: a need on or of a block or part is one on or of each task inside. Two leaves have at
// most one edge of a form; the first reason counts. Edges into tasks on demand, and lazy ones out of them, are among
// them: Need.Reason and Task.Run tell.
func (p *Playbook) Edges() []Edge {
	var out []Edge
	type pair struct {
		from, to int
		form     Form
	}
	seen := map[pair]bool{}
	for _, t := range p.all {
		dependents := t.Leaves()
		for _, n := range t.Needs {
			for _, from := range n.Target.Leaves() {
				for _, to := range dependents {
					key := pair{from.Index, to.Index, n.Form}
					if seen[key] || n.Target.Run == OnDemand && n.Reason == ByOrder {
						continue
					}
					seen[key] = true
					out = append(out, Edge{From: from, To: to, Need: n})
				}
			}
		}
	}
	return out
}
