package playbook_test

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/shape"
	"github.com/rogpeppe/go-internal/txtar"
)

// loaded loads an archive that must have no errors.
func loaded(t testing.TB, archive string) *playbook.Playbook {
	t.Helper()
	pb, _, l := load(txtar.Parse([]byte(archive)).Files)
	if l.HasErrors() {
		t.Fatal(l.Err())
	}
	return pb
}

func find(t testing.TB, pb *playbook.Playbook, path string) *playbook.Task {
	t.Helper()
	for _, x := range pb.All() {
		if x.Path == path {
			return x
		}
	}
	t.Fatalf("no task %s", path)
	return nil
}

func env() expr.Env {
	return expr.Env{
		"inputs": map[string]any{"password": "correct horse", "n": 3, "none": nil, "big": strings.Repeat("x", 70_000)},
		"host":   map[string]any{"name": "w1", "facts": map[string]any{}},
		"tasks":  map[string]any{"token": map[string]any{"outputs": map[string]any{"token": "abcdef.0123456789", "endpoint": "endpoint.example:6443"}}},
	}
}

const resolveArchive = `
-- p.yaml --
kflow: v1
inputs:
  password: {type: string, secret: true}
  n: {type: int, default: 3}
  none: {type: string, default: null}
  big: {type: string, default: x}
tasks:
  - id: plain
    command: {argv: [a, 5, "${{ inputs.n }}", "n${{ inputs.n }}"], count: "${{ inputs.n }}", policy: Never, version: 3.10, free: {x: null, y: [1, 1.50]}, to: "out/${{ host.name }}"}
  - id: directory
    command: {argv: [a], to: "out/${{ host.name }}/"}
  - id: nulls
    command: {argv: [a], subnet: "${{ inputs.none }}", env: {A: "${{ inputs.none }}", B: b}}
  - id: secret
    file: {path: /x, content: "pass=${{ inputs.password }}"}
  - id: derived
    command: [login, "${{ sha256(inputs.password) }}", "x"]
  - id: big
    file: {path: /x, content: "${{ inputs.big }}"}
  - id: template
    file: {path: /x, template: t.tmpl}
  - id: source
    file: {path: /x, source: f.bin}
  - id: computed
    file: {path: /x, source: "${{ host.name }}.bin"}
  - id: condition
    assert: [{that: inputs.n > 2}, inputs.n > 5]
  - id: token
    run: on_demand
    kubeadm: {token: {ttl: 1h}}
  - id: lazy
    kubeadm: {join: {role: worker, from: "${{ tasks.token.outputs }}"}}
-- t.tmpl --
host ${{ host.name }}
-- f.bin --
content
-- w1.bin --
w1
`

// TestResolve: what the parameters of each task become.
func TestResolve(t *testing.T) {
	pb := loaded(t, resolveArchive)
	sum := func(s string) string {
		v := find(t, pb, "template").Params.Engine()
		c, err := v("content", s)
		if err != nil {
			t.Fatal(err)
		}
		return c.(map[string]any)["sha256"].(string)
	}
	for path, want := range map[string]string{
		"plain":     `{"argv":["a","5",3,"n3"],"count":3,"free":{"x":null,"y":[1,"1.50"]},"policy":"Never","to":"/cwd/out/w1","version":"3.10"}`,
		"directory": `{"argv":["a"],"to":"/cwd/out/w1/"}`,
		"nulls":     `{"argv":["a"],"env":{"B":"b"}}`,
		"secret":    `{"content":{"inline":true,"secret":true,"sha256":"` + sum("pass=correct horse") + `","size":18,"text":"pass=correct horse"},"path":"/x"}`,
		"big":       `{"content":{"sha256":"` + sum(strings.Repeat("x", 70_000)) + `","size":70000},"path":"/x"}`,
		"template":  `{"path":"/x","template":{"inline":true,"name":"t.tmpl","sha256":"` + sum("host w1\n") + `","size":8,"text":"host w1\n"}}`,
		"source":    `{"path":"/x","source":{"name":"f.bin","sha256":"` + sum("content\n") + `","size":8}}`,
		"computed":  `{"path":"/x","source":{"name":"w1.bin","sha256":"` + sum("w1\n") + `","size":3}}`,
		"condition": `{"checks":[{"that":{"text":"inputs.n > 2","value":true}},{"that":{"text":"inputs.n > 5","value":false}}]}`,
		"lazy":      `{"join":{"role":"worker"}}`,
	} {
		params := find(t, pb, path).Params
		r, err := params.Resolve(playbook.Resolver{Envs: playbook.One(env())})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.Encode(r.Value)
		got := strings.TrimSpace(b.String())
		if i := strings.Index(got, `"to":"`); i >= 0 {
			j := strings.Index(got, "/out/w1")
			got = got[:i] + `"to":"/cwd` + got[j:]
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", path, d)
		}
		if _, problems := shape.Resolve(params.Type, r.Value, params.Engine()); len(problems) > 0 {
			t.Errorf("%s: %v", path, problems)
		}
	}
}

