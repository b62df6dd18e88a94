package run

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/task"
)

// work is what an instance is to do, resolved for its host. What it points to is shared with hosts that are alike, and not
// changed.
type work struct {
	items       []json.RawMessage
	lazyGiven   bool
	fingerprint string
	summed      map[string]string // what the fingerprint is made of
	parts       map[string]string // that, and more for explain
	action      bool              // what it does is done once, and may not be done twice
	secrets     []string          // texts among the parameters that the host must mask
}

// lazily asks resolve for the lazy parameters, too.
var lazily = &struct{}{}

// resolve evaluates the parameters of an instance, for each turn of its loop.
func (s *Session) resolve(in sched.Instance, lazy *struct{}) (*work, error) {
	l := s.leaves[in.Task]
	if lazy != nil {
		return s.compute(l, in, true)
	}
	x, err := s.plan.Alike(l.Leaf, in.Host, s.known, func() (any, error) { return s.compute(l, in, false) })
	if err != nil {
		return nil, err
	}
	w := *x.(*work)
	s.fingerprint(l, in, &w)
	return &w, nil
}

// compute is resolve without what is of one host alone: the work of hosts that are alike is the same.
func (s *Session) compute(l *leaf, in sched.Instance, lazy bool) (*work, error) {
	turns, err := s.turns(l, in)
	if err != nil {
		return nil, err
	}
	w := &work{lazyGiven: lazy || !l.lazy}
	for _, item := range turns {
		raw, secrets, err := s.params(l, in, item, w.lazyGiven)
		if err != nil {
			return nil, err
		}
		w.secrets = append(w.secrets, secrets...)
		w.items = append(w.items, raw)
	}
	if !lazy {
		w.action = onlyOnce(l, w.items)
		s.sumUp(l, w)
	}
	return w, nil
}

// turns are the items of for_each; without it there is one turn, with no item.
func (s *Session) turns(l *leaf, in sched.Instance) ([]any, error) {
	if l.Task.ForEach == nil {
		return []any{nil}, nil
	}
	r, err := s.plan.Value(l.Task.ForEach, in.Host, s.known, nil)
	s.Mask.Learn(r.Secrets...)
	if err != nil {
		return nil, err
	}
	list, ok := r.Value.([]any)
	if !ok {
		return nil, fmt.Errorf("`for_each` wants a list, not %v", r.Value)
	}
	return list, nil
}

func (s *Session) params(l *leaf, in sched.Instance, item any, lazy bool) (json.RawMessage, []string, error) {
	r, err := s.plan.Params(l.Leaf, in.Host, s.known, item, lazy)
	s.Mask.Learn(r.Secrets...) // an error may quote them
	if err != nil {
		return nil, nil, err
	}
	if err := s.announceFiles(l, r); err != nil {
		return nil, nil, err
	}
	raw, err := json.Marshal(r.Value)
	return raw, r.Secrets, err
}

func (s *Session) announceFiles(l *leaf, r playbook.Resolved) error {
	for sum, b := range r.Blobs {
		if b.Path == "" {
			s.Files.AddText(l.Task.Path, b.Text)
			continue
		}
		if err := s.Files.Announce(sum, b.Path); err != nil {
			return err
		}
	}
	return nil
}

// onlyOnce tells whether any turn is an action that may not be repeated.
func onlyOnce(l *leaf, items []json.RawMessage) bool {
	return slices.ContainsFunc(items, func(raw json.RawMessage) bool {
		t := l.Task.Kind.New()
		a, ok := t.(task.Actor)
		if !ok || json.Unmarshal(raw, t) != nil || !a.Action() {
			return false
		}
		r, ok := t.(task.Repeater)
		return !ok || !r.Repeatable()
	})
}

