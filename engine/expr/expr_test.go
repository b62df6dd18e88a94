package expr_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
)

// facts stands for task.Facts, which this package must not import.
type facts struct {
	CPUs     int    `json:"cpus" doc:"processors"`
	Hostname string `json:"hostname" doc:"name"`
	OS       osInfo `json:"os" doc:"system"`
}

type osInfo struct {
	Family  string `json:"family" doc:"debian or rhel"`
	Version string `json:"version" doc:"version"`
	Major   int    `json:"major" doc:"major"`
}

type joinInfo struct {
	Endpoint string   `json:"endpoint" doc:"address"`
	Token    string   `json:"token" kf:"secret" doc:"token"`
	Nodes    []string `json:"nodes,omitempty" doc:"nodes"`
	Ready    bool     `json:"ready,omitempty" doc:"ready"`
}

func typ(k shape.Kind) *shape.Type { return &shape.Type{Kind: k} }

func listType(k shape.Kind) *shape.Type { return &shape.Type{Kind: shape.List, Elem: typ(k)} }

func format(f string) *shape.Type { return &shape.Type{Kind: shape.String, Format: f} }

// scope is a place in a playbook with everything in it.
func scope() *expr.Scope {
	return &expr.Scope{
		Inputs: map[string]expr.Var{
			"vip":      {Type: format("ip")},
			"version":  {Type: format("version")},
			"port":     {Type: typ(shape.Int)},
			"ratio":    {Type: typ(shape.Float)},
			"ha":       {Type: typ(shape.Bool)},
			"proxy":    {Type: typ(shape.String)},
			"driver":   {Type: &shape.Type{Kind: shape.String, Enum: []string{"systemd", "cgroupfs"}}},
			"subnet":   {Type: format("cidr")},
			"labels":   {Type: &shape.Type{Kind: shape.Map, Elem: typ(shape.String)}},
			"mirrors":  {Type: listType(shape.String)},
			"extra":    {Type: typ(shape.Any)},
			"password": {Type: typ(shape.String), Secret: true},
		},
		Facts:      shape.Of(facts{}),
		Vars:       map[string]*shape.Type{"zone": nil, "disks": listType(shape.String), "ipmi": nil},
		SecretVars: map[string]bool{"ipmi": true},
		Groups:     []string{"workers", "control_plane"},
		Tasks: map[string]expr.TaskVar{
			"init":   {Outputs: shape.Of(joinInfo{})},
			"token":  {Outputs: &shape.Type{Kind: shape.Object, Fields: []shape.Field{{Name: "value", Type: typ(shape.String)}}}, Secret: true},
			"reboot": {NoOutputsWhy: "reboot gives none"},
		},
		Statuses: []string{"ok", "changed", "skipped", "failed"},
		Item:     typ(shape.String),
		Result:   &shape.Type{Kind: shape.Object, Fields: []shape.Field{{Name: "code", Type: typ(shape.Int)}}},
	}
}

func host(name, zone string) map[string]any {
	h := map[string]any{"name": name, "address": name + ".example", "node_ip": "10.0.0." + name[len(name)-1:],
		"groups": []any{"all"}, "vars": map[string]any{"disks": []any{"sda", "sdb"}},
		"facts": map[string]any{"cpus": 4, "hostname": name, "os": map[string]any{"family": "debian", "version": "12", "major": 12}}}
	if zone != "" {
		h["vars"].(map[string]any)["zone"] = zone
	}
	return h
}

// env holds the values of scope.
func env() expr.Env {
	cp, w1, w2, w3 := host("cp1", "a"), host("w1", "a"), host("w2", "b"), host("w3", "")
	hosts := []any{cp, w1, w2, w3}
	return expr.Env{
		"inputs": map[string]any{"vip": "10.0.0.100", "version": "1.29.6", "port": 6443, "ratio": 0.5, "ha": true, "driver": "systemd",
			"subnet": "10.244.0.0/16", "labels": map[string]any{"a": "1"}, "mirrors": []any{"m1", "m2"}, "password": "hunter22",
			"extra": map[string]any{"deep": map[string]any{"list": []any{1, 2, 3}}, "text": "t"}},
		"host": w1, "hosts": hosts,
		"groups": map[string]any{"all": hosts, "control_plane": []any{cp}, "workers": []any{w1, w2, w3}},
		"tasks": map[string]any{
			"init": map[string]any{"status": "ok", "changed": true, "outputs": map[string]any{"endpoint": "10.0.0.1:6443", "token": "abcdef.0123"},
				"all": []any{map[string]any{"host": cp, "outputs": map[string]any{"endpoint": "e1"}}}},
			"token":  map[string]any{"status": "failed", "changed": false, "outputs": expr.Absent{Why: "task token failed on w1"}},
			"reboot": map[string]any{"status": "ok", "changed": true},
		},
		"item": "x", "run": map[string]any{"id": "r1", "name": "site"}, "result": map[string]any{"code": 0},
	}
}

