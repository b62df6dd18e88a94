package converge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/job"
)

// Hidden is what stands in the place of a secret.
const Hidden = "***"

// minSecret is the length below which a text is not masked: it would tear holes into everything else. The engine
// refuses secrets that short.
const minSecret = 4

// Mask replaces secrets in texts, also where they stand quoted or encoded: as JSON or URL text, and as base64, alone or
// in the middle of something longer. A nil Mask replaces nothing.
type Mask struct{ r *strings.Replacer }

// NewMask returns a Mask of secrets.
func NewMask(secrets []string) *Mask {
	var forms []string
	for _, s := range secrets {
		forms = append(forms, formsOf(s)...)
	}
	if len(forms) == 0 {
		return nil
	}
	slices.Sort(forms)
	forms = slices.Compact(forms)
	slices.SortStableFunc(forms, func(a, b string) int { return len(b) - len(a) }) // the longest first
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range forms {
		pairs = append(pairs, f, Hidden)
	}
	return &Mask{strings.NewReplacer(pairs...)}
}

// Text returns s with the secrets replaced.
func (m *Mask) Text(s string) string {
	if m == nil || len(s) < minSecret {
		return s
	}
	return m.r.Replace(s)
}

// formsOf are the ways a secret may be written.
func formsOf(s string) []string {
	if len(s) < minSecret {
		return nil
	}
	forms := []string{s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s))}
	if q, err := json.Marshal(s); err == nil {
		forms = append(forms, strings.Trim(string(q), `"`))
	}
	for shift := range 3 {
		forms = append(forms, inside(base64.RawStdEncoding, s, shift), inside(base64.RawURLEncoding, s, shift))
	}
	if trimmed := strings.TrimSpace(s); trimmed != s {
		forms = append(forms, formsOf(trimmed)...)
	}
	forms = append(forms, linesOf(s)...)
	return slices.DeleteFunc(forms, func(f string) bool { return len(f) < minSecret })
}

// inside is the part of the base64 of some text that depends on s alone, when s begins shift bytes (modulo 3) into it.
func inside(enc *base64.Encoding, s string, shift int) string {
	coded := enc.EncodeToString(append(make([]byte, shift), s...))
	from := (8*shift + 5) / 6
	to := 8 * (shift + len(s)) / 6
	if to-from < 6 {
		return ""
	}
	return coded[from:to]
}

// linesOf are the lines of a secret of several lines (a key): programs print line by line.
func linesOf(s string) []string {
	lines := strings.Split(s, "\n")
	if len(lines) == 1 {
		return nil
	}
	return slices.DeleteFunc(lines, func(l string) bool { return len(l) < 16 || strings.HasPrefix(l, "-----") })
}

func maskChange(m *Mask, c job.Change) job.Change {
	c.Summary, c.Diff = m.Text(c.Summary), m.Text(c.Diff)
	return c
}

// maskOutcome masks all texts of an outcome. Outputs of kinds whose outputs are secret by declaration stay as they are:
// the engine keeps them in memory alone.
func maskOutcome(m *Mask, o *job.Outcome, secretOutputs bool) {
	if m == nil {
		return
	}
	for i, c := range o.Changes {
		o.Changes[i] = maskChange(m, c)
	}
	o.NotYet = m.Text(o.NotYet)
	if f := o.Failure; f != nil {
		f.Summary, f.Output, f.Hint = m.Text(f.Summary), m.Text(f.Output), m.Text(f.Hint)
		f.Step, f.NotYet = m.Text(f.Step), m.Text(f.NotYet)
	}
	if secretOutputs {
		return
	}
	for i, raw := range o.Outputs {
		o.Outputs[i] = maskJSON(m, raw)
	}
}

func maskJSON(m *Mask, raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || m.Text(string(raw)) == string(raw) {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	out, err := json.Marshal(maskValue(m, v))
	if err != nil {
		return nil
	}
	return out
}

func maskValue(m *Mask, v any) any {
	switch v := v.(type) {
	case string:
		return m.Text(v)
	case []any:
		for i := range v {
			v[i] = maskValue(m, v[i])
		}
	case map[string]any:
		masked := make(map[string]any, len(v))
		for k, x := range v {
			masked[m.Text(k)] = maskValue(m, x)
		}
		return masked
	}
	return v
}