// sumUp makes the fingerprint of all that the result of an instance depends on. Its parts are kept apart, so that `explain` can say
// which differs. The id of the run salts it: a hash in a log must not give away a short secret to a table of hashes.
func (s *Session) sumUp(l *leaf, w *work) {
	summed := map[string]string{"kind": l.Task.Kind.Name, "params": s.hash(w.items)}
	if l.Task.When != nil {
		summed["when"] = s.hash(l.Task.When.Text())
	}
	w.summed, w.fingerprint = summed, s.hash(summed)
	w.parts = maps.Clone(summed)
	s.detail(w.parts, w.items)
}

// fingerprint adds what an instance reads of others.
func (s *Session) fingerprint(l *leaf, in sched.Instance, w *work) {
	data := s.dataOf(l, in)
	if len(data) == 0 {
		return
	}
	w.summed, w.parts = maps.Clone(w.summed), maps.Clone(w.parts)
	w.summed["data"] = s.hash(data)
	w.parts["data"], w.fingerprint = w.summed["data"], s.hash(w.summed)
}

// detail adds the parameters one by one, for `explain`; they are no part of the fingerprint. One that holds a secret is
// left out: alone, a short secret could be found by trying.
func (s *Session) detail(parts map[string]string, items []json.RawMessage) {
	if len(items) != 1 {
		return
	}
	var params map[string]json.RawMessage
	if json.Unmarshal(items[0], &params) != nil {
		return
	}
	for name, value := range params {
		if !s.holdsSecret(value) {
			parts["params."+name] = s.hash(value)
		}
	}
}

func (s *Session) hash(v any) string {
	b, err := json.Marshal(v) // sorts the keys of maps
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(s.Log.ID()+"\n"), b...))
	return hex.EncodeToString(sum[:8])
}

// dataOf are the fingerprints of the instances whose outputs the parameters read.
func (s *Session) dataOf(l *leaf, in sched.Instance) []string {
	var out []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range l.data {
		for _, h := range s.plan.Leaves[d.Task].Hosts {
			if d.Form == sched.SameHost && h != in.Host {
				continue // not waited for: what is known of it is a matter of chance
			}
			if o := s.results.get(sched.Instance{Task: d.Task, Host: h}); o != nil {
				out = append(out, s.plan.Leaves[d.Task].Task.Path+"@"+s.plan.Hosts[h].Name+":"+o.fingerprint)
			}
		}
	}
	sort.Strings(out)
	return out
}

// Outcome implements plan.Known.
func (s *Session) Outcome(leaf, host int) (plan.Outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.results.get(sched.Instance{Task: leaf, Host: host})
	if o == nil {
		return plan.Outcome{}, false
	}
	return plan.Outcome{Status: o.status, Changed: o.changed, Allowed: o.allowed, Outputs: o.outputs}, true
}

// Facts implements plan.Known.
func (s *Session) Facts(host int) map[string]any { return s.factsOf(host) }

// Memo implements plan.Keeper.
func (s *Session) Memo() *plan.Memo { return s.memo }

// RunID implements plan.Known.
func (s *Session) RunID() string { return s.Log.ID() }

// holdsSecret tells whether a secret that is known stands in a value.
func (s *Session) holdsSecret(raw json.RawMessage) bool {
	if !s.Mask.Knows() {
		return false
	}
	text := string(raw)
	return s.Mask.String(text) != text
}

// until evaluates the condition that ends the attempts; nil means it is met.
func (a *attempt) until(o *outcome) *sched.Result {
	r := a.leaf.Task.Retry
	if r == nil || r.Until == nil {
		return nil
	}
	result := map[string]any{"status": string(o.status), "changed": o.changed, "outputs": o.outputs}
	met, err := a.plan.Condition(r.Until, a.in.Host, a.Session, map[string]any{"result": result})
	if err != nil {
		return &sched.Result{Status: event.Failed, Err: err}
	}
	if !met {
		return &sched.Result{Status: event.Failed, Err: fmt.Errorf("not yet: `%s`", r.Until.Text()), Retryable: true}
	}
	return nil
}
