package converge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/host"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// fake is a kind whose host is a map: it wants Key to have Value. The other fields make it misbehave.
type fake struct {
	Key      string `json:"key"`
	Value    string `json:"value"`
	Token    string `json:"token" kf:"lazy"`
	Is       string `json:"is"` // state, action, reboot
	Bad      string `json:"bad"`
	Secret   bool   `json:"secret"`
	world    map[string]string
	requests *[]string
}

type fakeAction struct{ *fake }

func (fakeAction) Action() bool { return true }

type fakeReboot struct{ fakeAction }

func (fakeReboot) RebootTimeout() time.Duration { return time.Minute }

func (f *fake) Check() error {
	if f.Bad == "check" {
		return errors.New("key and value do not go together")
	}
	return nil
}

func (f *fake) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	*f.requests = append(*f.requests, "changes "+f.Key)
	switch f.Bad {
	case "panic":
		panic("nil map or so")
	case "not yet":
		return nil, fmt.Errorf("look: %w", task.NotYet("unit:containerd"))
	case "writes":
		return nil, h.WriteFile(ctx, "/etc/x", strings.NewReader(""), task.Attr{})
	}
	if f.world[f.Key] == f.Value && f.Bad != "never" {
		return nil, nil
	}
	return []task.Change{{Summary: "set " + f.Key, Diff: "-" + f.world[f.Key] + "\n+" + f.Value, Secret: f.Secret, Apply: f.apply}}, nil
}

func (f *fake) apply(ctx context.Context, h task.Host) error {
	*f.requests = append(*f.requests, "apply "+f.Key+f.Token)
	h.Log("setting " + f.Value)
	switch f.Bad {
	case "apply":
		return task.Failf("no space left").WithHint("free some").WithOutput(task.Output{Stderr: "df says " + f.Value}).Retryable()
	case "hang":
		return h.Sleep(ctx, time.Hour)
	case "hang badly":
		h.Sleep(ctx, time.Hour)
		return errors.New("apiserver refused 10 times")
	}
	f.world[f.Key] = f.Value
	return nil
}

func (f *fake) Outputs(context.Context, task.Host) (any, error) {
	return map[string]string{"value": f.world[f.Key]}, nil
}

// bench runs requests against one world.
type bench struct {
	world    map[string]string
	requests []string
	progress []job.Progress
}

func (b *bench) run(ctx context.Context, req job.Request, items ...string) *job.Outcome {
	for _, it := range items {
		req.Items = append(req.Items, json.RawMessage(it))
	}
	if b.world == nil {
		b.world = map[string]string{}
	}
	if req.Kind == "" {
		req.Kind = "state"
	}
	if req.Mode == "" {
		req.Mode = job.Apply
	}
	b.requests = nil
	base := func() *fake { return &fake{world: b.world, requests: &b.requests} }
	reg := task.NewRegistry(
		task.Kind{Name: "state", New: func() task.Task { return base() }},
		task.Kind{Name: "action", New: func() task.Task { return &fakeAction{base()} }},
		task.Kind{Name: "reboot", New: func() task.Task { return &fakeReboot{fakeAction{base()}} }},
	)
	h := host.New(host.Options{Facts: &task.Facts{BootID: "boot-1"}})
	return Run(ctx, reg, h, &req, func(p job.Progress) { b.progress = append(b.progress, p) })
}

func (b *bench) wantRequests(t *testing.T, want ...string) {
	t.Helper()
	if got, want := strings.Join(b.requests, ", "), strings.Join(want, ", "); got != want {
		t.Errorf("the kind was asked: %s\nwant: %s", got, want)
	}
}

func TestAStateIsComparedChangedAndComparedAgain(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{}, `{"key":"a","value":"1"}`)
	b.wantRequests(t, "changes a", "apply a", "changes a")
	if out.Failure != nil || !out.Applied || len(out.Changes) != 1 || out.Changes[0].Summary != "set a" || out.Changes[0].Action {
		t.Errorf("%+v", out)
	}
	if string(out.Outputs[0]) != `{"value":"1"}` {
		t.Errorf("outputs %s", out.Outputs)
	}
	out = b.run(t.Context(), job.Request{}, `{"key":"a","value":"1"}`)
	b.wantRequests(t, "changes a")
	if out.Failure != nil || out.Applied || len(out.Changes) != 0 || string(out.Outputs[0]) != `{"value":"1"}` {
		t.Errorf("second run: %+v", out)
	}
}

