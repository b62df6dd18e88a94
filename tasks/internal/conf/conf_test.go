package conf

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"
)

// TestCases runs testdata/FORMAT-*.txtar: in, set.yaml, and out or error. Setting the same values again must change
// nothing.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range a.Files {
				files[f.Name] = string(f.Data)
			}
			var values map[string]any
			if err := yaml.Unmarshal([]byte(files["set.yaml"]), &values); err != nil {
				t.Fatal(err)
			}
			format, _, _ := strings.Cut(filepath.Base(name), "-")
			out, err := Set(format, files["in"], values)
			if err != nil {
				if d := cmp.Diff(files["error"], err.Error()+"\n"); d != "" {
					t.Errorf("error (-want +got):\n%s", d)
				}
				return
			}
			if d := cmp.Diff(strings.Split(files["out"], "\n"), strings.Split(out, "\n")); d != "" {
				t.Errorf("(-want +got):\n%s\n%s", d, out)
			}
			if again, err := Set(format, out, values); err != nil || again != out {
				t.Errorf("a second time it changes (%v):\n%s", err, cmp.Diff(out, again))
			}
		})
	}
}

// TestContainerdDefault edits a real default configuration: only the lines that are meant change, and a parser agrees.
func TestContainerdDefault(t *testing.T) {
	b, err := os.ReadFile("testdata/containerd-v2.toml")
	if err != nil {
		t.Fatal(err)
	}
	src := string(b)
	cri := `plugins."io.containerd.grpc.v1.cri".`
	out, err := Set("toml", src, map[string]any{
		cri + "sandbox_image":                                    "registry.k8s.io/pause:3.9",
		cri + "registry.config_path":                             "/etc/containerd/certs.d",
		cri + "containerd.runtimes.runc.options.SystemdCgroup":   true,
		cri + `registry.mirrors."docker.io".endpoint`:            []any{"https://mirror.example.org"},
		cri + "containerd.runtimes.crun.options":                 map[string]any{"BinaryName": "/usr/bin/crun"},
		"oom_score":                                              -999.0,
		`proxy_plugins."stargz"`:                                 map[string]any{"type": "snapshot"},
		`timeouts."io.containerd.timeout.shim.cleanup"`:          "5s",
		`plugins."io.containerd.internal.v1.opt".path_not_there`: "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	before, after := strings.Split(src, "\n"), strings.Split(out, "\n")
	gone := 0
	for _, line := range before {
		if !strings.Contains(out, line+"\n") {
			gone++
		}
	}
	if gone != 4 || len(after)-len(before) != 10 {
		t.Errorf("%d lines replaced, %d added:\n%s", gone, len(after)-len(before), cmp.Diff(before, after))
	}
	var want, got map[string]any
	if err := toml.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if err := toml.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want["oom_score"] = int64(-999)
	put(want, "5s", "timeouts", "io.containerd.timeout.shim.cleanup")
	put(want, "snapshot", "proxy_plugins", "stargz", "type")
	put(want, "x", "plugins", "io.containerd.internal.v1.opt", "path_not_there")
	p := []string{"plugins", "io.containerd.grpc.v1.cri"}
	put(want, "registry.k8s.io/pause:3.9", append(p, "sandbox_image")...)
	put(want, "/etc/containerd/certs.d", append(p, "registry", "config_path")...)
	put(want, true, append(p, "containerd", "runtimes", "runc", "options", "SystemdCgroup")...)
	put(want, "/usr/bin/crun", append(p, "containerd", "runtimes", "crun", "options", "BinaryName")...)
	put(want, []any{"https://mirror.example.org"}, append(p, "registry", "mirrors", "docker.io", "endpoint")...)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func put(m map[string]any, v any, at ...string) {
	for _, key := range at[:len(at)-1] {
		if m[key] == nil {
			m[key] = map[string]any{}
		}
		m = m[key].(map[string]any)
	}
	m[at[len(at)-1]] = v
}

func TestParsePath(t *testing.T) {
	for in, want := range map[string][]string{
		"a":                       {"a"},
		"a.b":                     {"a", "b"},
		`plugins."io.a.b".c`:      {"plugins", "io.a.b", "c"},
		`plugins.'io.a.b'.c`:      {"plugins", "io.a.b", "c"},
		"spec.containers[0].name": {"spec", "containers", "0", "name"},
		`a["x.y"]`:                {"a", `"x.y"`},
		"a..b":                    nil,
		"a.":                      nil,
		"":                        nil,
		`a."b`:                    nil,
		"a[1":                     nil,
		`"a"b`:                    nil,
	} {
		got, err := ParsePath(in)
		if (err != nil) != (want == nil) || !reflect.DeepEqual(got, want) && want != nil {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
}

// FuzzTOML: what a parser accepts before, it accepts after; the value is there; nothing else has changed; and setting it
// again changes nothing.
func FuzzTOML(f *testing.F) {
	for _, src := range []string{
		"", "a = 1\n", "a.b = 1\n", "[a]\nb=1", "[[a]]\nb=1\n", "a = {b = 1}\n", "a = '''\nb = 1\n'''\n", "a = [ # x\n 1,\n]\n",
		"  [a.\"b.c\"]\n    d = 1\n", "[a.b.c]\nx=1\n[a]\n", "x = \"\"\"a\\\"\"\"\"\n",
	} {
		f.Add(src, "a", "b")
	}
	f.Fuzz(func(t *testing.T, src, table, key string) {
		var before, after map[string]any
		if table == "" || key == "" || toml.Unmarshal([]byte(src), &before) != nil || strings.Contains(src, "\r") || !utf8.ValidString(table+"\x00"+key) {
			return
		}
		out, err := new(tomlEditor).set(src, []string{table, key}, "v")
		if err != nil {
			return
		}
		if err := toml.Unmarshal([]byte(out), &after); err != nil {
			t.Fatalf("%v\nbefore:\n%s\nafter:\n%s", err, src, out)
		}
		if again, err := new(tomlEditor).set(out, []string{table, key}, "v"); err != nil || again != out {
			t.Fatalf("a second time: %v\n%s", err, cmp.Diff(out, again))
		}
		got, ok := after[table].(map[string]any)
		if !ok || got[key] != "v" {
			t.Fatalf("the value is not there:\n%s", out)
		}
		if m, ok := before[table].(map[string]any); ok {
			m[key] = "v"
		} else {
			before[table] = map[string]any{key: "v"}
		}
		if d := cmp.Diff(before, after); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzSet: whatever the text, setting a value either fails or settles: setting it again changes nothing.
func FuzzSet(f *testing.F) {
	for i, src := range []string{"[a]\nb=1\n", `{"a": {"b": [1]}}`, "a:\n  b: 1 # x\n", "a: [1, {b: 2}]\n", "a: &x {b: 1}\nc: *x\n", "b\n[a]\n[a]\n", "a: |\n  x\n"} {
		f.Add(uint8(i), src, "a.b")
		f.Add(uint8(i), src, "a[0]")
	}
	f.Fuzz(func(t *testing.T, format uint8, src, key string) {
		name := []string{"ini", "json", "yaml"}[format%3]
		if !utf8.ValidString(src) || !utf8.ValidString(key) || strings.ContainsAny(key+src, "\r\u0085\u2028\u2029") {
			return
		}
		values := map[string]any{key: "v"}
		once, err := Set(name, src, values)
		if err != nil {
			return
		}
		if twice, err := Set(name, once, values); err != nil || twice != once {
			t.Fatalf("%s: a second time: %v\n%s", name, err, cmp.Diff(once, twice))
		}
	})
}
