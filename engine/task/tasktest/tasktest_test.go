package tasktest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kflow/kflow/engine/task"
)

func TestFileSystem(t *testing.T) {
	h, ctx := NewHost(t), context.Background()
	h.Put("/etc/a/b", "1\n", task.Attr{Mode: 0o600})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(h.Symlink(ctx, "a", "/etc/link"))
	must(h.WriteFile(ctx, "/etc/link/b", strings.NewReader("2\n"), task.Attr{Owner: "etcd"}))
	b, err := h.ReadFile(ctx, "/etc/a/b")
	must(err)
	fi, err := h.Stat(ctx, "/etc/link/b")
	must(err)
	if string(b) != "2\n" || fi.Mode != 0o600 || fi.Owner != "etcd" || fi.Group != "root" {
		t.Errorf("written through a link: %q %+v", b, fi)
	}
	if err := h.WriteFile(ctx, "/etc/none/x", strings.NewReader(""), task.Attr{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := h.WriteFile(ctx, "/proc/sys/none", strings.NewReader("1"), task.Attr{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a kernel setting that is not there: %v", err)
	}
	must(h.Symlink(ctx, "loop", "/etc/loop"))
	if _, err := h.ReadFile(ctx, "/etc/loop"); err == nil {
		t.Error("a loop of links can be read")
	}
	must(h.Rename(ctx, "/etc/a", "/etc/c"))
	if got, _ := h.Glob(ctx, "/etc/*/b"); !cmp.Equal(got, []string{"/etc/c/b"}) {
		t.Errorf("after a rename: %v", got)
	}
	must(h.Remove(ctx, "/etc/c"))
	must(h.Remove(ctx, "/etc/c"))
	list, err := h.ReadDir(ctx, "/etc")
	must(err)
	if len(list) != 2 || list[0].Name != "link" || list[0].Target != "a" {
		t.Errorf("directory: %+v", list)
	}
}

func TestCommands(t *testing.T) {
	h, ctx := NewHost(t), context.Background()
	h.Commands(`
? systemctl is-active "*"
  if active=yes
> active $1
? systemctl is-active *
  code 3
> inactive
$ systemctl start ...
  sets active=yes
  write /run/started mode=0600 = by ${who}
  takes 2s
$ apply
  stdin kind: Pod
? gone
  missing
`)
	h.state["who"] = "me"
	run := func(c task.Command) task.Output {
		o, err := h.Run(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := run(task.Query("systemctl", "is-active", "x")); o.Code != 3 || o.Text() != "inactive" {
		t.Errorf("before: %+v", o)
	}
	before := h.Now()
	run(task.Cmd("systemctl", "start", "x", "--no block"))
	if o := run(task.Query("systemctl", "is-active", "x")); o.Code != 0 || o.Text() != "active x" {
		t.Errorf("after: %+v", o)
	}
	if h.Now().Sub(before) != 2*time.Second {
		t.Error("no time has passed")
	}
	run(task.Cmd("apply").WithEnv("A=b").WithStdin("kind: Pod\n"))
	if _, err := h.Run(ctx, task.Query("gone")); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	want := []string{"systemctl start x '--no block'", "A=b apply\n  < kind: Pod"}
	if d := cmp.Diff(want, h.Ran()); d != "" {
		t.Error(d)
	}
	if b, _ := h.ReadFile(ctx, "/run/started"); string(b) != "by me\n" {
		t.Errorf("effect: %q", b)
	}
}

func TestNetwork(t *testing.T) {
	h, ctx := NewHost(t), context.Background()
	for _, s := range [][2]string{
		{"http GET http://x/ok status=503", "wait\n"},
		{"http GET http://x/ok", "fine\n"},
		{"http GET http://x/a.tgz tgz cut=20", "bin/ mode=0755\nbin/a mode=0755 = hello\n"},
	} {
		a, err := parseAnswer(s[0], s[1])
		if err != nil {
			t.Fatal(err)
		}
		h.answers = append(h.answers, a)
	}
	get := func(url string, header ...string) (int, string, error) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if len(header) > 0 {
			req.Header.Set(header[0], header[1])
		}
		resp, err := h.HTTP().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), err
	}
	if code, body, _ := get("http://x/ok"); code != 503 || body != "wait\n" {
		t.Error(code, body)
	}
	for range 2 {
		if code, body, _ := get("http://x/ok"); code != 200 || body != "fine\n" {
			t.Error(code, body)
		}
	}
	if code, body, _ := get("http://x/ok", "Range", "bytes=2-"); code != 206 || body != "ne\n" {
		t.Error(code, body)
	}
	if _, body, err := get("http://x/a.tgz"); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 20 {
		t.Error(len(body), err)
	}
	var err error
	if h.dials, err = parseDials("tcp 10.0.0.1:6443 refused,timeout,ok\n"); err != nil {
		t.Fatal(err)
	}
	var results []bool
	for range 4 {
		conn, err := h.Dial(ctx, "tcp", "10.0.0.1:6443")
		results = append(results, err == nil)
		if err == nil {
			conn.Close()
		}
	}
	if !cmp.Equal(results, []bool{false, false, true, true}) {
		t.Error(results)
	}
}

func TestTimers(t *testing.T) {
	h := NewHost(t)
	if err := h.parseState("a=1\nafter 30s a=2\n"); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for range 3 {
		seen = append(seen, h.state["a"])
		_ = h.Sleep(context.Background(), 20*time.Second)
	}
	if !cmp.Equal(seen, []string{"1", "1", "2"}) {
		t.Error(seen)
	}
}