func TestAPlanStopsAfterChanges(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{Mode: job.Plan}, `{"key":"a","value":"1"}`, `{"key":"b","value":"2"}`)
	b.wantRequests(t, "changes a", "changes b")
	if out.Applied || len(out.Changes) != 2 || out.Changes[1].Item != 1 || out.Outputs[0] != nil || len(b.world) != 0 {
		t.Errorf("%+v, world %v", out, b.world)
	}
}

func TestItemsStopAtTheFirstFailure(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{}, `{"key":"a","value":"1"}`, `{"key":"b","bad":"apply","value":"2"}`, `{"key":"c","value":"3"}`)
	b.wantRequests(t, "changes a", "apply a", "changes a", "changes b", "apply b")
	f := out.Failure
	if f == nil || f.Step != "set b" || f.Summary != "no space left" || f.Hint != "free some" || !f.Transient || f.Output != "df says 2" {
		t.Fatalf("%+v", f)
	}
	if !out.Applied || len(out.Changes) != 1 || f.Error() != "set b: no space left" {
		t.Errorf("%+v, %v", out, f)
	}
}

func TestAnActionIsNotAskedAgain(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{Kind: "action"}, `{"key":"a","bad":"never"}`)
	b.wantRequests(t, "changes a", "apply a")
	if out.Failure != nil || !out.Changes[0].Action {
		t.Errorf("%+v", out)
	}
}

func TestAStateThatDoesNotConvergeHasFailed(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{}, `{"key":"a","value":"1","bad":"never"}`)
	f := out.Failure
	if f == nil || !strings.Contains(f.Summary, "did not converge") || !strings.Contains(f.Output, "+1") || f.Transient {
		t.Errorf("%+v", f)
	}
}

func TestLazyParametersAreAskedForOnlyWhenThereAreChanges(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{HasLazy: true}, `{"key":"a","value":"1"}`)
	b.wantRequests(t, "changes a")
	if !out.NeedsLazy || out.Applied || out.Failure != nil {
		t.Fatalf("%+v", out)
	}
	out = b.run(t.Context(), job.Request{HasLazy: true, LazyGiven: true}, `{"key":"a","value":"1","token":" with t0ken"}`)
	b.wantRequests(t, "changes a", "apply a with t0ken", "changes a")
	if out.NeedsLazy || !out.Applied {
		t.Errorf("%+v", out)
	}
	if out = b.run(t.Context(), job.Request{HasLazy: true}, `{"key":"a","value":"1"}`); out.NeedsLazy || out.Applied {
		t.Errorf("converged: %+v", out)
	}
}

func TestNotYetIsKnownLaterInAPlanAndAFailureInARun(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{Mode: job.Plan}, `{"bad":"not yet"}`)
	if out.Failure != nil || out.NotYet != "unit:containerd" {
		t.Errorf("plan: %+v", out)
	}
	out = b.run(t.Context(), job.Request{}, `{"bad":"not yet"}`)
	if out.Failure == nil || out.Failure.NotYet != "unit:containerd" || out.Failure.Hint == "" {
		t.Errorf("run: %+v", out.Failure)
	}
}

func TestWhatAKindDoesWrongIsAFailure(t *testing.T) {
	for item, want := range map[string]string{
		`{"bad":"check"}`:            "do not go together",
		`{"bad":"panic"}`:            "panic: nil map or so",
		`{"bad":"writes"}`:           task.ErrReadOnly.Error(),
		`{"key":"a","kye":"b"}`:      `unknown field "kye"`,
		`{"key":1}`:                  "do not fit kind state",
		`{"key":"a"} {"key":"evil"}`: "more than one value",
	} {
		var b bench
		out := b.run(t.Context(), job.Request{}, item)
		if out.Failure == nil || !strings.Contains(out.Failure.Summary, want) {
			t.Errorf("%s: %+v, want %q", item, out.Failure, want)
		}
		if strings.Contains(item, "panic") && !strings.Contains(out.Failure.Output, "converge_test.go") {
			t.Errorf("no stack: %q", out.Failure.Output)
		}
	}
	var b bench
	if out := b.run(t.Context(), job.Request{Kind: "nonsense"}, `{}`); out.Failure == nil || out.Failure.Hint == "" {
		t.Errorf("unknown kind: %+v", out)
	}
}

func TestTimeoutAndCancelAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bench
		out := b.run(t.Context(), job.Request{Timeout: 90 * time.Second}, `{"key":"a","value":"1","bad":"hang"}`)
		f := out.Failure
		if f == nil || !f.TimedOut || f.Cancelled || f.Summary != "timed out after 1m30s" || f.Step != "set a" {
			t.Errorf("timeout: %+v", f)
		}
		out = b.run(t.Context(), job.Request{Timeout: time.Second}, `{"key":"a","value":"1","bad":"hang badly"}`)
		if f = out.Failure; !f.TimedOut || f.Summary != "timed out after 1s: apiserver refused 10 times" {
			t.Errorf("timeout with a reason: %+v", f)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("interrupted by Ctrl-C")) })
		out = b.run(ctx, job.Request{Timeout: time.Minute}, `{"key":"a","value":"1","bad":"hang"}`)
		if f = out.Failure; f.TimedOut || !f.Cancelled || f.Summary != "interrupted by Ctrl-C" || f.Transient {
			t.Errorf("cancel: %+v", f)
		}
		out = b.run(ctx, job.Request{}, `{"key":"a","value":"1"}`)
		if out.Failure == nil || !out.Failure.Cancelled || out.Applied {
			t.Errorf("after a cancel: %+v", out)
		}
	})
}

func TestARebootIsAnnounced(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{Kind: "reboot"}, `{"key":"a","value":"1"}`)
	b.wantRequests(t, "changes a", "apply a")
	if out.Reconnect == nil || out.Reconnect.BootID != "boot-1" || out.Reconnect.Timeout != time.Minute || out.Failure != nil {
		t.Errorf("%+v", out)
	}
	announced := false
	for _, p := range b.progress {
		announced = announced || p.Reconnect != nil
		if p.Log != "" && !announced {
			t.Error("the host went down before it was announced")
		}
	}
	out = b.run(t.Context(), job.Request{Kind: "reboot"}, `{"key":"b","bad":"apply","value":"2"}`)
	if out.Reconnect != nil || out.Failure == nil {
		t.Errorf("a reboot that failed: %+v", out)
	}
}

func TestSecretsDoNotComeBack(t *testing.T) {
	const secret = `s3cr"t/pässword`
	coded := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
	var b bench
	for _, bad := range []string{"", "apply", "never"} {
		for _, value := range []string{secret, coded} {
			item, _ := json.Marshal(map[string]string{"key": "a" + bad + value, "value": value, "bad": bad})
			out := b.run(t.Context(), job.Request{Secrets: []string{secret}}, string(item))
			out.Outputs = nil
			text, _ := json.Marshal(out)
			all, _ := json.Marshal(b.progress)
			for _, leak := range []string{`s3cr\"t`, "pässword", coded} {
				if strings.Contains(string(text)+string(all), leak) {
					t.Errorf("bad=%s: %q leaks: %s %s", bad, leak, text, all)
				}
			}
			if len(out.Changes) > 0 && !strings.Contains(out.Changes[0].Diff, "***") {
				t.Errorf("the diff does not show that something is hidden: %q", out.Changes[0].Diff)
			}
		}
	}
}

func TestASecretDiffShowsItsSizeAlone(t *testing.T) {
	var b bench
	out := b.run(t.Context(), job.Request{}, `{"key":"a","value":"topsecret","secret":true}`)
	if got := out.Changes[0].Diff; strings.Contains(got, "topsecret") || !strings.Contains(got, "12 bytes") {
		t.Errorf("%q", got)
	}
}

func TestProgressEndsWithTheOutcome(t *testing.T) {
	n := 0
	var leaked task.Host
	reg := task.NewRegistry(task.Kind{Name: "leak", New: func() task.Task { return leaker{&leaked} }})
	h := plain{host.New(host.Options{})}
	Run(t.Context(), reg, h, &job.Request{Kind: "leak", Mode: job.Apply, Items: []json.RawMessage{nil}}, func(job.Progress) { n++ })
	if n != 2 {
		t.Errorf("%d pieces of progress, want 2", n)
	}
	leaked.Log("too late")
	if n != 2 {
		t.Error("progress after the end")
	}
}

// plain hides that a Machine can be bound.
type plain struct{ task.Host }

type leaker struct{ to *task.Host }

func (l leaker) Changes(_ context.Context, h task.Host) ([]task.Change, error) {
	*l.to = h
	h.Log("here")
	h.Progress("there", 1, 2)
	return nil, nil
}
