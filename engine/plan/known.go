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
	plan  *Plan
	reads map[*playbook.Task]*reads
	made  map[SketchKey][]Sketch
}

// SketchKey is the same for the hosts on which the sketches of a task are the same.
type SketchKey struct {
	task  *playbook.Task
	host  int    // where it is not known what is alike
	alike string // what it reads of its host, as far as that is known before the host is reached
}

// NewSketches returns an empty collection.
func NewSketches(p *Plan) *Sketches {
	return &Sketches{plan: p, reads: map[*playbook.Task]*reads{}, made: map[SketchKey][]Sketch{}}
}

// Key tells hosts apart on which a task has other sketches.
func (s *Sketches) Key(t *playbook.Task, host int) SketchKey {
	of := s.reads[t]
	if of == nil {
		of = s.plan.readsBefore(t)
		s.reads[t] = of
	}
	switch {
	case host == NoHost, !of.whole && len(of.host) == 0:
		return SketchKey{task: t, host: NoHost}
	case of.whole:
		return SketchKey{task: t, host: host}
	}
	var alike strings.Builder
	value := s.plan.seen.of(s.plan, host, nil, false)
	for _, path := range of.host {
		if !appendScalar(&alike, value, path) {
			return SketchKey{task: t, host: host}
		}
	}
	return SketchKey{task: t, host: NoHost, alike: alike.String()}
}

// readsBefore is what a task and its conditions read of a host before that is reached: no facts.
func (p *Plan) readsBefore(t *playbook.Task) *reads {
	r := &reader{Plan: p, out: &reads{}, lazy: true}
	r.value(t.ForEach)
	r.value(t.Params)
	for _, c := range t.Conditions() {
		r.code(c.Refs(), c.Site, c.Text())
	}
	r.out.host = slices.DeleteFunc(r.out.host, func(path []string) bool { return path[0] == "facts" })
	return r.out
}

// Of are the sketches of a leaf on a host, one for each turn of for_each: none where it is known to be skipped.
func (s *Sketches) Of(l *Leaf, host int) []Sketch {
	key := s.Key(l.Task, host)
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
		value, complete, secrets := t.ForEach.Known(s.env(host, nil), false)
		s.plan.learn(secrets)
		if complete {
			turns, looped = value.([]any)
		}
	}
	var out []Sketch
	for _, item := range turns {
		raw, complete, secrets := t.Params.Known(s.env(host, item), looped)
		s.plan.learn(secrets)
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