func parse(t *testing.T, text string) *expr.Expr {
	t.Helper()
	e, diags := expr.Parse(text, expr.At(diag.Pos{File: "p.yaml", Line: 1, Col: 1}, text))
	if err := diags.Err(); err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return e
}

func checked(t *testing.T, text string, s *expr.Scope) *expr.Expr {
	t.Helper()
	e := parse(t, text)
	diags := e.Check(s, nil)
	if err := diags.Err(); err != nil {
		t.Fatalf("Check(%q): %v", text, err)
	}
	return e
}

func TestValues(t *testing.T) {
	list := func(v ...any) []any { return append([]any{}, v...) }
	for text, want := range map[string]any{
		// Names.
		`inputs.vip`:                     "10.0.0.100",
		`inputs["vip"]`:                  "10.0.0.100",
		`host.facts.os.family`:           "debian",
		`host.vars.zone`:                 "a",
		`host.vars["zone"]`:              "a",
		`host.groups[0]`:                 "all",
		`groups.workers[0].name`:         "w1",
		`groups.workers[-1].name`:        "w3",
		`groups["workers"][1].vars.zone`: "b",
		`hosts[inputs.port - 6443].name`: "cp1",
		`tasks.init.status`:              "ok",
		`tasks.init.changed`:             true,
		`tasks.init.outputs.endpoint`:    "10.0.0.1:6443",
		`tasks.init.all[0].host.name`:    "cp1",
		`item + run.id + run.name`:       "xr1site",
		`result.code == 0`:               true,
		`inputs.extra.deep.list[1]`:      2,
		`inputs.labels.a`:                "1",
		// What is declared and absent.
		`inputs.proxy`:                  nil,
		`inputs.proxy ?? "none"`:        "none",
		`inputs.proxy == nil`:           true,
		`tasks.init.outputs.ready`:      false,
		`tasks.init.outputs.nodes`:      list(),
		`len(tasks.init.outputs.nodes)`: 0,
		// Left of ??.
		`hosts[3].vars.zone ?? "none"`:                           "none",
		`inputs.labels.b ?? inputs.labels.a`:                     "1",
		`inputs.extra.nope.deeper ?? 7`:                          7,
		`inputs.extra?.nope?.deeper`:                             nil,
		`inputs.extra?.nope.deeper`:                              nil,
		`(tasks.token.outputs.value ?? "no")`:                    "no",
		`tasks.token.outputs ?? "no"`:                            "no",
		`host.vars.unheard_of ?? 1`:                              1,
		`inputs.mirrors[9] ?? "m"`:                               "m",
		`inputs.extra.nope[1:] ?? "m"`:                           "m",
		`(inputs.ha ? inputs.labels.x : inputs.labels.y) ?? "z"`: "z",
		`inputs.labels["b" + ""] ?? "z"`:                         "z",
		// Operators.
		`1 + 2 * 3`:                          7,
		`7 / 2`:                              3.5,
		`7 % 2 == 1`:                         true,
		`-inputs.port`:                       -6443,
		`inputs.port + 0.5`:                  6443.5,
		`"a" + "b"`:                          "ab",
		`inputs.ha and not (1 > 2)`:          true,
		`1 < 2 < 3`:                          true,
		`"w1" in map(groups.workers, .name)`: true,
		`"a" in inputs.labels`:               true,
		`"x" not in ["a", "b"]`:              true,
		`2 in [1, 2]`:                        true,
		`host.name in ["w1", "w2"]`:          true,
		`host.name matches "^w[0-9]+$"`:      true,
		`host.address contains "example"`:    true,
		`inputs.ha ? "yes" : "no"`:           "yes",
		`1..3`:                               list(1, 2, 3),
		`["a"] + ["b"]`:                      list("a", "b"),
		`[1, 2, 3] - [2]`:                    list(1, 3),
		`inputs.mirrors[1:]`:                 list("m2"),
		`inputs.mirrors[5:]`:                 list(),
		`"żółw"[1:3]`:                        "ół",
		`{"a": 1, b: [2]}`:                   map[string]any{"a": 1, "b": list(2)},
		`let n = len(hosts); n * 2`:          8,
		`host in groups.workers`:             true,
		`hosts[0] in groups.workers`:         false,
		// Functions with a condition.
		`where(hosts, .vars.zone ?? "" == "")`[:0] + `map(where(hosts, (.vars.zone ?? "") == "a"), .name)`: list("cp1", "w1"),
		`hosts | where(.name startsWith "w") | map(.name)`:                                                 list("w1", "w2", "w3"),
		`count(hosts, .facts.cpus >= 4)`:                                                                   4,
		`none(hosts, .node_ip == inputs.vip)`:                                                              true,
		`len(filter(hosts, .facts.hostname == host.facts.hostname)) <= 1`:                                  true,
		`find(hosts, .name == "w2").address`:                                                               "w2.example",
		`map(sort_by(hosts, .node_ip), .name)[0]`:                                                          "cp1",
		`map(hosts, #index)`:                                                                               list(0, 1, 2, 3),
		`sum(map(hosts, .facts.cpus))`:                                                                     16,
		`sum(hosts, .facts.cpus)`:                                                                          16,
		`all(hosts, any(.vars.disks, # == "sda"))`:                                                         true,
		`index_of(groups.workers, host)`:                                                                   0,
		`index_of(inputs.mirrors, "m2")`:                                                                   1,
		`reverse(map(groups.workers, .name))`:                                                              list("w3", "w2", "w1"),
		`unique(["a", "b", "a"])`:                                                                          list("a", "b"),
		`where(tasks.init.all, .outputs.endpoint == "e1")[0].host.name`:                                    "cp1",
	} {
		e := checked(t, text, scope())
		got, err := e.Eval(env())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %#v, %v; want %#v", text, got, err, want)
		}
	}
}

