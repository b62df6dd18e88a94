package syntax

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/diag"
)

// Fields reads a mapping whose keys are known. Every mistake goes into the list, with the place of the key or value;
// reading goes on. Its methods return the zero value for what is absent or wrong.
type Fields struct {
	Node *Node
	what string
	list *diag.List
	hint func(key string) string // see Hints
}

// Open reads n as a mapping of that sort ("task", "input `x`"). A node that is absent reads as empty; one that is no
// mapping is reported, and reads as empty.
func Open(n *Node, what string, list *diag.List) *Fields {
	if !n.Null() && n.Kind != Mapping {
		d := list.Errorf(n.Pos(), "%s must be a map, not %s", what, n.Describe())
		d.Len = n.Width()
		n = nil
	}
	return &Fields{Node: n, what: what, list: list}
}

// Hints sets what says of an unknown key where it belongs; "" when it does not know.
func (f *Fields) Hints(hint func(key string) string) *Fields {
	f.hint = hint
	return f
}

// Known reports keys that are none of names.
func (f *Fields) Known(names ...string) *Fields {
	if f.Node == nil {
		return f
	}
	for _, e := range f.Node.Entries {
		if !slices.Contains(names, e.Key.Text) {
			f.unknown(e.Key, names)
		}
	}
	return f
}

func (f *Fields) unknown(key *Node, names []string) {
	d := f.list.Errorf(key.Pos(), "%s has no key `%s`", f.what, shorten(key.Text))
	d.Len, d.Hidden = key.Width(), strings.Contains(key.Text, "password") // its line holds one
	if f.hint != nil {
		d.Hint = f.hint(key.Text)
	}
	if d.Hint == "" {
		d.Hint = diag.DidYouMean(key.Text, names)
	}
}

// Get is the value of a key, nil when it is absent or null.
func (f *Fields) Get(key string) *Node {
	if v := f.Node.Get(key); !v.Null() {
		return v
	}
	return nil
}

// Has tells whether the key is written, null or not.
func (f *Fields) Has(key string) bool {
	_, ok := f.Node.Entry(key)
	return ok
}

// Pos is the place of a key, or of the mapping when there is no such key.
func (f *Fields) Pos(key string) diag.Pos {
	if e, ok := f.Node.Entry(key); ok {
		return e.Key.Pos()
	}
	if f.Node == nil {
		return diag.Pos{}
	}
	return f.Node.Pos()
}

// Required is Get for a key that must be there.
func (f *Fields) Required(key string) *Node {
	v := f.Get(key)
	if v == nil && f.Node != nil {
		f.list.Errorf(f.Pos(key), "%s needs `%s`", f.what, key)
	}
	return v
}

// Text is the text of a key.
func (f *Fields) Text(key string) string { return Text(f.Get(key), "`"+key+"`", f.list) }

// Int is the whole number of a key; given tells whether there is one.
func (f *Fields) Int(key string) (n int, given bool) { return Int(f.Get(key), "`"+key+"`", f.list) }

// Bool is the truth of a key.
func (f *Fields) Bool(key string) (value, given bool) {
	return Bool(f.Get(key), "`"+key+"`", f.list)
}

// Texts are the texts of a key that is a list, or one text.
func (f *Fields) Texts(key string) []*Node { return Texts(f.Get(key), "`"+key+"`", f.list) }

// Duration is the duration of a key.
func (f *Fields) Duration(key string) time.Duration {
	v := f.Get(key)
	if v == nil {
		return 0
	}
	d, err := time.ParseDuration(Text(v, "`"+key+"`", f.list))
	if v.Kind == Scalar && (err != nil || d < 0) {
		x := f.list.Errorf(v.Pos(), "`%s` must be a duration such as 30s or 5m, not %s", key, v.Describe())
		x.Len = v.Width()
		if _, err := strconv.Atoi(v.Text); err == nil {
			x.Hintf("with its unit: `%[1]ss`, `%[1]sm` or `%[1]sh`", v.Text)
		}
		return 0
	}
	return d
}

