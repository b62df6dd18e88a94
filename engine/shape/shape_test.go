package shape_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kflow/kflow/engine/shape"
)

func TestScalar(t *testing.T) {
	of := func(kind shape.Kind, format string) *shape.Type { return &shape.Type{Kind: kind, Format: format} }
	for _, c := range []struct {
		t    *shape.Type
		in   any
		want any
		says string
	}{
		{of(shape.Int, ""), "07", 7, ""},
		{of(shape.Int, ""), 3.0, 3, ""},
		{of(shape.Int, ""), 3.5, nil, "want a whole number, not 3.5"},
		{of(shape.Int, ""), 1e300, nil, "want a whole number"},
		{of(shape.Int, ""), true, nil, "want a whole number, not true"},
		{of(shape.Float, ""), "0.5", 0.5, ""},
		{of(shape.Float, ""), "Inf", nil, `want a number, not "Inf"`},
		{of(shape.Bool, ""), "true", true, ""},
		{of(shape.Bool, ""), "yes", nil, `want true or false, not "yes"`},
		{of(shape.String, ""), 1.5, "1.5", ""},
		{of(shape.String, ""), []any{}, nil, "not a list"},
		{&shape.Type{Kind: shape.String, Enum: []string{"a", "b"}}, "c", nil, `"c" is not one of a, b`},
		{of(shape.String, "path"), "/a b", "/a b", ""},
		{of(shape.String, "path"), "a", nil, "not an absolute path"},
		{of(shape.String, "mode"), "0644", "0644", ""},
		{of(shape.String, "mode"), "0888", nil, "octal"},
		{of(shape.String, "duration"), "1h30m", "1h30m", ""},
		{of(shape.String, "duration"), "-1s", nil, "negative"},
		{of(shape.String, "duration"), "5", nil, "not a duration"},
		{of(shape.String, "version"), "v1.29.6-1.1", "v1.29.6-1.1", ""},
		{of(shape.String, "version"), "latest", nil, "not a version"},
		{of(shape.String, "ip"), "fd00::1", "fd00::1", ""},
		{of(shape.String, "ip"), "10.0.0.256", nil, "not an IP address"},
		{of(shape.String, "cidr"), "10.0.0.0/16", "10.0.0.0/16", ""},
		{of(shape.String, "cidr"), "10.0.0.1/16", nil, "host bits set: the range is 10.0.0.0/16"},
		{of(shape.String, "url"), "https://a.b/c", "https://a.b/c", ""},
		{of(shape.String, "url"), "a.b/c", nil, "not a URL"},
		{of(shape.String, "size"), "10Gi", "10Gi", ""},
		{of(shape.String, "size"), "10 GB", nil, "not a size"},
	} {
		got, err := shape.Scalar(c.t, c.in)
		switch {
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%v as %s: error %v, want %q", c.in, c.t.Describe(), err, c.says)
		case c.says == "" && (err != nil || got != c.want):
			t.Errorf("%v as %s: %v, %v; want %v", c.in, c.t.Describe(), got, err, c.want)
		}
	}
}

type part struct {
	Name  string   `json:"name" kf:"required,short" doc:"Its name."`
	Count int      `json:"count" kf:"min=1"`
	Tags  []string `json:"tags"`
}

type whole struct {
	Path  string          `json:"path" kf:"required,format=path" doc:"Where."`
	Mode  string          `json:"mode" kf:"format=mode" default:"0644"`
	Parts []part          `json:"parts"`
	Extra map[string]part `json:"extra"`
}

func TestResolve(t *testing.T) {
	in := map[string]any{
		"path":  "/x",
		"parts": []any{"a", map[string]any{"name": "b", "count": "2", "tags": nil}},
		"extra": map[string]any{"k": "c"},
	}
	got, problems := shape.Resolve(shape.Of(whole{}), in, nil)
	want := map[string]any{
		"path": "/x", "mode": "0644",
		"parts": []any{map[string]any{"name": "a"}, map[string]any{"name": "b", "count": 2}},
		"extra": map[string]any{"k": map[string]any{"name": "c"}},
	}
	if d := cmp.Diff(want, got); d != "" || len(problems) > 0 {
		t.Errorf("%v %s", problems, d)
	}
}

// TestResolveSaysAll: every mistake is reported, each with the path to it.
func TestResolveSaysAll(t *testing.T) {
	_, problems := shape.Resolve(shape.Of(whole{}), map[string]any{
		"mode":  "9",
		"parts": []any{map[string]any{"count": 0, "nmae": "x"}, 5},
		"extra": []any{},
	}, nil)
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	slices.Sort(got)
	want := []string{
		"`path` is missing: Where.",
		"extra: want a map, not a list",
		`mode: "9" is not an octal file mode such as "0644"`,
		"parts[0].count: must be at least 1",
		"parts[0].nmae: no such key",
		"parts[0]: `name` is missing: Its name.",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSecrets(t *testing.T) {
	v := map[string]any{"a": []any{"long enough", 123456, true, nil}}
	texts := shape.Texts(v, nil)
	if d := cmp.Diff([]string{"long enough", "123456"}, texts); d != "" {
		t.Error(d)
	}
	if err := shape.CheckSecret(v); err != nil {
		t.Error(err)
	}
	for _, short := range []any{"12345", 12, []any{"long enough", "äöüäö"}} {
		if err := shape.CheckSecret(short); !errors.Is(err, shape.ErrShortSecret) {
			t.Errorf("%v: %v", short, err)
		}
	}
}
