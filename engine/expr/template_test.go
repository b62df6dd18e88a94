package expr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
)

func at(text string) expr.Locator {
	return expr.At(diag.Pos{File: "t.conf", Line: 1, Col: 1}, text)
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"plain":                             "plain",
		"$${{ x }}":                         "${{ x }}",
		"$$${{ x }}":                        "$${{ x }}",
		"a $ b ${x} {{ y }} }}":             "a $ b ${x} {{ y }} }}",
		"${{ inputs.vip }}":                 "10.0.0.100",
		"${{inputs.vip}}:${{inputs.port}}":  "10.0.0.100:6443",
		`x${{ "}}" + '}}' }}y`:              "x}}}}y",
		"${{ {a: {b: 1}}[\"a\"][\"b\"]}}!":  "1!",
		"${{ 1 /* }} */ + 1 }}":             "2",
		"${{ inputs.ratio }} ${{ 1 > 0 }}":  "0.5 true",
		"${{\n  inputs.vip\n}}\n":           "10.0.0.100\n",
		"${{ `raw }}` }}":                   "raw }}",
		"żółw ${{ \"ż}}\" }} ${{ item }} ż": "żółw ż}} x ż",
		"${{ inputs.proxy ?? \"\" }}.":      ".",
		"${{ end_of }}":                     "",
	} {
		tpl, diags := expr.ParseTemplate(text, at(text))
		diags.Extend(tpl.Check(scope()))
		if text == "${{ end_of }}" {
			if !diags.HasErrors() {
				t.Errorf("%s: no error", text)
			}
			continue
		}
		if err := diags.Err(); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, err := tpl.Eval(env()); err != nil || got != want {
			t.Errorf("%q = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestSingleAndLiteral(t *testing.T) {
	for text, want := range map[string]string{
		"${{ inputs.port }}": "single", " ${{ inputs.port }}": "text", "a": "literal", "$${{ a }}": "literal", "": "literal",
		"${{ 1 }}${{ 2 }}": "text",
	} {
		tpl, _ := expr.ParseTemplate(text, at(text))
		got := "text"
		if _, ok := tpl.Single(); ok {
			got = "single"
		}
		if _, ok := tpl.Literal(); ok {
			got = "literal"
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestDocument(t *testing.T) {
	for text, want := range map[string]string{
		"a\n${{ for h in groups.workers }}\nserver ${{ h.name }} ${{ h.node_ip }}\n${{ end }}\nb\n":                "a\nserver w1 10.0.0.1\nserver w2 10.0.0.2\nserver w3 10.0.0.3\nb\n",
		"${{ if inputs.ha }}\nyes\n${{ else }}\nno\n${{ end }}\n":                                                  "yes\n",
		"${{ if not inputs.ha }}\nyes\n${{ else }}\nno\n${{ end }}\n":                                              "no\n",
		"${{ if not inputs.ha }}\nyes\n${{ end }}\nz":                                                              "z",
		"  ${{ for x in [1, 2] }}  \r\n  - ${{ x }}\r\n\t${{ end }}\r\nz\r\n":                                      "  - 1\r\n  - 2\r\nz\r\n",
		"${{ for a in [1, 2] }}\n${{ for b in [3, 4] }}\n${{ a * b }}\n${{ end }}\n${{ end }}":                     "3\n4\n6\n8\n",
		"${{ for e in entries({b: 1, a: 2}) }}\n${{ e.key }}=${{ e.value }}\n${{ end }}\n":                         "a=2\nb=1\n",
		"${{ for h in hosts }}\n${{ if (h.vars.zone ?? \"\") == \"a\" }}\n${{ h.name }}\n${{ end }}\n${{ end }}\n": "cp1\nw1\n",
		"${{ for x in [] }}\nnever\n${{ end }}\n":                                                                  "",
		"before\n\n${{ if true }}\n\n${{ end }}\nafter":                                                            "before\n\n\nafter",
		"$${{ for x }}\n": "${{ for x }}\n",
		"${{ for w in groups.workers }}\n${{ index_of(groups.workers, w) + 1 }} ${{ len(map(hosts, .name)) }}\n${{ end }}": "1 4\n2 4\n3 4\n",
		"${{ \"end\" }}\n": "end\n",
	} {
		tpl, diags := expr.ParseDocument(text, at(text))
		diags.Extend(tpl.Check(scope()))
		if err := diags.Err(); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, err := tpl.Eval(env()); err != nil || got != want {
			t.Errorf("%q\n = %q, %v\nwant %q", text, got, err, want)
		}
	}
}

// Each message has the line and column of the mistake in the file.
func TestTemplateErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a\n b ${{ inputs.vpi }}":                "t.conf:2:15: unknown name `vpi` (did you mean `vip`?)",
		"ż ${{ 1 +\n  inputs.vpi }}":             "t.conf:2:10: unknown name `vpi` (did you mean `vip`?)",
		"a ${{ b":                                "t.conf:1:3: `${{` without its `}}` (`$${{` is the text `${{`)",
		"a ${{ \"b }}":                           "t.conf:1:12: a text without its closing quote",
		"${{ }}":                                 "t.conf:1:4: an expression is missing here",
		"x ${{ hosts }}":                         "t.conf:1:7: a list of hosts cannot stand in text (join(), to_json() and to_yaml() make text)",
		"x\n${{ end }}\n":                        "t.conf:2:1: `end` stands alone, and closes a `for` or an `if`",
		"x\n${{ else }}\n":                       "t.conf:2:1: `else` stands alone, between `if` and `end`",
		"${{ for h in hosts }}\n${{ endfor }}\n": "t.conf:2:1: there is no `endfor` (`${{ end }}` closes a `for` and an `if`)",
		"${{ if true }}\n${{ elif false }}\n${{ endif }}\n": "t.conf:2:1: there is no `elif` (after `else`, another `if` stands on the next line, with an `end` of its own)\n" +
			"t.conf:3:1: there is no `endif` (`${{ end }}` closes a `for` and an `if`)",
		"${{ if true }}\n${{ else if false }}\n${{ end }}\n":                   "t.conf:2:1: `else` stands alone, between `if` and `end` (after `else`, another `if`",
		"${{ range hosts }}\n${{ .name }}\n${{ end }}\n":                       "t.conf:1:1: there is no `range` (a loop is written `for NAME in LIST`)",
		"x ${{ for h in hosts }} y\n":                                          "t.conf:1:3: `for` must stand on a line of its own",
		"x ${{ end }} y\n":                                                     "t.conf:1:3: `end` must stand on a line of its own",
		"x ${{ if true }}\n${{ end }}":                                         "t.conf:1:3: `if` must stand on a line of its own",
		"${{ for h in hosts }}\nx\n":                                           "t.conf:1:1: this is never closed (a line `${{ end }}` closes it)",
		"${{ for h hosts }}\n${{ end }}\n":                                     "t.conf:1:1: a loop is written `for NAME in LIST`",
		"${{ for host in hosts }}\n${{ end }}\n":                               "t.conf:1:1: `host` cannot be the name of a loop variable: it has a meaning in expressions",
		"${{ for H in hosts }}\n${{ end }}\n":                                  "t.conf:1:1: `H` cannot be the name of a loop variable: names are lower-case letters, digits and _",
		"${{ for h in inputs.vip }}\n${{ end }}\n":                             "t.conf:1:14: want a list, this is text (ip)",
		"${{ if inputs.vip }}\n${{ end }}\n":                                   "t.conf:1:8: want true or false, this is text (ip)",
		"${{ for h in hosts }}\n${{ h.nmae }}\n${{ end }}":                     "t.conf:2:7: unknown name `nmae` (did you mean `name`?)",
		"${{ for h in hosts }}\n${{ end }}\n${{ h.name }}":                     "t.conf:3:5: unknown name `h`",
		"${{ for h in hosts }}\n${{ for h in hosts }}\n${{ end }}\n${{ end }}": "t.conf:2:1: `h` cannot be the name of a loop variable: a loop around it uses `h`",
		"${{ for }}\n${{ 1 + }}\n${{ end }}":                                   "t.conf:1:1: a loop is written `for NAME in LIST`\nt.conf:2:8: the expression ends too early",
	} {
		tpl, diags := expr.ParseDocument(text, at(text))
		diags.Extend(tpl.Check(scope()))
		got := ""
		if err := diags.Err(); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q\n   %s\nwant %s", text, got, want)
		}
		if strings.Count(got, "\n") > strings.Count(want, "\n") && !strings.Contains(text, ".name }}") {
			t.Errorf("%q: one mistake is said more than once: %s", text, got)
		}
	}
}

func TestDirectiveOutsideOfDocument(t *testing.T) {
	text := "${{ for h in hosts }}"
	_, diags := expr.ParseTemplate(text, at(text))
	if err := diags.Err(); err == nil || !strings.Contains(err.Error(), "`for` is for templates and the content of files") {
		t.Errorf("error %v", err)
	}
}

func TestTemplateEvalErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a ${{ inputs.proxy }}":                                 "`inputs.proxy`: it is nil; `?? \"\"` behind it gives a default",
		"a ${{ inputs.extra }}":                                 "`inputs.extra`: a map cannot stand in text: join(), to_json() and to_yaml() make text",
		"${{ for h in hosts }}\n${{ h.vars.zone }}\n${{ end }}": "`h.vars.zone`: `h.vars` has no `zone`",
	} {
		tpl, diags := expr.ParseDocument(text, at(text))
		diags.Extend(tpl.Check(scope()))
		if err := diags.Err(); err != nil {
			t.Fatal(err)
		}
		_, err := tpl.Eval(env())
		var ee *expr.Error
		if !errors.As(err, &ee) || err.Error() != want || !ee.Pos.Known() {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A document grows to 1 MiB and no further.
func TestDocumentIsBounded(t *testing.T) {
	text := "${{ for a in 1..1000 }}\n${{ for b in 1..1000 }}\n${{ \"0123456789\" }}\n${{ end }}\n${{ end }}\n"
	tpl, diags := expr.ParseDocument(text, at(text))
	diags.Extend(tpl.Check(scope()))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := tpl.Eval(env()); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("Eval: %v", err)
	}
}

// A loop over a secret, and a condition on one, make the document secret; variables of loops are no Refs.
func TestDocumentRefsAndSecret(t *testing.T) {
	text := "${{ for d in [inputs.password] }}\n${{ d }} ${{ inputs.vip }}\n${{ end }}\n"
	tpl, diags := expr.ParseDocument(text, at(text))
	diags.Extend(tpl.Check(scope()))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range tpl.Refs() {
		got = append(got, r.Root+"."+strings.Join(r.Path, "."))
	}
	if want := "inputs.password inputs.vip"; strings.Join(got, " ") != want {
		t.Errorf("Refs %v, want %s", got, want)
	}
	if !tpl.Secret() || !tpl.Exprs()[1].Secret() || tpl.Exprs()[2].Secret() {
		t.Error("secrets are not followed through the loop")
	}
}

func TestEscape(t *testing.T) {
	for _, s := range []string{"${{ x }}", "$${{", "a", "$", "${{${{", "$$$${{ }}"} {
		tpl, diags := expr.ParseTemplate(expr.Escape(s), at(s))
		if got, ok := tpl.Literal(); !ok || got != s || diags.Len() > 0 {
			t.Errorf("Escape(%q) reads as %q, %v", s, got, diags.Err())
		}
	}
}
