package expr_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kflow/kflow/engine/expr"
)

func TestFunctions(t *testing.T) {
	list := func(v ...any) []any { return append([]any{}, v...) }
	for text, want := range map[string]any{
		`len("żółw")`: 4, `len([1, 2])`: 2, `len({a: 1})`: 1,
		`first([1, 2])`: 1, `last([1, 2])`: 2, `first([])`: nil,
		`index_of(["a"], "b")`: -1,
		`sort([3, 1.5, 2])`:    list(1.5, 2, 3), `sort(["b", "a"])`: list("a", "b"),
		`map(sort_by([{n: 2, v: "x"}, {n: 1, v: "y"}, {n: 2, v: "z"}], .n), .v)`: list("y", "x", "z"),
		`unique([1, 1.0, "1", {a: 1}, {a: 1}, nil, nil])`:                        list(1, "1", map[string]any{"a": 1}, nil),
		`flatten([1, [2, [3, []]]])`:                                             list(1, 2, 3),
		`keys({b: 1, a: 2})`:                                                     list("a", "b"),
		`values({b: 1, a: 2})`:                                                   list(2, 1),
		`entries({b: 1, a: 2})[1].value`:                                         1,
		`merge({a: 1, b: 1}, {b: 2})`:                                            map[string]any{"a": 1, "b": 2},
		`find([1, 2], # > 5)`:                                                    nil,
		`count([true, false])`:                                                   1,
		`one([1, 2], # == 2)`:                                                    true,
		// Text.
		`string(1.50)`: "1.5", `string(true)`: "true", `upper("a") + lower("B")`: "Ab",
		`trim("  a ")`: "a", `trim("--a-", "-")`: "a", `trim_prefix("v1", "v")`: "1", `trim_suffix("a.yaml", ".yaml")`: "a",
		`split("a,b", ",")`: list("a", "b"), `lines("a\nb\r\n")`: list("a", "b"), `lines("")`: list(),
		`join(["a", 1, true], "-")`: "a-1-true", `join([])`: "",
		`replace("aXbX", "X", "-")`:                    "a-b-",
		`regex_replace("a1b22", "[0-9]+", "<$0>")`:     "a<1>b<22>",
		`regex_replace("k=v", "(\\w)=(\\w)", "$2=$1")`: "v=k",
		`indent("a\n\nb", 2)`:                          "a\n\n  b",
		// Numbers.
		`int("42")`: 42, `int(3.0)`: 3, `float("0.5")`: 0.5, `abs(-3)`: 3, `floor(2.7)`: 2.0, `ceil(2.1)`: 3.0, `round(2.5)`: 3.0,
		`min([3, 1.5])`: 1.5, `max(["a", "b"])`: "b",
		// Formats.
		`to_json({b: [1, "<x>"], a: nil})`:                         `{"a":null,"b":[1,"<x>"]}`,
		`to_json({a: 1}, 2)`:                                       "{\n  \"a\": 1\n}",
		`from_json('{"a": [1, 2.5, null, 12345678901234567890]}')`: map[string]any{"a": list(1, 2.5, nil, 12345678901234567890.0)},
		`to_yaml({b: [1, "yes", "0644"], a: {c: "x\ny"}})`:         "a:\n  c: |-\n    x\n    y\nb:\n  - 1\n  - \"yes\"\n  - \"0644\"",
		`b64("héy")`:                     "aMOpeQ==",
		`b64decode("aMOpeQ==\n")`:        "héy",
		`sha256("")`:                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		`version_compare("1.9", "1.24")`: -1, `version_compare("v1.24.0", "1.24")`: 0, `version_compare("1.30.0", "1.30.0-rc.1")`: 1,
		`version_compare("1.30.0-rc.10", "1.30.0-rc.9")`: 1, `version_compare("1.30.0-alpha.1", "1.30.0-beta")`: -1,
		`version_compare("1.29.6-1.1", "1.29.6")`: 1, `version_compare("1.0~rc1", "1.0")`: -1, `version_compare("1.0+k3s1", "1.0")`: 0,
		`version_compare("20240101000000000000000", "3")`: 1,
		`version_at_least(inputs.version, "1.24")`:        true, `version_at_least("v1.20.2", "1.24.0")`: false,
		`version_major("v1.29.6")`: 1, `version_minor("v1.29.6")`: 29, `version_patch("1.29")`: 0, `version_minor("1.05")`: 5, `version_minor("1.0")`: 0,
		// Networks.
		`cidr_contains(inputs.subnet, "10.244.3.4")`: true, `cidr_contains(inputs.subnet, "10.245.0.1")`: false,
		`cidr_contains("10.0.0.0/8", "10.244.0.0/16")`: true, `cidr_contains("10.244.0.0/16", "10.0.0.0/8")`: false,
		`cidr_contains("fd00::/8", "fd12::1")`: true, `cidr_contains("10.0.0.0/8", "fd12::1")`: false, `cidr_contains("10.0.0.0/8", "::ffff:10.1.1.1")`: true,
		`cidr_overlaps("10.0.0.0/8", "10.96.0.0/12")`: true, `cidr_overlaps("10.96.0.0/12", "10.244.0.0/16")`: false,
		`cidr_host("10.96.0.0/12", 10)`: "10.96.0.10", `cidr_host("10.0.0.0/24", -1)`: "10.0.0.255", `cidr_host("fd00::/64", 258)`: "fd00::102",
		`cidr_prefix("10.244.0.0/16")`: 16, `cidr_network("10.1.2.3/16")`: "10.1.0.0/16", `cidr_netmask("10.1.2.3/20")`: "255.255.240.0",
		`is_ipv6("::1")`: true, `is_ipv6("10.0.0.0/8")`: false,
		`host_port("::1", 80)`: "[::1]:80", `host_port(inputs.vip, inputs.port)`: "10.0.0.100:6443",
		// Files.
		`lookup_file("motd") + lookup_file("motd")`: "read motdread motd",
	} {
		e := checked(t, text, scope())
		v := env()
		v[expr.LookupKey] = expr.Lookup(func(p string) (string, error) { return "read " + p, nil })
		if got, err := e.Eval(v); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %#v, %v; want %#v", text, got, err, want)
		}
	}
}