func TestResolveSecretsAndBlobs(t *testing.T) {
	pb := loaded(t, resolveArchive)
	resolve := func(path string, lazy bool) playbook.Resolved {
		r, err := find(t, pb, path).Params.Resolve(playbook.Resolver{Envs: playbook.One(env()), Lazy: lazy})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := resolve("derived", false); len(r.Secrets) != 1 || len(r.Secrets[0]) != 64 {
		t.Errorf("the hash of a secret is one: %v", r.Secrets)
	}
	if r := resolve("lazy", true); !cmp.Equal(r.Secrets, []string{"abcdef.0123456789"}) {
		t.Errorf("an output that is secret: %v", r.Secrets)
	}
	for path, want := range map[string]playbook.Blob{"big": {Text: strings.Repeat("x", 70_000)}, "source": {Path: "f.bin"}} {
		r := resolve(path, false)
		for _, b := range r.Blobs {
			if b != want {
				t.Errorf("%s: %v", path, b)
			}
		}
		if len(r.Blobs) != 1 {
			t.Errorf("%s: %d blobs", path, len(r.Blobs))
		}
	}
	e := env()
	e["host"].(map[string]any)["name"] = "other"
	_, err := find(t, pb, "computed").Params.Resolve(playbook.Resolver{Envs: playbook.One(e)})
	if err == nil || !strings.Contains(err.Error(), "p.yaml:") || !strings.Contains(err.Error(), "can't read other.bin") {
		t.Errorf("%v", err)
	}
}

// TestSecretTaint: what is computed from a secret is marked, through arguments and outputs of parts.
func TestSecretTaint(t *testing.T) {
	pb := loaded(t, `
-- p.yaml --
kflow: v1
inputs: {password: {type: string, secret: true}, user: {type: string, default: me}}
tasks:
  - id: part
    use: q.yaml
    with: {text: "pw=${{ inputs.password }}", plain: "${{ inputs.user }}"}
  - id: reads
    command: ["${{ tasks.part.outputs.hidden }}", "${{ tasks.part.outputs.shown }}", "${{ tasks.token.status }}"]
  - id: token
    kubeadm: {init: {version: 1.0}}
-- q.yaml --
kflow: v1
inputs: {text: {type: string}, plain: {type: string}}
tasks:
  - id: use_it
    command: ["${{ inputs.text }}", "${{ inputs.plain }}"]
outputs:
  hidden: ${{ upper(inputs.text) }}
  shown: ${{ inputs.plain }}
`)
	for path, want := range map[string][]bool{"part/use_it": {true, false}, "reads": {true, false, false}} {
		for i, v := range find(t, pb, path).Params.Get("argv").List {
			if v.Secret != want[i] {
				t.Errorf("%s: argument %d: secret = %v", path, i, v.Secret)
			}
		}
	}
}

func TestTimingAndCounts(t *testing.T) {
	pb := loaded(t, `
-- p.yaml --
kflow: v1
inputs: {n: {type: int, default: 3}}
tasks:
  - {id: a, hostname: x}
  - {id: b, retry: 5, hostname: x}
  - {id: c, retry: {delay: 1s, backoff: 2}, timeout: "${{ inputs.n }}m", max_parallel: 10%, max_failures: "${{ inputs.n }}", hostname: x}
`)
	for path, want := range map[string]string{
		"a": `{"Attempts":1,"Delay":0,"Backoff":1,"MaxDelay":0,"Timeout":0}`,
		"b": `{"Attempts":5,"Delay":0,"Backoff":1,"MaxDelay":0,"Timeout":0}`,
		"c": `{"Attempts":3,"Delay":1000000000,"Backoff":2,"MaxDelay":0,"Timeout":180000000000}`,
	} {
		timing, err := find(t, pb, path).Timing(playbook.One(env()))
		got, _ := json.Marshal(timing)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	c := find(t, pb, "c")
	if n, err := c.MaxParallel.Of(playbook.One(env()), 35); n != 3 || err != nil {
		t.Errorf("10%% of 35: %d, %v", n, err)
	}
	if n, err := c.MaxFailures.Of(playbook.One(env()), 35); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestStaticAsserts(t *testing.T) {
	pb := loaded(t, `
-- p.yaml --
kflow: v1
groups: {workers: {}}
inputs: {n: {type: int, default: 3}}
tasks:
  - id: a
    assert:
      - {that: inputs.n > 2, message: too few}
      - len(groups.workers) % 2 == 1
      - host.facts.cpus > 2
      - none(hosts, .facts.cpus < 2)
      - none(hosts, .node_ip == "10.0.0.1")
      - host.vars.zone == "a"
  - id: block
    when: host.facts.cpus > 2
    steps:
      - {id: b, assert: [inputs.n > 2]}
  - id: part
    use: q.yaml
    with: {static: "${{ inputs.n }}", dynamic: "${{ host.facts.cpus }}"}
-- q.yaml --
kflow: v1
inputs: {static: {type: int}, dynamic: {type: int}}
tasks:
  - {id: c, when: inputs.static > 1, assert: [inputs.static > 2, inputs.dynamic > 2]}
`)
	var got []string
	for _, a := range pb.StaticAsserts() {
		got = append(got, a.Task.Path+": "+a.That.Expr.Text())
	}
	want := []string{"a: inputs.n > 2", "a: len(groups.workers) % 2 == 1", `a: none(hosts, .node_ip == "10.0.0.1")`,
		`a: host.vars.zone == "a"`, "part/c: inputs.static > 2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestCanonical: comments, order of keys and positions make no difference, anything else does.
func TestCanonical(t *testing.T) {
	text := func(params string) string {
		pb := loaded(t, "-- p.yaml --\nkflow: v1\ntasks:\n  - id: a\n    command:\n"+params)
		c, err := find(t, pb, "a").Params.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one := text("      argv: [a, b]\n      count: 3\n")
	if two := text("\n      # why\n      count: '3'\n      argv:\n        - a\n        - \"b\"\n"); one != two {
		t.Errorf("%s\n%s", one, two)
	}
	if two := text("      argv: [b, a]\n      count: 3\n"); one == two {
		t.Errorf("%s", one)
	}
}

// TestEdges: a need on a block is one on each task inside, and of each.
func TestEdges(t *testing.T) {
	pb := loaded(t, `
-- p.yaml --
kflow: v1
tasks:
  - {id: a, steps: [{id: x, hostname: x}, {id: y, hostname: x}]}
  - {id: b, needs: ["a@all"], steps: [{id: x, hostname: x}, {id: y, hostname: x}]}
`)
	var got []string
	for _, e := range pb.Edges() {
		got = append(got, e.From.Path+" "+e.To.Path+" "+e.Need.Form.String())
	}
	want := []string{"a/x a/y auto", "a/x b/x all", "a/x b/y all", "a/y b/x all", "a/y b/y all", "b/x b/y auto"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFilesThatChangeAreOpenedByOptions(t *testing.T) {
	opened := 0
	_, _, l := playbook.Load(context.Background(), "p.yaml", playbook.Options{
		Kinds: kinds(),
		Read: func(path string) ([]byte, error) {
			if path == "p.yaml" {
				return []byte("kflow: v1\ntasks: [{id: a, file: {path: /x, source: big.iso}}]"), nil
			}
			return nil, fs.ErrNotExist
		},
		Open: func(string) (io.ReadCloser, error) {
			opened++
			return io.NopCloser(strings.NewReader("big")), nil
		},
	})
	if l.Len() != 0 || opened != 1 {
		t.Errorf("%v, opened %d times", l.Sorted(), opened)
	}
}
