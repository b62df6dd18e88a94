package kube

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/task/tasktest"
)

func TestVersion(t *testing.T) {
	for in, want := range map[string]string{"1.29.6": "v1.29.6", "v1.20.2\n": "v1.20.2", "1.13": "v1.13.0", "v1.31.0-rc.1": "v1.31.0", "x": "", "1.2.3.4": ""} {
		v, err := ParseVersion(in)
		if got := v.String(); (want == "") != (err != nil) || want != "" && got != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestSocket(t *testing.T) {
	for _, c := range []struct {
		minor    int
		in, want string
	}{
		{20, "unix:///run/containerd/containerd.sock", "/run/containerd/containerd.sock"}, {20, "/run/x.sock", "/run/x.sock"},
		{24, "/run/x.sock", "unix:///run/x.sock"}, {29, "unix:///run/x.sock", "unix:///run/x.sock"}, {29, "", ""},
	} {
		if got := Socket(Version{1, c.minor, 0}, c.in); got != c.want {
			t.Errorf("1.%d %s: %s, want %s", c.minor, c.in, got, c.want)
		}
	}
}

// dialled is a fake host without kubectl that reaches one server.
type dialled struct {
	*tasktest.Host
	addr net.Addr
}

func (d dialled) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if d.addr == nil {
		return nil, fmt.Errorf("connection refused")
	}
	return new(net.Dialer).DialContext(ctx, network, d.addr.String())
}

// TestNodeWithoutKubectl: a worker needs no kubectl to be asked whether it is in the cluster.
func TestNodeWithoutKubectl(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/nodes/wn01":
			_, _ = fmt.Fprint(w, `{"metadata": {"name": "wn01", "labels": {"node-role.kubernetes.io/control-plane": ""}}}`)
		case "/api/v1/nodes/denied":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	h := dialled{tasktest.NewHost(t), server.Listener.Addr()}
	h.Commands("? kubectl ...\n  missing\n")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	h.Put(KubeletConf, "clusters:\n- cluster:\n    server: https://127.0.0.1:6443\n    certificate-authority-data: "+base64.StdEncoding.EncodeToString(ca)+"\nusers:\n- user: {token: x}\n", task.Attr{})
	c := Client{Kubeconfig: KubeletConf}
	n, err := c.Node(t.Context(), h, 0, "wn01")
	if err != nil || n == nil || !n.ControlPlane() {
		t.Errorf("a node of the cluster: %+v, %v", n, err)
	}
	if n, err := c.Node(t.Context(), h, 0, "other"); n != nil || err != nil {
		t.Errorf("a node it does not have: %+v, %v", n, err)
	}
	if _, err := c.Node(t.Context(), h, 0, "denied"); !Is(err, Refused) {
		t.Errorf("a certificate it does not know: %v", err)
	}
	h.addr = nil
	if _, err := c.Node(t.Context(), h, 0, "wn01"); !Is(err, Unreachable) {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestReason(t *testing.T) {
	for text, want := range map[string]Reason{
		"The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?": Unreachable,
		"Unable to connect to the server: net/http: TLS handshake timeout":                                 Unreachable,
		"Error from server: etcdserver: leader changed":                                                    Unreachable,
		`Error from server (NotFound): nodes "x" not found`:                                                NotFound,
		`error: the server doesn't have a resource type "foo"`:                                             NotFound,
		`unable to recognize "STDIN": no matches for kind "Thing" in version "example.com/v1"`:             NotFound,
		"error: You must be logged in to the server (Unauthorized)":                                        Refused,
		"Unable to connect to the server: x509: certificate has expired or is not yet valid":               Refused,
		"error: something else": Other,
	} {
		if got := reason(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestPath(t *testing.T) {
	v := map[string]any{"a": map[string]any{"b.c/d": "x", "list": []any{map[string]any{"name": "one", "n": 1.0}, map[string]any{"name": "two"}}}}
	for path, want := range map[string]any{
		`a["b.c/d"]`: "x", "a.list[0].n": 1.0, "a.list[name=two].name": "two", "a.list[7]": nil, "a.x": nil, "a.list[name=three]": nil,
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatal(path, err)
		}
		if got, ok := p.Get(v); ok != (want != nil) || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	for _, bad := range []string{"", "a[", "a[x]", "..a", `a["x]`} {
		if _, err := ParsePath(bad); err == nil {
			t.Errorf("%q is a path", bad)
		}
	}
}

func TestPathSet(t *testing.T) {
	v := any(map[string]any{"spec": map[string]any{"list": []any{map[string]any{"name": "one"}}}})
	for _, s := range []struct {
		path  string
		value any
	}{
		{"spec.replicas", 3}, {"spec.list[name=one].image", "x"}, {"spec.list[name=two].image", "y"}, {`metadata.labels["a.b/c"]`, "z"}, {"spec.list[0].name", "uno"}, {"gone.x", nil},
	} {
		p, err := ParsePath(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if v, err = p.Set(v, s.value); err != nil {
			t.Fatal(s.path, err)
		}
	}
	want := `map[gone:map[] metadata:map[labels:map[a.b/c:z]] spec:map[list:[map[image:x name:uno] map[image:y name:two]] replicas:3]]`
	if got := fmt.Sprint(v); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p, _ := ParsePath("spec.list[5].x")
	if _, err := p.Set(v, 1); err == nil || !strings.Contains(err.Error(), "2 entries") {
		t.Errorf("an index that is not there: %v", err)
	}
}

// TestManifest reads as kubectl does: dates are text, yes is true, big numbers stay exact.
func TestManifest(t *testing.T) {
	objects, err := ParseManifest("# only a comment\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: n}\ndata: {since: 2024-01-02, flag: yes, text: \"yes\", n: 12345678901234567, f: 0.5, mode: 0644, e: ~}\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := ListJSON(objects)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"v1","items":[{"apiVersion":"v1","data":{"e":null,"f":0.5,"flag":true,"mode":420,"n":12345678901234567,"since":"2024-01-02","text":"yes"},"kind":"ConfigMap","metadata":{"name":"a","namespace":"n"}},{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"b"}}],"kind":"List"}` + "\n"
	if text != want {
		t.Errorf("got  %swant %s", text, want)
	}
	if objects[0].String() != "ConfigMap n/a" || objects[1].Group() != "apps" {
		t.Errorf("%s, %s", objects[0], objects[1].Group())
	}
	for _, bad := range []string{"- a\n", "kind: X\n", "a: b: c\n", "a: &x [*x]\n"} {
		if _, err := ParseManifest(bad); err == nil {
			t.Errorf("%q is a manifest", bad)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{`a.b[0]["c.d"][e=f]`, "[", `["`, "a..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			return
		}
		v, err := p.Set(nil, "x")
		if err != nil {
			return
		}
		if got, ok := p.Get(v); !ok || got != "x" {
			t.Errorf("%q: set and get: %v %v", s, got, ok)
		}
	})
}

// TestNothingBelowHome: kubectl keeps what it learns of an API below HOME. A plan must write nothing, so the kinds give it
// none that can be written.
func TestNothingBelowHome(t *testing.T) {
	c := Client{}
	for _, cmd := range []task.Command{c.Cmd("drain", "wn01"), c.Query("get", "nodes"), c.Watch("rollout", "status"), c.Query("diff").WithEnv("X=y")} {
		home := ""
		for _, kv := range cmd.Env {
			if v, ok := strings.CutPrefix(kv, "HOME="); ok {
				home = v
			}
		}
		if !strings.HasPrefix(home, "/proc/") {
			t.Errorf("%s runs with HOME=%q", cmd, home)
		}
	}
}