func TestFunctionErrors(t *testing.T) {
	for text, want := range map[string]string{
		`sort([1, "a"])`:                        "sort: only texts and numbers have an order, not text and a whole number",
		`min([])`:                               "min: the list is empty",
		`int(1.5)`:                              "int: 1.5 is no whole number: round(), floor() and ceil() make one",
		`int(nil)`:                              "int: want a number or text, this is nil",
		`float("x")`:                            `float: "x" is no number`,
		`from_json("{")`:                        "from_json: the text is no JSON",
		`from_json("1 2")`:                      "from_json: the text is no JSON: something follows its end",
		`b64decode("%")`:                        "b64decode: the text is not in base64",
		`version_compare("latest", "1")`:        `version_compare: "latest" is no version such as 1.29.6`,
		`cidr_contains("10.0.0.1", "10.0.0.1")`: `cidr_contains: "10.0.0.1" is no address range such as 10.244.0.0/16`,
		`cidr_host("10.0.0.0/30", 4)`:           "cidr_host: 10.0.0.0/30 has 4 addresses, there is no number 4",
		`cidr_netmask("fd00::/8")`:              "cidr_netmask: fd00::/8 is no IPv4 range",
		`host_port("a", 0)`:                     "host_port: 0 is no port",
		`lookup_file("x")`:                      "lookup_file: files of the controller cannot be read here",
		`merge({a: 1}, inputs.extra.text)`:      "merge: want a map, this is text",
		`join([[1]])`:                           "join: entry 0: a list cannot stand in text: join(), to_json() and to_yaml() make text",
		`regex_replace("a", inputs.extra.text + "(", "")`: "regex_replace: error parsing regexp",
		`to_json(tasks.token)`:                            "task token failed on w1",
		`let a = [1, 2]; let b = [a, a, a, a, a, a, a, a]; let c = [b, b, b, b, b, b, b, b]; let d = [c, c, c, c, c, c, c, c];
			let e = [d, d, d, d, d, d, d, d]; let f = [e, e, e, e, e, e, e, e]; let g = [f, f, f, f, f, f, f, f]; to_json(g)`: "to_json: the result is too large",
	} {
		_, err := checked(t, text, scope()).Eval(env())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The table is documentation: each function is described, its signature reads as one.
func TestFunctionTable(t *testing.T) {
	signature := regexp.MustCompile(`^[a-z][a-z0-9_]*\(([a-z]+(\?|\.\.\.)?: [a-z ]+(, )?)*\): [a-z ]+$`)
	seen := map[string]bool{}
	for _, f := range expr.Functions() {
		if !signature.MatchString(f.Signature) || !strings.HasPrefix(f.Signature, f.Name+"(") || !strings.HasSuffix(f.Doc, ".") || f.Group == "" || seen[f.Name] {
			t.Errorf("function %+v", f)
		}
		seen[f.Name] = true
	}
	if !expr.Reserved("where") || !expr.Reserved("host") || expr.Reserved("workers") {
		t.Error("Reserved")
	}
}

func TestLookupIsAskedForConstantPaths(t *testing.T) {
	s := scope()
	s.LookupFile = func(path string) error { return errors.New("no file " + path) }
	diags := parse(t, `lookup_file("a") + lookup_file(inputs.vip)`).Check(s, nil)
	if err := diags.Err(); err == nil || err.Error() != "p.yaml:1:13: no file a" {
		t.Errorf("error %v", err)
	}
}

func TestCachedLookup(t *testing.T) {
	var reads atomic.Int32
	l := expr.CachedLookup(func(p string) (string, error) { reads.Add(1); return p, nil })
	for range 3 {
		if s, err := l("a"); s != "a" || err != nil {
			t.Error(s, err)
		}
	}
	if reads.Load() != 1 {
		t.Errorf("%d reads", reads.Load())
	}
}

// Values of Go that are not plain come out plain.
func TestResultsArePlain(t *testing.T) {
	type word string
	s := scope()
	v := env()
	v["item"] = map[string]any{"a": int64(3), "b": []string{"x"}, "c": uint8(1), "d": float32(0.5), "e": map[string]int{"f": 1}, "g": word("w")}
	s.Item = nil
	s.Vars = nil
	v["host"] = map[string]any{"vars": v["item"]}
	got, err := checked(t, `host.vars`, s).Eval(v)
	want := map[string]any{"a": 3, "b": []any{"x"}, "c": 1, "d": 0.5, "e": map[string]any{"f": 1}, "g": "w"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v", got, err)
	}
	if _, plain := v["item"].(map[string]any)["a"].(int64); !plain {
		t.Error("the environment was modified")
	}
}
