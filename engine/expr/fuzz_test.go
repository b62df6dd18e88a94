package expr_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
)

func seeds() []string {
	return []string{`inputs.vip`, `where(hosts, .vars.zone == "a")[0]?.name ?? 1`, `tasks.init.all | map(.host.name)`, `let x = 1; [x, 3]`,
		`{a: 1}["a"] matches "b" ? not true : -1`, "a ${{ inputs.vip }} $${{ }}", "${{ for h in hosts }}\n${{ h.name }}\n${{ end }}\n",
		"${{ if 1 }}\n${{ else }}\n${{ end }}", "${{", "}}", "${{ \"", "sort_by(hosts, #.name)", "a.b[c.d[1:2]]?.e", "\xff${{ \xff }}", "::x()", "#"}
}

// Whatever is read, checked and computed, nothing panics, and what cannot be computed says so.
func FuzzExpr(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "..") {
			t.Skip("large ranges are bounded, but slow")
		}
		e, diags := expr.Parse(text, at(text))
		if e == nil {
			if !diags.HasErrors() {
				t.Error("neither an expression nor an error")
			}
			return
		}
		s := scope()
		s.Place = true
		for _, s.BareGroups = range []bool{false, true} {
			c := e.Clone()
			if diags := c.Check(s, nil); !diags.HasErrors() {
				_, err := c.Eval(env())
				if err != nil && strings.Contains(err.Error(), "runtime error") {
					t.Errorf("%q: %v", text, err)
				}
			}
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "..") {
			t.Skip("large ranges are bounded, but slow")
		}
		for _, read := range []func(string) *expr.Template{
			func(s string) *expr.Template { tpl, _ := expr.ParseTemplate(s, at(s)); return tpl },
			func(s string) *expr.Template { tpl, _ := expr.ParseDocument(s, at(s)); return tpl },
		} {
			tpl := read(text)
			if diags := tpl.Check(scope()); !diags.HasErrors() {
				_, _ = tpl.Eval(env())
			}
			if s, ok := read(expr.Escape(text)).Literal(); !ok || s != text {
				t.Errorf("Escape(%q) reads as %q", text, s)
			}
		}
	})
}

// One compiled expression computes for many hosts at once.
func TestConcurrentEval(t *testing.T) {
	e := checked(t, `host.facts.os.family == "debian" and len(where(hosts, (.vars.zone ?? "") == "a")) == 2 and unique(inputs.mirrors)[0] == "m1"`, scope())
	text := "${{ for h in hosts }}\n${{ h.name }}\n${{ end }}\n"
	tpl, _ := expr.ParseDocument(text, at(text))
	if diags := tpl.Check(scope()); diags.HasErrors() {
		t.Fatal(diags.Err())
	}
	shared := env()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if ok, err := e.EvalBool(shared); !ok || err != nil {
					t.Error(ok, err)
				}
				if s, err := tpl.Eval(shared); s != "cp1\nw1\nw2\nw3\n" || err != nil {
					t.Error(s, err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkEval(b *testing.B) {
	for name, text := range map[string]string{
		"condition": `host.facts.os.family == "debian"`,
		"and":       `host.facts.cpus >= 2 and inputs.ha`,
		"list":      `where(hosts, .vars.zone == "a")`,
	} {
		e, _ := expr.Parse(text, nil)
		s := scope()
		if diags := e.Check(s, nil); diags.HasErrors() {
			b.Fatal(diags.Err())
		}
		v := env()
		v["hosts"] = v["hosts"].([]any)[:3]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Eval(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseCheck(b *testing.B) {
	s := scope()
	for b.Loop() {
		e, _ := expr.Parse(`host.facts.os.family == "debian" and inputs.ha`, nil)
		if diags := e.Check(s, &shape.Type{Kind: shape.Bool}); diags.HasErrors() {
			b.Fatal(diags.Err())
		}
	}
}
