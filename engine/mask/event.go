package mask

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/kflow/kflow/engine/event"
)

// Event returns e with every secret replaced in every text it holds. What e points to is copied, not changed.
//
// What names something stays: Type, Status and First, runs, tasks, hosts and instances, kinds, positions, files, machines,
// fingerprints, conditions as they are written, and Info, which has no secrets to begin with. These are no texts that a secret
// comes into: they stand in the playbook and the inventory as they are. Where a secret is the same as one of them, to hide it there would only tell so,
// and a resume would not know what it has done.
func (m *Masker) Event(e event.Event) event.Event {
	if m.forms.Load() == nil {
		return e
	}
	return m.event(e)
}

func (m *Masker) event(e event.Event) event.Event {
	for _, text := range []*string{&e.Title, &e.Line, &e.What, &e.Summary, &e.Diff} {
		*text = m.String(*text)
	}
	e.Failure = m.failure(e.Failure)
	e.Outputs = m.JSON(e.Outputs)
	e.Roots = slices.Clone(e.Roots)
	for i, r := range e.Roots {
		e.Roots[i].Failure = m.failure(r.Failure)
	}
	return e
}

func (m *Masker) failure(f *event.Failure) *event.Failure {
	if f == nil {
		return nil
	}
	return &event.Failure{Summary: m.String(f.Summary), Step: m.String(f.Step), Output: m.String(f.Output),
		Hint: m.String(f.Hint), Class: f.Class}
}

// JSON masks the texts inside a JSON value, so that it stays JSON. A number that is a secret becomes a text. What is no
// JSON becomes a text.
func (m *Masker) JSON(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || m.forms.Load() == nil {
		return raw
	}
	if bytes.IndexByte(raw, '\\') < 0 && m.String(string(raw)) == string(raw) {
		return raw // without escapes its texts stand there as they are
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil || dec.More() {
		v = string(raw)
	}
	out, err := json.Marshal(m.value(v))
	if err != nil {
		return json.RawMessage(`null`)
	}
	return out
}

// value masks the texts, and the numbers that are secrets, in what was read from JSON.
func (m *Masker) value(v any) any {
	switch v := v.(type) {
	case string:
		return m.String(v)
	case json.Number:
		if masked := m.String(v.String()); masked != v.String() {
			return masked
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[m.String(k)] = m.value(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = m.value(x)
		}
		return out
	}
	return v
}