// Text is the text of a single value.
func Text(n *Node, what string, list *diag.List) string {
	if n.Null() {
		return ""
	}
	if n.Kind != Scalar {
		list.Errorf(n.Pos(), "%s must be text, not %s", what, n.Describe())
		return ""
	}
	return n.Text
}

// Int is a whole number.
func Int(n *Node, what string, list *diag.List) (int, bool) {
	if n.Null() {
		return 0, false
	}
	i, err := strconv.Atoi(n.Text)
	if n.Kind != Scalar || err != nil {
		list.Errorf(n.Pos(), "%s must be a whole number, not %s", what, n.Describe()).Len = n.Width()
		return 0, false
	}
	return i, true
}

// Bool is true or false.
func Bool(n *Node, what string, list *diag.List) (value, given bool) {
	if n.Null() {
		return false, false
	}
	if n.Kind != Scalar || n.Text != "true" && n.Text != "false" {
		d := list.Errorf(n.Pos(), "%s must be true or false, not %s", what, n.Describe())
		d.Len, d.Hint = n.Width(), diag.TrueOrFalse(n.Text)
		return false, false
	}
	return n.Text == "true", true
}

// Texts are the entries of a list of texts; a single text is a list of one.
func Texts(n *Node, what string, list *diag.List) []*Node {
	if n.Null() {
		return nil
	}
	if n.Kind == Scalar {
		return []*Node{n}
	}
	if n.Kind == Mapping {
		list.Errorf(n.Pos(), "%s must be a list, not a map", what)
		return nil
	}
	var texts []*Node
	for _, item := range n.Items {
		if item.Kind != Scalar || item.Null() {
			list.Errorf(item.Pos(), "an entry of %s must be text, not %s", what, item.Describe())
			continue
		}
		texts = append(texts, item)
	}
	return texts
}

// Merge returns base with over laid on it: mappings are merged key by key, a null removes a key, anything else replaces
// what was there. Neither is changed; nodes keep the place they were written at.
func Merge(base, over *Node) *Node {
	if base == nil || base.Kind != Mapping || over.Kind != Mapping {
		return over
	}
	out := &Node{Kind: Mapping, File: base.File, Line: base.Line, Col: base.Col, Flow: base.Flow, start: base.start}
	for _, e := range base.Entries {
		o, given := over.Entry(e.Key.Text)
		switch {
		case !given:
			out.Entries = append(out.Entries, e)
		case !o.Value.Null():
			out.Entries = append(out.Entries, Entry{Key: o.Key, Value: Merge(e.Value, o.Value)})
		}
	}
	for _, o := range over.Entries {
		if _, had := base.Entry(o.Key.Text); !had && !o.Value.Null() {
			out.Entries = append(out.Entries, o)
		}
	}
	return out
}

// With returns a mapping like n with some keys set or, where the value is nil, left out.
func (n *Node) With(entries ...Entry) *Node {
	out := &Node{Kind: Mapping, File: n.File, Line: n.Line, Col: n.Col, Flow: n.Flow, start: n.start}
	for _, e := range n.Entries {
		i := slices.IndexFunc(entries, func(x Entry) bool { return x.Key.Text == e.Key.Text })
		if i < 0 {
			out.Entries = append(out.Entries, e)
		}
	}
	for _, e := range entries {
		if e.Value != nil {
			out.Entries = append(out.Entries, e)
		}
	}
	return out
}

// Entries are the members of the mapping, in order.
func (f *Fields) Entries() []Entry {
	if f.Node == nil {
		return nil
	}
	return f.Node.Entries
}

// NewMapping makes a mapping that stands where at does, with one member of that name.
func NewMapping(at *Node, key string, value *Node) *Node {
	k := &Node{File: at.File, Line: at.Line, Col: at.Col, Text: key, start: at.start}
	return &Node{Kind: Mapping, File: at.File, Line: at.Line, Col: at.Col, start: at.start, Entries: []Entry{{k, value}}}
}
