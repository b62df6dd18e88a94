package tasktest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/kflow/kflow/engine/task"
)

// recorder keeps what a test would have failed with.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Error(args ...any) { r.said = append(r.said, fmt.Sprint(args...)) }

// clumsy is a kind that makes every mistake its parameter asks for.
type clumsy struct {
	Mistake string   `json:"mistake"`
	Token   string   `json:"token" kf:"lazy"`
	Numbers []string `json:"numbers"`
	Nested  struct {
		Version string `json:"version"`
	} `json:"nested"`
}

func (c *clumsy) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	change := task.Change{Summary: "write /etc/x", Apply: func(ctx context.Context, h task.Host) error {
		if c.Mistake == "lazy" && c.Token != "t0ken" {
			return task.Failf("no token")
		}
		_, _ = h.Run(ctx, task.Cmd("count"))
		return h.WriteFile(ctx, "/etc/x", strings.NewReader(c.Nested.Version+strings.Join(c.Numbers, " ")+"\n"), task.Attr{})
	}}
	switch c.Mistake {
	case "unknown command":
		_, err := h.Run(ctx, task.Query("who-knows"))
		return nil, err
	case "false promise":
		_, err := h.Run(ctx, task.Query("count"))
		return nil, err
	case "writes while looking":
		return nil, h.WriteFile(ctx, "/etc/x", strings.NewReader(""), task.Attr{})
	case "tells secret":
		change.Diff = c.Numbers[0]
	case "lazy":
		if c.Token != "" && h.Now().IsZero() {
			return nil, nil
		}
	}
	o, err := h.Run(ctx, task.Query("counted"))
	if o.Code == 0 && err == nil {
		return nil, nil
	}
	return []task.Change{change}, err
}

func TestRunnerFindsMistakes(t *testing.T) {
	const host = "\n-- commands --\n$ count\n  sets n=${n}x\n? counted\n  if n!=${never} n!=\n? counted\n  code 1\n"
	kind := task.Kind{Name: "clumsy", New: func() task.Task { return new(clumsy) }}
	for name, c := range map[string]struct{ in, want string }{
		"fine":                 {"-- params.yaml --\nnested: {version: 3.10}\nnumbers: [1, 0x2]\n-- changes --\nwrite /etc/x\n-- ran --\ncount\n-- after/etc/x --\n3.101 0x2", ""},
		"lazy":                 {"-- params.yaml --\n{mistake: lazy, token: t0ken}\n-- changes --\nwrite /etc/x\n-- ran --\ncount\n-- after/etc/x --\n", ""},
		"unknown command":      {"-- params.yaml --\nmistake: unknown command", "the case does not know this command"},
		"false promise":        {"-- params.yaml --\nmistake: false promise", "the case ($) says that it may"},
		"writes while looking": {"-- params.yaml --\nmistake: writes while looking", "this host may only be read now"},
		"tells secret":         {"-- params.yaml --\nmistake: tells secret\nnumbers: [!secret hunter22]", "a secret is shown in diff"},
		"unforeseen file":      {"-- params.yaml --\n{}\n-- changes --\nwrite /etc/x\n-- ran --\ncount", `section "after/etc/x"`},
		"unforeseen command":   {"-- params.yaml --\n{}\n-- changes --\nwrite /etc/x\n-- after/etc/x --\n", `section "ran"`},
		"wrong parameter":      {"-- params.yaml --\n{mistaek: x}", "mistaek: no such key"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{TB: t}
			tc, h, err := parseCase(rec, txtar.Parse([]byte(c.in+host)))
			if err != nil {
				t.Fatal(err)
			}
			tc.compare(rec, name, tc.run(rec, kind, h))
			said := strings.Join(rec.said, "\n")
			if c.want == "" && said != "" || !strings.Contains(said, c.want) {
				t.Errorf("want %q, it said:\n%s", c.want, said)
			}
		})
	}
}

func TestCaseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"-- changes --\n":                                          "no section params.yaml",
		"-- params.yaml --\n-- befor/etc/x --\n":                   "unknown",
		"-- params.yaml --\n-- before/etc/x mod=1 --\n":            "unknown attribute",
		"-- params.yaml --\n-- facts.yaml --\ncpu: 2\n":            `unknown field "cpu"`,
		"-- params.yaml --\n-- commands --\n> out\n":               "want ? or $",
		"-- params.yaml --\n-- commands --\n$ a\n  set x=1\n":      `unknown word "set"`,
		"-- params.yaml --\n-- commands --\n$ a 'b\n":              "quotes are not closed",
		"-- params.yaml --\n-- commands --\n$ a\n  out none\n":     "no section text/none",
		"-- params.yaml --\n-- dial --\ntcp 1:2\n":                 "is not",
		"-- params.yaml --\n-- state --\nx\n":                      "is not key=value",
		"-- params.yaml --\n-- state --\n-- state --\n":            "is there twice",
		"-- params.yaml --\n-- http GET http://x statuss=200 --\n": "unknown attribute",
	} {
		if _, _, err := parseCase(t, txtar.Parse([]byte(in))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
