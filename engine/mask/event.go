package mask

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/kflow/kflow/engine/event"
)

// Event returns e with every secret replaced in every text it holds. What e points to is copied, not changed. Type,
// Status and First are words of the engine and stay.
func (m *Masker) Event(e event.Event) event.Event {
	if m.forms.Load() == nil {
		return e
	}
	return m.event(e)
}

func (m *Masker) event(e event.Event) event.Event {
	for _, text := range []*string{&e.Run, &e.Instance, &e.Task, &e.Title, &e.Kind, &e.Host, &e.At, &e.Pos, &e.Line,
		&e.What, &e.Summary, &e.Diff, &e.When, &e.Fingerprint, &e.Playbook, &e.Name, &e.Inventory} {
		*text = m.String(*text)
	}
	e.Failure = m.failure(e.Failure)
	e.BlockedBy = m.list(e.BlockedBy)
	e.Parts = m.texts(e.Parts)
	e.Outputs = m.JSON(e.Outputs)
	if e.Machine != nil {
		e.Machine = &event.Machine{ID: m.String(e.Machine.ID), ProductUUID: m.String(e.Machine.ProductUUID),
			Address: m.String(e.Machine.Address), OS: m.String(e.Machine.OS), Boot: m.String(e.Machine.Boot)}
	}
	if e.Info != nil {
		e.Info, _ = m.Value(e.Info).(map[string]any)
	}
	e.Roots = slices.Clone(e.Roots)
	for i, r := range e.Roots {
		e.Roots[i].Instance, e.Roots[i].Pos, e.Roots[i].Failure = m.String(r.Instance), m.String(r.Pos), m.failure(r.Failure)
	}
	return e
}

func (m *Masker) failure(f *event.Failure) *event.Failure {
	if f == nil {
		return nil
	}
	return &event.Failure{Summary: m.String(f.Summary), Step: m.String(f.Step), Output: m.String(f.Output),
		Hint: m.String(f.Hint), Class: m.String(f.Class)}
}

func (m *Masker) list(in []string) []string {
	out := slices.Clone(in)
	for i, s := range out {
		out[i] = m.String(s)
	}
	return out
}

func (m *Masker) texts(in map[string]string) map[string]string {
	if in == nil {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[m.String(k)] = m.String(v)
	}
	return out
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
	out, err := json.Marshal(m.Value(v))
	if err != nil {
		return json.RawMessage(`null`)
	}
	return out
}

// Value masks the texts, and the numbers that are secrets, in a plain value: maps, lists, texts, numbers, true, false.
// A value of another type is masked as its JSON.
func (m *Masker) Value(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
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
			out[m.String(k)] = m.Value(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = m.Value(x)
		}
		return out
	}
	return m.other(v)
}

// other masks a value by way of JSON; one that holds no secret is returned as it is.
func (m *Masker) other(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return m.String("a value that can't be shown: " + err.Error())
	}
	if masked := m.JSON(raw); !bytes.Equal(masked, raw) {
		return masked
	}
	return v
}