func TestEvalErrors(t *testing.T) {
	for text, want := range map[string]string{
		`hosts[3].vars.zone`:                                      "`hosts[3].vars` has no `zone`",
		`map(hosts, .vars.zone)`:                                  "`#.vars` has no `zone` (in `.vars.zone`)",
		`inputs.labels.b`:                                         "`inputs.labels` has no `b`",
		`inputs.extra.nope.deep`:                                  "`inputs.extra` has no `nope`",
		`inputs.extra?.text.deep`:                                 "`inputs.extra.text` is text, it has no `deep`",
		`inputs.mirrors[7]`:                                       "`inputs.mirrors` has 2 entries, so there is no [7]",
		`inputs.mirrors[inputs.port]`:                             "has 2 entries, so there is no [6443]",
		`tasks.token.outputs.value`:                               "`tasks.token.outputs` cannot be read: task token failed on w1",
		`1 % (inputs.port - 6443)`:                                "division by zero",
		`inputs.extra.text + 1`:                                   "`+` adds two numbers, two texts or two lists, not text and a whole number",
		`inputs.extra.text and true`:                              "want true or false, this is text",
		`upper(inputs.extra.deep)`:                                "upper: want text, this is a map",
		`where(inputs.extra, .x)`:                                 "wants a list, this is a map: entries(map) makes a list of it",
		`len(inputs.proxy)`:                                       "invalid argument for len (type nil)",
		`int("x" + "y")`:                                          `int: "xy" is no whole number`,
		`join(map(1..5000, join(map(1..100, "0123456789"))), "")`: "the result is too large",
		`replace(replace(join(map(1..2000, "aaaaaaaaaa")), "a", "aaaaaaaaaa"), "a", "aaaaaaaaaaaaaaa")`: "the result is too large",
		`1..99999999`: "the result is too large",
	} {
		e := checked(t, text, scope())
		v, err := e.Eval(env())
		var ee *expr.Error
		if err == nil || !errors.As(err, &ee) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "`"+text[:min(len(text), 20)]) {
			t.Errorf("%s = %v, %v; want error with %q", text, v, err, want)
		}
	}
}
