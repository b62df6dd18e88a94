package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/event"
)

// reader goes through a log and notes what concerns one instance.
type reader struct {
	name  string
	needs []string
	out   *Explanation

	now      Session
	ended    bool // the instance has an end in this session
	started  bool
	ran      map[string]bool          // instances that started in this session
	ends     map[string]event.Event   // last end of every instance
	machines map[string]event.Machine // by host

	done     *event.Event // last end that could be reused, until it starts again
	was      *event.Event // the same before it started last
	doneIn   int
	doneOn   event.Machine
	last     *event.Event // last end in an earlier session
	lastIn   int
	orphaned int // session in which it started without an end
	lost     int // the same before it started last
}

func (r *reader) read(e event.Event) {
	switch e.Type {
	case event.RunStarted:
		r.close()
		r.now = Session{Number: r.now.Number + 1, Started: e.Time}
		r.ended, r.started, r.ran = false, false, map[string]bool{}
	case event.HostUp:
		if e.Machine != nil {
			r.machines[e.Host] = *e.Machine
		}
	case event.InstanceStarted:
		r.ran[e.Instance] = true
	case event.InstanceEnded:
		r.ends[e.Instance] = e
	}
	if e.Instance == r.name {
		r.own(e)
	}
}

// own reads an event of the instance itself.
func (r *reader) own(e event.Event) {
	switch e.Type {
	case event.InstanceStarted:
		if e.Attempt <= 1 {
			r.started, r.now.Changes, r.now.Failures = true, nil, nil
			r.was, r.done = r.done, nil
			r.lost, r.orphaned = r.orphaned, 0
		}
	case event.Change:
		r.now.Changes = append(r.now.Changes, e.Summary)
	case event.AttemptFailed:
		if e.Failure != nil {
			r.now.Failures = append(r.now.Failures, fmt.Sprintf("attempt %d: %s", e.Attempt, e.Failure.Summary))
		}
	case event.InstanceEnded:
		r.now.Status, r.now.Duration, r.now.Failure = e.Status, e.Duration, e.Failure
		r.now.Why = r.why(e)
		r.ended = true
		if e.Status == event.OK || e.Status == event.Changed || e.Status == event.Skipped {
			r.done, r.doneIn, r.doneOn = &e, r.now.Number, r.machines[e.Host]
		}
		if e.Status != event.Reused {
			r.last, r.lastIn = &e, r.now.Number
		}
	}
}

// close ends a session in which the instance may have no end.
func (r *reader) close() {
	if r.now.Number == 0 {
		return
	}
	switch {
	case r.ended:
	case r.started:
		r.now.Status, r.now.Why = event.Unknown, "it was started, and nobody saw its end"
		r.orphaned = r.now.Number
	default:
		r.now.Why = "its turn did not come"
	}
	r.out.Sessions = append(r.out.Sessions, r.now)
}

// why says what led to an end.
func (r *reader) why(e event.Event) string {
	switch e.Status {
	case event.Skipped:
		if e.When == "" {
			return "nothing called for it"
		}
		return "its condition is false: " + e.When
	case event.Blocked:
		return r.blocked(e)
	case event.Reused:
		if r.doneStatus() == event.Skipped {
			return fmt.Sprintf("not asked again: it was skipped in session %d%s, and nothing it needs ran anew", r.doneIn, condition(r.done.When))
		}
		return fmt.Sprintf("not done again: what it did in session %d (%s) still holds; parameters and machine are the same, and nothing it needs ran anew", r.doneIn, r.doneStatus())
	case event.Unknown:
		if !r.started {
			return "not done again: an earlier session has started it, and nobody saw its end"
		}
	case event.Cancelled:
		return "the run was interrupted"
	case event.Unreachable:
		if !r.started {
			return "its host could not be reached, or was lost"
		}
	}
	return r.whyRan(e)
}

func condition(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func (r *reader) doneStatus() event.Status {
	if r.done == nil {
		return event.OK
	}
	return r.done.Status
}

func (r *reader) blocked(e event.Event) string {
	if len(e.BlockedBy) == 0 {
		return "something it needs failed"
	}
	var roots []string
	for _, root := range e.BlockedBy {
		text := root
		if end, ok := r.ends[root]; ok && end.Failure != nil {
			text += " (" + end.Failure.Summary + ")"
		}
		roots = append(roots, text)
	}
	return "something it needs, directly or not, failed: " + strings.Join(roots, "; ")
}

// whyRan says why an instance ran, or ran again.
func (r *reader) whyRan(e event.Event) string {
	switch {
	case r.was == nil && r.lost > 0:
		return fmt.Sprintf("ran again: it was started in session %d, and nobody saw its end", r.lost)
	case r.was == nil && r.last != nil && r.lastIn < r.now.Number:
		if r.last.Status == event.Blocked || r.last.Status == event.Cancelled {
			return fmt.Sprintf("ran: in session %d it was %s", r.lastIn, r.last.Status)
		}
		return fmt.Sprintf("ran again: in session %d it was %s", r.lastIn, r.last.Status)
	case r.was == nil || r.doneIn == r.now.Number:
		return "ran: what it needs was done"
	}
	if r.was.Status == event.Skipped {
		return fmt.Sprintf("ran: in session %d its condition was false (%s), and something it depends on has changed since", r.doneIn, r.was.When)
	}
	reasons := append(r.differing(e), r.anew()...)
	if was, is := r.doneOn, r.machines[e.Host]; was.ID != is.ID || was.ProductUUID != is.ProductUUID {
		reasons = append(reasons, "the machine behind "+e.Host+" is another one")
	}
	if len(reasons) == 0 {
		reasons = append(reasons, "its outputs were not stored and somebody read them, or a block around it started anew")
	}
	return fmt.Sprintf("ran again, after it was %s in session %d: %s", r.was.Status, r.doneIn, strings.Join(reasons, "; "))
}

// differing are the parts of the fingerprint that are not the same any more.
func (r *reader) differing(e event.Event) (out []string) {
	var params []string
	for _, key := range slices.Sorted(maps.Keys(union(r.was.Parts, e.Parts))) {
		if name, ok := strings.CutPrefix(key, "params."); ok && r.was.Parts[key] != e.Parts[key] {
			params = append(params, "`"+name+"`")
		}
	}
	words := map[string]string{"kind": "its kind", "when": "the text of its condition", "data": "what it reads from other tasks", "params": "its parameters"}
	if len(params) > 0 {
		words["params"] = "its parameters " + strings.Join(params, ", ")
	}
	for _, key := range []string{"kind", "params", "when", "data"} {
		if r.was.Parts[key] != e.Parts[key] {
			out = append(out, words[key]+" changed")
		}
	}
	return out
}

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}

// anew are needs that ran in this session.
func (r *reader) anew() []string {
	var out []string
	for _, n := range r.needs {
		if r.ran[n] {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return nil
	}
	more := ""
	if len(out) > 3 {
		more = fmt.Sprintf(" and %d more", len(out)-3)
	}
	return []string{"it needs what ran anew: " + strings.Join(out[:min(3, len(out))], ", ") + more}
}
