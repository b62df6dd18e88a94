package plan

import (
	"encoding/json"
	"slices"

	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// Sketch is a task on a host as far as it is known before the host is reached: what depends on facts or other tasks is
// absent from its parameters.
type Sketch struct {
	Params map[string]any // with defaults
	Task   task.Task
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

// Skipped tells whether a condition of the task or of what is around it is known to be false on the host.
func (s *Sketches) Skipped(t *playbook.Task, host int) bool {
	return slices.ContainsFunc(t.Conditions(), func(c *playbook.Code) bool {
		if !c.Static() {
			return false
		}
		yes, err := s.plan.Condition(c, host, nil, nil)
		return err == nil && !yes
	})
}

func (s *Sketches) make(t *playbook.Task, host int) []Sketch {
	turns, known := []any{nil}, true
	if t.ForEach != nil {
		var list []any
		if list, known = t.ForEach.Known(s.env(host, nil), false).([]any); known {
			turns = list
		}
	}
	var out []Sketch
	for _, item := range turns {
		raw := t.Params.Known(s.env(host, item), known && t.ForEach != nil)
		params, problems := shape.Resolve(t.Params.Type, raw, t.Params.Engine())
		_ = problems // what is missing is not known yet
		sketch := Sketch{Task: t.Kind.New()}
		sketch.Params, _ = params.(map[string]any)
		if text, err := json.Marshal(params); err != nil || json.Unmarshal(text, sketch.Task) != nil {
			continue
		}
		out = append(out, sketch)
	}
	return out
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
