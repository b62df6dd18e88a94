package expr_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
)

// wrong is an expression with its mistake underlined, and what is said about it.
type wrong struct{ text, under, says string }

// check compares the diagnostics of one wrong expression with what is expected.
func (w wrong) check(t *testing.T, diags diag.List) {
	t.Helper()
	all := diags.Sorted()
	if len(all) == 0 {
		t.Errorf("%s\n  no error; want %q", w.text, w.says)
		return
	}
	d := all[0]
	under := strings.Repeat(" ", max(d.Pos.Col-1, 0)) + strings.Repeat("^", d.Len)
	said := d.Summary
	if d.Hint != "" {
		said += " | " + d.Hint
	}
	if under != strings.TrimRight(w.under, " ") || said != w.says || d.Pos.File != "p.yaml" || d.Pos.Line != 1 {
		t.Errorf("%s\n%s\n  %s\nwant\n%s\n  %s", w.text, under, said, w.under, w.says)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, w := range []wrong{
		{``, ``, "an expression is missing here"},
		{`a = b`, `  ^`, "`=` is not expected here | `==` compares"},
		{`inputs.a +`, `          ^`, "the expression ends too early"},
		{`x is defined`, `  ^^`, "`is` is not expected here | `x == nil` asks whether there is a value, `x ?? default` gives one"},
		{`if a then b`, `   ^`, "`a` is not expected here"},
		{`"abc`, `    ^`, "a text without its closing quote"},
		{`a @ b`, `  ^`, "\"@\" has no meaning in an expression"},
		{`a ?? b == c`, `       ^^`, "`??` cannot stand beside another operator | put it in parentheses: (a ?? b) == c"},
		{`len(x, `, `      ^`, "the expression ends too early | `(` is never closed"},
		{`a | upper`, `         ^`, "the expression ends too early | a function is called with parentheses: | upper()"},
		{`{{ a }}`, ` ^`, "`{` begins a map here, and this is no key of one | a map is written {name: value}; `{{ }}` of other tools is left out"},
		{`contains(a, "b")`, `^^^^^^^^`, "`contains` is not expected here | it stands between two values: a contains b"},
		{`a, b`, ` ^`, "`,` is not expected here | lists are put together with `+`; a list itself is [a, b]"},
		{`all:b`, `   ^`, "`:` is not expected here | `a - b` leaves out what is in b; a choice is `condition ? a : b`"},
		{`.name == "a"`, `^`, "`.` is not expected here | `.name` and `#` are the entry of a list in where(), map(), any(), all() and the like"},
		{`tasks["a" + inputs.b].status`, `^^^^^`, "`tasks` needs the id of a task, as it is written in the playbook: tasks.ID | " +
			"which tasks an expression reads must be known before anything runs, so the id cannot be computed"},
		{`keys(tasks)`, `     ^^^^^`, "`tasks` needs the id of a task, as it is written in the playbook: tasks.ID | " +
			"which tasks an expression reads must be known before anything runs, so the id cannot be computed"},
	} {
		_, diags := expr.Parse(w.text, expr.At(diag.Pos{File: "p.yaml", Line: 1, Col: 1}, w.text))
		w.check(t, diags)
	}
}

func TestCheckErrors(t *testing.T) {
	for _, w := range []wrong{
		// Names.
		{`host.fact.os`, `     ^^^^`, "unknown name `fact` | did you mean `facts`?"},
		{`host.facts.os.famly == "rhel"`, `              ^^^^^`, "unknown name `famly` | did you mean `family`?"},
		{`inputs.vpi`, `       ^^^`, "unknown name `vpi` | did you mean `vip`?"},
		{`vip`, `^^^`, "unknown name `vip` | did you mean `inputs.vip`?"},
		{`facts.cpus`, `^^^^^`, "unknown name `facts` | did you mean `host.facts`?"},
		{`workers`, `^^^^^^^`, "unknown name `workers` | did you mean `groups.workers`?"},
		{`init.outputs`, `^^^^`, "unknown name `init` | did you mean `tasks.init`?"},
		{`groups.worker`, `       ^^^^^^`, "unknown name `worker` | did you mean `workers`?"},
		{`groups["wrkers"]`, `       ^^^^^^^^`, "unknown name `wrkers` | did you mean `workers`?"},
		{`host.vars.zoen`, `          ^^^^`, "unknown name `zoen` | did you mean `zone`?"},
		{`tasks.inti.status`, `      ^^^^`, "unknown name `inti` | did you mean `init`?"},
		{`tasks.init.output`, `           ^^^^^^`, "unknown name `output` | did you mean `outputs`?"},
		{`tasks.init.runtime.outputs`, `           ^^^^^^^`, "unknown name `runtime` | known here: status, changed, outputs, all; of a part, what its `outputs` name can be read, not the tasks inside"},
		{`tasks.init.outputs.tokn`, `                   ^^^^`, "unknown name `tokn` | did you mean `token`?"},
		{`tasks.reboot.outputs.x ?? 1`, `             ^^^^^^^`, "`outputs` is not known here: reboot gives none"},
		{`tasks.inti.outputs ?? 1`, `      ^^^^`, "unknown name `inti` | did you mean `init`?"},
		{`map(hosts, .nmae)`, `            ^^^^`, "unknown name `nmae` | did you mean `name`?"},
		{`groups.workers.name`, `               ^^^^`, "this is a list, it has no `name` | x[0] is its first entry, map(x, .name) the `name` of all"},
		{`inputs.vip.x`, `           ^`, "this is text (ip), it has no `x`"},
		{`controller`, `^^^^^^^^^^`, "`controller` is not known here: it is a place, for `at`"},
		// True or false.
		{`inputs.port and true`, `^^^^^^^^^^^`, "want true or false, this is a whole number | compare it: inputs.port > 0"},
		{`not inputs.vip`, `    ^^^^^^^^^^`, "want true or false, this is text (ip) | compare it: inputs.vip == \"...\", or inputs.vip != \"\""},
		{`inputs.proxy ? 1 : 2`, `^^^^^^^^^^^^`, "want true or false, this is text | compare it: inputs.proxy == \"...\", or inputs.proxy != \"\""},
		{`host.groups or true`, `^^^^^^^^^^^`, "want true or false, this is a list of text | `len(host.groups) > 0` asks whether there is anything in it"},
		{`where(hosts, .name)`, `             ^^^^^`, "want true or false, this is text | compare it: .name == \"...\", or .name != \"\""},
		// Operators.
		{`inputs.port == "6443"`, `^^^^^^^^^^^^^^^^^^^^^`, "a whole number and text are never equal | a number is written without quotes: 6443"},
		{`host.facts.os == "debian"`, `^^^^^^^^^^^^^^^^^^^^^^^^^`, "a map and text are never equal | it has family, version, major"},
		{`host.facts.os.family == rhel`, `                        ^^^^`, "unknown name `rhel` | a text is quoted: \"rhel\"; known here: groups, host, hosts, inputs, item, result, run, tasks"},
		{`tasks.init.changed == "true"`, `^^^^^^^^^^^^^^^^^^^^^^^^^^^^`, "true or false and text are never equal | what is true or false needs no comparison: x, or not x"},
		{`yes`, `^^^`, "unknown name `yes` | write `true`"},
		{`rack`, `^^^^`, "unknown name `rack` | known here: groups, host, hosts, inputs, item, result, run, tasks; a variable of the inventory is `host.vars.rack`"},
		{`upper`, `^^^^^`, "unknown name `upper` | a function is called with its arguments: upper(text: text): text"},
		{`hosts["w1"]`, `      ^^^^`, "this is a list, it has no `w1` | one of them by its name: find(hosts, .name == \"w1\")"},
		{`inputs.driver == "cgroup"`, `^^^^^^^^^^^^^^^^^^^^^^^^^`, `this is never "cgroup"; it is one of systemd, cgroupfs`},
		{`tasks.init.status == "succeeded"`, `^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^`, `this is never "succeeded"; it is one of ok, changed, skipped, failed`},
		{`tasks.init.status in ["ok", "done"]`, `^^^^^^^^^^^^^^^^^`, `this is never "done"; it is one of ok, changed, skipped, failed`},
		{`inputs.version >= "1.24"`, `^^^^^^^^^^^^^^^^^^^^^^^^`, "`>=` compares texts letter by letter, and these are versions | " +
			`version_at_least(v, "1.24") and version_compare(a, b) know that 1.9 is before 1.24`},
		{`inputs.port < "7"`, `^^^^^^^^^^^^^^^^^`, "`<` compares two numbers or two texts, not a whole number and text | int(x) makes a number of a text"},
		{`"port " + inputs.port`, `^^^^^^^^^^^^^^^^^^^^^`, "`+` adds two numbers, two texts or two lists, not text and a whole number | string(x) makes a text of a number"},
		{`hosts - inputs.vip`, `^^^^^^^^^^^^^^^^^^`, "`-` wants two numbers or two lists, not a list of hosts and text (ip)"},
		{`inputs.vip * 2`, `^^^^^^^^^^`, "`*` wants numbers, this is text (ip)"},
		{`"a" in inputs.vip`, `       ^^^^^^^^^^`, "`in` wants a list or a map, this is text (ip) | a text is searched with `contains`: text contains \"part\""},
		{`"w1" in groups.workers`, `^^^^`, "text is never in a list of hosts | x in map(groups.workers, .name) compares names"},
		{`host.name == host`, `^^^^^^^^^^^^^^^^^`, "text and a host are never equal | compare names: host.name"},
		{`inputs.mirrors contains "x"`, `^^^^^^^^^^^^^^`, "`contains` wants texts, this is a list of text | `x in list` asks whether a list holds x"},
		{`host.name matches "("`, `                  ^^^`, "error parsing regexp: missing closing ): `(`"},
		{`inputs.mirrors["a"]`, `               ^^^`, "this is a list, it has no `a` | x[0] is its first entry, map(x, .a) the `a` of all"},
		{`inputs.mirrors[inputs.vip]`, `                      ^^^`, "the entries of a list have numbers, this is text (ip)"},
		{`1; 2`, `^^^^`, "one expression is wanted, these are several | `;` stands behind `let x = …` only"},
		{`let host = 1; host`, `    ^^^^`, "`host` has a meaning already, a variable needs another name"},
		// Functions.
		{`now()`, `^^^`, "there is no function `now` | expressions know no clock, so that a plan and a run see the same"},
		{`reduce(hosts, 1)`, `^^^^^^`, "there is no function `reduce` | left out, because it can use up the memory"},
		{`uniq(hosts)`, `^^^^`, "there is no function `uniq` | did you mean `unique`?"},
		{`jion(inputs.mirrors)`, `^^^^`, "there is no function `jion` | did you mean `join`?"},
		{`upper(inputs.port)`, `      ^^^^^^^^^^^`, "`text` of upper: want text, this is a whole number | upper(text: text): text"},
		{`upper()`, `^^^^^`, "`upper` has other arguments | upper(text: text): text"},
		{`join("a", "b", "c")`, `^^^^^^^^^^^^^^^^^^^`, "`join` has other arguments | join(list: list, separator?: text): text"},
		{`inputs.vip.upper()`, `^^^^^^^^^^^^^^^^`, "only functions can be called, and values have none | functions stand in front: upper(text: text): text"},
		{`host.name.startsWith("a")`, `^^^^^^^^^^^^^^^^^^^^`, "only functions can be called, and values have none | an operator does that: x startsWith \"a\""},
		{`$env.inputs`, `^^^^`, "unknown name `$env` | known here: groups, host, hosts, inputs, item, result, run, tasks"},
		{`$get(inputs, 1)`, `^^^^`, "there is no function `$get`"},
		{`reachable(hosts)`, `^^^^^^^^^`, "`reachable` is for `at`"},
	} {
		e, diags := expr.Parse(w.text, expr.At(diag.Pos{File: "p.yaml", Line: 1, Col: 1}, w.text))
		if e != nil {
			diags = e.Check(scope(), nil)
		}
		w.check(t, diags)
	}
}

// What is wanted is said at the place of the expression.
func TestWant(t *testing.T) {
	boolean, text, number := typ(shape.Bool), typ(shape.String), typ(shape.Int)
	mode := &shape.Type{Kind: shape.String, Enum: []string{"a", "b"}}
	short := &shape.Type{Kind: shape.Object, Fields: []shape.Field{{Name: "name", Type: text, Short: true}}}
	oneOK := &shape.Type{Kind: shape.List, Elem: text, OneOK: true}
	for _, c := range []struct {
		text string
		want *shape.Type
		says string
	}{
		{`inputs.ha`, boolean, ""},
		{`inputs.extra`, boolean, ""},
		{`inputs.vip`, boolean, "want true or false, this is text (ip)"},
		{`hosts`, boolean, "want true or false, this is a list of hosts"},
		{`inputs.port`, text, ""},
		{`hosts`, text, "want text, this is a list of hosts"},
		{`inputs.ratio`, number, "want a whole number, this is a number"},
		{`inputs.port`, typ(shape.Float), ""},
		{`inputs.vip`, listType(shape.Any), "want a list, this is text (ip)"},
		{`inputs.vip`, oneOK, ""},
		{`inputs.mirrors`, oneOK, ""},
		{`inputs.mirrors`, listType(shape.Int), "want a whole number, this is text"},
		{`inputs.ha ? "a" : "c"`, mode, `"c" is not one of a, b`},
		{`inputs.ha ? "a" : "b"`, mode, ""},
		{`"rel/path"`, format("path"), `"rel/path" is not an absolute path`},
		{`inputs.vip`, short, ""},
		{`nil`, text, ""},
		{`tasks.init.outputs`, shape.Of(joinInfo{}), ""},
		{`tasks.init.outputs`, shape.Of(osInfo{}), "it has `endpoint`, which is not known here (family, version, major)"},
		{`inputs.labels`, &shape.Type{Kind: shape.Map, Elem: typ(shape.Bool)}, "want true or false, this is text"},
	} {
		e := parse(t, c.text)
		diags := e.Check(scope(), c.want)
		got := ""
		if all := diags.Sorted(); len(all) > 0 {
			got = all[0].Summary
		}
		if got != c.says {
			t.Errorf("%s as %v: %q, want %q", c.text, c.want.Describe(), got, c.says)
		}
	}
}

// A condition of unknown type is looked at when it is computed.
func TestConditionAtRunTime(t *testing.T) {
	e := parse(t, `inputs.extra.text`)
	if diags := e.Check(scope(), typ(shape.Bool)); diags.HasErrors() {
		t.Fatal(diags.Err())
	}
	_, err := e.Eval(env())
	if err == nil || err.Error() != "`inputs.extra.text`: want true or false, this is text" {
		t.Errorf("Eval: %v", err)
	}
}

// All mistakes are found in one pass.
func TestSeveralErrors(t *testing.T) {
	e := parse(t, `host.fact == inputs.vpi and grups.x`)
	diags := e.Check(scope(), nil)
	if n := diags.Len(); n != 3 {
		t.Errorf("%d errors, want 3:\n%v", n, diags.Err())
	}
}

func TestPlacesInScope(t *testing.T) {
	s := scope()
	s.Static, s.Item, s.Result, s.NoHost = true, nil, nil, true
	for text, want := range map[string]string{
		`map(hosts, .facts.cpus)`: "`facts` is not known here: facts are known once a host is reached; here only the inventory is",
		`tasks.init.status`:       "`tasks` is not known here: no task has run when this is computed",
		`run.id`:                  "`run` is not known here: there is no run yet when this is computed",
		`item`:                    "`item` is not known here: the task has no `for_each`",
		`result.code`:             "`result` is not known here: it is what an attempt gave, for `until`",
		`host.name`:               "`host` is not known here: this is computed once, not for each host",
		`map(hosts, .vars.zone)`:  "",
	} {
		diags := parse(t, text).Check(s, nil)
		got := ""
		if diags.Len() > 0 {
			got = diags.Sorted()[0].Summary
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestType(t *testing.T) {
	for text, want := range map[string]string{
		`"a"`:                         "text",
		`inputs.ha ? "a" : "b"`:       "text",
		`["a", "b"]`:                  "list of text",
		`hosts[0].groups`:             "list of text",
		`map(hosts, .facts.cpus)`:     "list of whole number",
		`inputs.labels.x ?? 3`:        "any value",
		`inputs.vip`:                  "ip",
		`tasks.init.outputs.nodes[0]`: "text",
		`1 + 2.5`:                     "number",
		`entries(inputs.labels)`:      "list of map",
		`values(inputs.labels)`:       "list of text",
	} {
		if got := checked(t, text, scope()).Type().Describe(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestSecret(t *testing.T) {
	for text, want := range map[string]bool{
		`inputs.vip`:                               false,
		`inputs.password`:                          true,
		`sha256("x" + inputs.password)`:            true,
		`inputs["pass" + "word"]`:                  true,
		`to_json(inputs)`:                          true,
		`tasks.init.outputs.endpoint`:              false,
		`tasks.init.outputs.token`:                 true,
		`tasks.init.outputs`:                       true,
		`tasks.init.status`:                        false,
		`tasks.token.outputs.value ?? ""`:          true,
		`map(tasks.init.all, .outputs.token)`:      true,
		`map(tasks.init.all, .host.name)`:          false,
		`host.vars.ipmi`:                           true,
		`host.vars.zone`:                           false,
		`host.vars`:                                true,
		`host`:                                     true,
		`host.vars[inputs.vip]`:                    true,
		`len(hosts)`:                               false,
		`map(groups.workers, .name)`:               false,
		`where(hosts, .vars.ipmi == "x")[0].name`:  true,
		`where(hosts, .vars.zone == "x")[0].name`:  false,
		`index_of(groups.workers, host)`:           false,
		`host in groups.workers`:                   false,
		`to_yaml(groups.workers)`:                  true,
		`inputs.ha ? host : "none"`:                true,
		`[host][0].name`:                           true,
		`let p = inputs.password; len(p)`:          true,
		`map(reverse(unique(hosts)), .address)[0]`: false,
	} {
		if got := checked(t, text, scope()).Secret(); got != want {
			t.Errorf("%s: secret %v, want %v", text, got, want)
		}
	}
}

// A message about a secret shows names and no values.
func TestSecretInErrors(t *testing.T) {
	e := checked(t, `int(inputs.password)`, scope())
	_, err := e.Eval(env())
	if err == nil || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("Eval: %v", err)
	}
}

// A Locator maps characters of a text to places of a file: here lines of a block scalar, indented by four.
func TestPositionsInBlockScalar(t *testing.T) {
	text := "first\nä ${{ host.name }} ${{\n  inputs.vpi }}\n"
	block := func(offset int) diag.Pos {
		before := string([]rune(text)[:offset])
		line := strings.Count(before, "\n")
		return diag.Pos{File: "p.yaml", Line: 10 + line, Col: 5 + len([]rune(before[strings.LastIndex(before, "\n")+1:]))}
	}
	tpl, diags := expr.ParseTemplate(text, block)
	diags.Extend(tpl.Check(scope()))
	if err := diags.Err(); err == nil || err.Error() != "p.yaml:12:14: unknown name `vpi` (did you mean `vip`?)" {
		t.Errorf("error %v", err)
	}
	if r := tpl.Refs()[0]; r.Pos.String() != "p.yaml:11:11" || r.Len != 9 {
		t.Errorf("%+v", r)
	}
}

// The size of an expression is bounded, and what is allowed is read quickly.
func TestSizes(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("1+", 900) + "1":                             "",
		strings.Repeat("1+", 3000) + "1":                            "this expression is too large",
		strings.Repeat("x", 17<<10):                                 "this expression is longer than 16 KiB",
		strings.Repeat("(", 8000) + "1" + strings.Repeat(")", 8000): "",
	} {
		e, diags := expr.Parse(text, at(text))
		if e != nil {
			diags = e.Check(scope(), nil)
		}
		got := ""
		if diags.Len() > 0 {
			got = diags.Sorted()[0].Summary
		}
		if got != want {
			t.Errorf("%.20s..: %q, want %q", text, got, want)
		}
	}
}

// An Env without a name that the expression mentions is a mistake of the caller, and no nil.
func TestMissingRoot(t *testing.T) {
	_, err := checked(t, `hosts == nil`, scope()).Eval(expr.Env{})
	if err == nil || !strings.Contains(err.Error(), "`hosts` has no value here") {
		t.Errorf("Eval: %v", err)
	}
}
