package playbook_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/playbook"
)

const inputsArchive = `
-- p.yaml --
kflow: v1
inputs:
  version: {type: version, default: 1.29.10}
  port: {type: int, min: 1, max: 65535, default: 8443}
  vip: {type: ip, description: the address}
  password: {type: string, secret: true}
  note: {type: string, default: null}
  names: {type: list, element: string, default: [], min: 0, max: 3}
  extra: {type: map, default: {}}
  mode: {type: string, enum: [a, b], default: a}
  hostish: {type: string, pattern: "[a-z]+", required: false}
  wait: {type: duration, default: 5m}
  enabled: {type: bool, default: false}
tasks: []
`

func inputs(t *testing.T) playbook.Inputs {
	t.Helper()
	return loaded(t, inputsArchive).Inputs
}

// ok takes the value of a call that must have no diagnostics.
func ok[T any](t *testing.T) func(v T, l diag.List) T {
	return func(v T, l diag.List) T {
		t.Helper()
		if l.Len() > 0 {
			t.Fatal(l.Sorted())
		}
		return v
	}
}

func TestMergePrecedence(t *testing.T) {
	in := inputs(t)
	given := ok[playbook.Given](t)
	file := given(playbook.VarsFile("vars.yaml", []byte("version: 1.30\nport: 1\npassword: from the file\nvip: 10.0.0.1\nextra: {a: 3.10}\n")))
	env := playbook.Environ([]string{"PATH=/bin", "KFLOW_INPUT_PORT=2", "KFLOW_INPUT_PASSWORD=from env"})
	set := given(playbook.Set("--set", []string{"port=3", "names=a, b", "enabled=true"}))
	setFile := given(playbook.SetFile("--set-file", []string{"password=/run/pw"}, func(p string) ([]byte, error) {
		if p != "/run/pw" {
			return nil, errors.New("no such file")
		}
		return []byte("from set-file\n"), nil
	}))
	v := ok[*playbook.Values](t)(in.Merge(file, env, set, setFile))
	want := map[string]any{
		"version": "1.30", "port": 3, "vip": "10.0.0.1", "password": "from set-file", "note": nil, "names": []any{"a", "b"},
		"extra": map[string]any{"a": "3.10"}, "mode": "a", "hostish": nil, "wait": "5m", "enabled": true,
	}
	if d := cmp.Diff(want, v.Inputs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"from set-file"}, v.Secrets); d != "" {
		t.Error(d)
	}
	if v.From["port"] != "--set" || v.From["vip"] != "vars.yaml" || v.From["wait"] != "default" {
		t.Errorf("%v", v.From)
	}
}

func TestMergeMistakes(t *testing.T) {
	in := inputs(t)
	file, fileDiags := playbook.VarsFile("vars.yaml", []byte("verison: 1\nport: 99999\nnames: [a, b, c, d]\nextra: x\nport: 2\n"))
	env := playbook.Environ([]string{"KFLOW_INPUT_PROT=2", "KFLOW_INPUT_WAIT=soon"})
	set, setDiags := playbook.Set("--set", []string{"password=short", "mode=c", "hostish=A1", "nothing", "enabled=yes", "extra={a: "})
	_, l := in.Merge(file, env, set)
	var all diag.List
	for _, x := range []diag.List{fileDiags, setDiags, l} {
		all.Extend(x)
	}
	var got []string
	for _, d := range all.Sorted() {
		got = append(got, d.Severity.String()+" "+d.Error())
	}
	want := []string{
		`error --set: "nothing" is not NAME=VALUE`,
		"error --set: input `password`: a secret must have at least 6 characters, else it could not be kept out of logs",
		"error --set: input `mode`: \"c\" is not one of a, b",
		"error --set: input `hostish`: \"A1\" does not match [a-z]+",
		"error --set: input `enabled`: want true or false, not \"yes\"",
		"error --set: input `extra`: want map of any value in YAML: this bracket is never closed",
		"warning KFLOW_INPUT_PROT: the playbook has no input `prot` (did you mean `port`?)",
		"error KFLOW_INPUT_WAIT: input `wait`: \"soon\" is not a duration such as \"30s\", \"5m\" or \"1h30m\"",
		"error p.yaml:5:3: input `vip` needs a value (give it with --set vip=…, in a --vars file, or as KFLOW_INPUT_VIP)",
		"error vars.yaml:1:1: the playbook has no input `verison` (did you mean `version`?)",
		"error vars.yaml:2:1: input `port`: it must be at most 65535",
		"error vars.yaml:3:1: input `names`: its length must be at most 3",
		"error vars.yaml:4:1: input `extra`: want a map, not \"x\"",
		"error vars.yaml:5:1: `port` is given twice",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMissingInputsAreSaidAtOnceAndCanBeAsked(t *testing.T) {
	in := inputs(t)
	v, l := in.Merge()
	if l.Len() != 2 || len(v.Missing) != 2 || v.Missing[1].Name != "password" || !v.Missing[1].Secret {
		t.Errorf("%v %v", l.Sorted(), v.Missing)
	}
	v = ok[*playbook.Values](t)(in.Merge(playbook.Answer("vip", "10.0.0.1"), playbook.Answer("password", "typed in")))
	if len(v.Missing) != 0 || v.Inputs["password"] != "typed in" {
		t.Errorf("%v", v)
	}
}

func TestSecretsAreNotInMessages(t *testing.T) {
	pb := loaded(t, "-- p.yaml --\nkflow: v1\ninputs: {pin: {type: int, secret: true}, word: {type: string, secret: true, enum: [correct, battery]}}\ntasks: []\n")
	set, _ := playbook.Set("--set", []string{"pin=hunter2", "word=sesame"})
	_, l := pb.Inputs.Merge(set)
	if text := l.Err().Error(); l.Len() != 2 || strings.Contains(text, "hunter2") || strings.Contains(text, "sesame") {
		t.Error(text)
	}
}
