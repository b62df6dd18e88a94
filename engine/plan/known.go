package plan

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// Sketch is a task on a host as far as it is known before the host is reached: what depends on facts or other tasks is
// absent from its parameters.
type Sketch struct {
	Params   map[string]any // with defaults
	Task     task.Task
	Complete bool            // all is known but lazy parameters
	Problems []shape.Problem // of complete parameters
}

// Sketches makes sketches, each once. It is not safe for concurrent use.
type Sketches struct {
	plan    *Plan
	perHost map[*playbook.Task]bool
	made    map[sketchKey][]Sketch
	skipped map[sketchKey]bool
}

type sketchKey struct {
	task *playbook.Task
	host int // NoHost where all hosts are alike
}

// NewSketches returns an empty collection.
func NewSketches(p *Plan) *Sketches {
	return &Sketches{plan: p, perHost: map[*playbook.Task]bool{}, made: map[sketchKey][]Sketch{}, skipped: map[sketchKey]bool{}}
}

// Of are the sketches of a leaf on a host, one for each turn of for_each: none where it is known to be skipped.
func (s *Sketches) Of(l *Leaf, host int) []Sketch {
	key := sketchKey{l.Task, NoHost}
	if s.PerHost(l.Task) {
		key.host = host
	}
	if made, ok := s.made[key]; ok {
		return made
	}
	var out []Sketch
	if !s.Skipped(l.Task, host) {
		out = s.make(l.Task, host)
	}
	s.made[key] = out
	return out
}

// PerHost tells whether what is known of a leaf may differ between hosts.
func (s *Sketches) PerHost(t *playbook.Task) bool {
	is, known := s.perHost[t]
	if !known {
		is = t.Params.PerHost() || t.ForEach.PerHost() ||
			slices.ContainsFunc(t.Conditions(), func(c *playbook.Code) bool { return c.PerHost() })
		s.perHost[t] = is
	}
	return is
}

// Skipped tells whether a condition of the task or of what is around it is known to be false on the host. One that
// mentions facts is, too, where it is false whatever they are: `inputs.x and host.facts.y` without x.
func (s *Sketches) Skipped(t *playbook.Task, host int) bool {
	return slices.ContainsFunc(t.Conditions(), func(c *playbook.Code) bool {
		if !c.Static() && hides(c) {
			return false
		}
		yes, err := s.plan.Condition(c, host, nil, nil)
		return err == nil && !yes
	})
}

// hides tells whether a condition could be computed although something in it is not known: `??` gives another value, and
// hosts in lists have no facts before they are reached.
func hides(c *playbook.Code) bool {
	lists := slices.ContainsFunc(c.Refs(), func(r expr.Ref) bool { return r.Root == "hosts" || r.Root == "groups" })
	return strings.Contains(c.Text(), "?") || lists && strings.Contains(c.Text(), "facts")
}

func (s *Sketches) make(t *playbook.Task, host int) []Sketch {
	turns, looped := []any{nil}, false
	if t.ForEach != nil {
		if value, complete := t.ForEach.Known(s.env(host, nil), false); complete {
			turns, looped = value.([]any)
		}
	}
	var out []Sketch
	for _, item := range turns {
		raw, complete := t.Params.Known(s.env(host, item), looped)
		params, problems := shape.Resolve(withoutLazy(t.Params.Type), raw, t.Params.Engine())
		sketch := Sketch{Task: t.Kind.New(), Complete: complete}
		if complete {
			sketch.Problems = problems // else what is missing is not known yet
		}
		sketch.Params, _ = params.(map[string]any)
		if text, err := json.Marshal(params); err != nil || json.Unmarshal(text, sketch.Task) != nil {
			continue
		}
		out = append(out, sketch)
	}
	return out
}

// Pos is the place of a parameter of a task, or of the nearest value around it.
func Pos(t *playbook.Task, path []any) diag.Pos {
	if len(path) == 0 || t.Params == nil {
		return t.Pos
	}
	return posOf(t.Params, path)
}

// env makes the environment of one value: where an input can't be computed, only what mentions it is unknown.
func (s *Sketches) env(host int, item any) func(*playbook.Value) (expr.Env, error) {
	return func(v *playbook.Value) (expr.Env, error) {
		if v.Form == playbook.Literal {
			return nil, nil
		}
		return s.plan.Env(v.Site, host, append([]expr.Ref{}, refsBySite(v, true)[v.Site]...), nil, item)
	}
}
