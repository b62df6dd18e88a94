package plain

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kflow/kflow/engine/event"
)

// show is what a Renderer writes for events, with the time that passes before each.
func show(t *testing.T, o Options, steps ...any) string {
	t.Helper()
	var out strings.Builder
	synctest.Test(t, func(t *testing.T) {
		r := New(&out, o)
		for _, s := range steps {
			switch s := s.(type) {
			case time.Duration:
				time.Sleep(s)
				synctest.Wait()
			case event.Event:
				s.Time = time.Now()
				r.Emit(s)
			case func(string):
				r.mu.Lock()
				s(out.String())
				r.mu.Unlock()
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return out.String()
}

func want(t *testing.T, got string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(lines, "\n")+"\n", got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func run(hosts int) event.Event {
	return event.Event{Type: event.RunStarted, Run: "20261121-131501-ab3f", Name: "ha-containerd", Playbook: "ha.yaml",
		Hosts: hosts, Tasks: 42, Instances: 180}
}

func begun(id string) event.Event {
	task, host, _ := strings.Cut(id, "@")
	return event.Event{Type: event.InstanceStarted, Instance: id, Task: task, Host: host, Attempt: 1}
}

func ended(id string, s event.Status) event.Event {
	task, host, _ := strings.Cut(id, "@")
	return event.Event{Type: event.InstanceEnded, Instance: id, Task: task, Host: host, Status: s,
		Changed: s == event.Changed, Duration: 800 * time.Millisecond}
}

func change(id, summary string) event.Event {
	return event.Event{Type: event.Change, Instance: id, Summary: summary, Diff: "-a\n+b\n"}
}

func failure(id string) event.Event {
	e := ended(id, event.Failed)
	e.Kind, e.Title, e.Pos, e.Attempt, e.Duration = "kubeadm", "Initialise the cluster", "ha.yaml:38", 3, 34*time.Second
	e.Failure = &event.Failure{Summary: "kubeadm init: exit status 1", Step: "run kubeadm init",
		Output: "[preflight] running\nerror: port 6443 is in use", Hint: "stop what listens on 6443:\nss -lntp"}
	return e
}

func TestHeaderAndOneLinePerResult(t *testing.T) {
	got := show(t, Options{}, run(5),
		begun("node/kernel@mn01"), change("node/kernel@mn01", "write /etc/sysctl.d/90.conf"), change("node/kernel@mn01", "set a"),
		change("node/kernel@mn01", "set b"), ended("node/kernel@mn01", event.Changed))
	want(t, got,
		"run 20261121-131501-ab3f  ha-containerd (ha.yaml)  5 hosts, 42 tasks, 180 instances",
		"changed    node/kernel@mn01  0.8s  write /etc/sysctl.d/90.conf (+2 more)")
}

func TestHostsWithTheSameResultShareALine(t *testing.T) {
	got := show(t, Options{}, run(5),
		ended("hostname@k8s-mn01", event.OK), ended("hostname@k8s-wn01", event.OK), ended("hostname@k8s-mn02", event.OK),
		ended("kernel@k8s-mn01", event.OK), ended("hostname@k8s-mn03", event.OK),
		ended("hostname@k8s-wn02", event.OK), // the last of all five: not held back any longer
		func(out string) { want(t, lastLine(out), "ok         hostname  5 hosts: k8s-mn[01-03] k8s-wn[01-02]") },
		time.Second,
		func(out string) { want(t, lastLine(out), "ok         kernel@k8s-mn01  0.8s") },
		ended("kernel@k8s-mn02", event.OK))
	if !strings.HasSuffix(got, "ok         kernel@k8s-mn02  0.8s\n") {
		t.Error(got)
	}
}

func lastLine(out string) string {
	lines := strings.SplitAfter(out, "\n")
	return lines[len(lines)-2]
}

func TestDifferentResultsAreNotFolded(t *testing.T) {
	got := show(t, Options{},
		begun("k@a1"), change("k@a1", "set x"), ended("k@a1", event.Changed),
		begun("k@a2"), change("k@a2", "set y"), ended("k@a2", event.Changed), ended("k@a3", event.OK))
	want(t, got, "changed    k@a1  0.8s  set x", "changed    k@a2  0.8s  set y", "ok         k@a3  0.8s")
}

func TestAChangeThatNamesItsHostIsFoldedToo(t *testing.T) {
	got := show(t, Options{},
		begun("h@a1"), change("h@a1", "set host name a1"), ended("h@a1", event.Changed),
		begun("h@a2"), change("h@a2", "set host name a2"), ended("h@a2", event.Changed),
		begun("h@b"), change("h@b", "set host name other"), ended("h@b", event.Changed))
	want(t, got, "changed    h  2 hosts: a[1-2]  set host name <host>", "changed    h@b  0.8s  set host name other")
	got = show(t, Options{}, begun("h@a1"), change("h@a1", "set host name a1"), ended("h@a1", event.Changed))
	want(t, got, "changed    h@a1  0.8s  set host name a1")
}

func TestAFailureIsShownAtOnceAndInFull(t *testing.T) {
	show(t, Options{}, ended("node@mn02", event.OK), failure("init@mn01"), func(out string) {
		want(t, out,
			"ok         node@mn02  0.8s",
			"failed     init@mn01  34s  kubeadm init: exit status 1",
			"    task      Initialise the cluster (kubeadm)",
			"    host      mn01",
			"    playbook  ha.yaml:38",
			"    attempt   3",
			"    while     run kubeadm init",
			"    output    [preflight] running",
			"              error: port 6443 is in use",
			"    do        stop what listens on 6443:",
			"              ss -lntp")
	})
}

func TestRepeatedFailuresAreFolded(t *testing.T) {
	got := show(t, Options{}, failure("init@mn01"), failure("init@mn02"), failure("init@mn03"))
	if !strings.HasSuffix(got, "failed     init  2 hosts: mn[02-03]  up to 34s  as init@mn01\n") {
		t.Error(got)
	}
}

func TestWithoutOutputTheLastLinesSeenAreShown(t *testing.T) {
	steps := []any{begun("init@mn01")}
	for i := range 30 {
		steps = append(steps, event.Event{Type: event.Output, Instance: "init@mn01", Line: "line " + string(rune('A'+i))})
	}
	e := failure("init@mn01")
	e.Failure.Output = ""
	got := show(t, Options{}, append(steps, e)...)
	if strings.Contains(got, "line J") || !strings.Contains(got, "    output    line K\n              line L") {
		t.Error(got)
	}
}

func TestOutputIsShownWhenAskedForAndIsHarmless(t *testing.T) {
	evil := event.Event{Type: event.Output, Instance: "a@b", Line: "10%\r100%\x1b[2J\x1b]0;title\x07 done\u202e\tok\x1b"}
	if got := show(t, Options{}, evil); got != "" {
		t.Errorf("not asked for: %q", got)
	}
	want(t, show(t, Options{Stream: true}, evil), "a@b | 100% done ok")
}

func TestRetriesWaitingLossAndNotes(t *testing.T) {
	got := show(t, Options{}, run(2),
		event.Event{Type: event.HostUp, Host: "mn01"}, event.Event{Type: event.HostUp, Host: "mn02"},
		event.Event{Type: event.AttemptFailed, Instance: "init@mn01", Task: "init", Host: "mn01", Attempt: 1, Retry: 10 * time.Second, Failure: &event.Failure{Summary: "not up yet"}},
		event.Event{Type: event.Waiting, Instance: "init@mn01", Line: "still waiting for port 6443 (1m30s)"},
		event.Event{Type: event.HostLost, Host: "mn02", Failure: &event.Failure{Summary: "connection reset"}},
		event.Event{Type: event.Note, Line: "the need `extra` has no hosts"})
	want(t, got[strings.Index(got, "\n")+1:],
		"connected  2 hosts: mn[01-02]",
		"waiting    init@mn01  still waiting for port 6443 (1m30s)",
		"retry      init@mn01  attempt 1: not up yet; again in 10s",
		"lost       mn02  connection reset",
		"note       the need `extra` has no hosts")
}

func TestProgressIsShownEveryTenSeconds(t *testing.T) {
	p := func(done int64) event.Event {
		return event.Event{Type: event.Progress, Instance: "a@b", What: "download x.tar", Done: done, Total: 200}
	}
	got := show(t, Options{}, p(0), 5*time.Second, p(40), 5*time.Second, p(80), 5*time.Second, p(120), 6*time.Second, p(200))
	want(t, got, "running    a@b  download x.tar 40%", "running    a@b  download x.tar 100%")
}

func TestHostsThatAreEquallyFarShareALine(t *testing.T) {
	var steps []any
	for _, done := range []int64{0, 50} {
		for _, host := range []string{"wn01", "wn02", "wn03"} {
			steps = append(steps, event.Event{Type: event.Progress, Instance: "images@" + host,
				What: "pull images", Done: done, Total: 100})
		}
		steps = append(steps, 10*time.Second)
	}
	want(t, show(t, Options{}, steps...), "running    images  3 hosts: wn[01-03]  pull images 50%")
}

func TestWhatWasReusedOrNeverRanIsQuiet(t *testing.T) {
	skipped := ended("extra@mn01", event.Skipped)
	skipped.When = "inputs.extra"
	got := show(t, Options{}, ended("a@mn01", event.Reused), ended("b@mn01", event.Reused), ended("b@mn02", event.Reused),
		ended("c@mn01", event.Blocked), ended("d@mn01", event.Cancelled), skipped)
	want(t, got, "reused     3 instances of 2 tasks", "skipped    extra@mn01  0.8s  when: inputs.extra")
}

func TestSummaryOfAFailedRun(t *testing.T) {
	end := event.Event{Type: event.RunEnded, Exit: 3, Duration: 4*time.Minute + 12*time.Second,
		Counts: map[event.Status]int{event.OK: 2, event.Failed: 1, event.Blocked: 2},
		Roots: []event.Root{{Instance: "init@mn01", Status: event.Failed, Pos: "ha.yaml:38", Blocked: 2,
			Failure: &event.Failure{Summary: "kubeadm init: exit status 1"}}}}
	got := show(t, Options{Window: -1}, run(3), ended("node@mn01", event.OK), ended("node@mn04", event.OK), failure("init@mn01"),
		ended("join@mn02", event.Blocked), ended("join@mn03", event.Blocked), end)
	want(t, got[strings.Index(got, "\n\n")+2:],
		"mn01       1 ok, 0 changed, 1 failed",
		"mn[02-03]  0 changed, 1 blocked",
		"failed     init@mn01  ha.yaml:38  kubeadm init: exit status 1 (blocked 2 instances)",
		"failed after 4m12s: 2 ok, 0 changed, 2 blocked, 1 failed",
		"to go on from here: kflow resume 20261121-131501-ab3f")
}

func TestTheSameFailureOnManyHostsIsOneRoot(t *testing.T) {
	root := func(id, text string) event.Root {
		return event.Root{Instance: id, Status: event.Failed, Pos: "p.yaml:6", Blocked: 2, Failure: &event.Failure{Summary: text}}
	}
	end := event.Event{Type: event.RunEnded, Exit: 3, Roots: []event.Root{root("f@a1", "no"), root("f@a2", "other"), root("f@a3", "no")}}
	got := show(t, Options{}, run(3), end)
	want(t, got[strings.Index(got, "\n\n")+2:],
		"failed     f  2 hosts: a[1,3]  p.yaml:6  no (blocked 4 instances)",
		"failed     f@a2  p.yaml:6  other (blocked 2 instances)",
		"failed after 0.0s: 0 changed",
		"to go on from here: kflow resume 20261121-131501-ab3f")
}

func TestNothingChangedIsSaid(t *testing.T) {
	got := show(t, Options{}, run(1), ended("a@b", event.OK), event.Event{Type: event.RunEnded, Duration: 900 * time.Millisecond})
	if !strings.HasSuffix(got, "\ndone after 0.9s: 1 ok, 0 changed\n") {
		t.Error(got)
	}
}

func TestVerboseShowsDiffsStartsAndWhatIsBlocked(t *testing.T) {
	blocked := ended("c@d", event.Blocked)
	blocked.BlockedBy = []string{"init@mn01"}
	got := show(t, Options{Verbose: true, Window: -1}, begun("a@b"), change("a@b", "write x"), ended("a@b", event.Changed), blocked)
	want(t, got, "start      a@b", "change     a@b  write x", "    -a", "    +b", "changed    a@b  0.8s  write x",
		"blocked    c@d  0.8s  by init@mn01")
}

func TestColourOnlyWhenAskedFor(t *testing.T) {
	if got := show(t, Options{Color: true}, ended("a@b", event.OK)); !strings.HasPrefix(got, "\x1b[32mok\x1b[0m         a@b") {
		t.Errorf("%q", got)
	}
	if got := show(t, Options{}, ended("a@b", event.OK), failure("c@d")); strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write([]byte) (int, error) { b.writes++; return 0, errors.New("broken pipe") }

func TestAfterAnErrorNothingIsWritten(t *testing.T) {
	b := &brokenPipe{}
	r := New(b, Options{})
	r.Emit(run(1))
	r.Emit(run(1))
	if err := r.Close(); err == nil || b.writes != 1 {
		t.Errorf("%v after %d writes", err, b.writes)
	}
}

func TestDurations(t *testing.T) {
	for d, text := range map[time.Duration]string{
		0: "0.0s", 800 * time.Millisecond: "0.8s", 9960 * time.Millisecond: "10s", 34 * time.Second: "34s",
		59600 * time.Millisecond: "1m00s", 252 * time.Second: "4m12s", 62 * time.Minute: "1h02m", 26 * time.Hour: "26h00m",
	} {
		if got := duration(d); got != text {
			t.Errorf("%v: got %q, want %q", d, got, text)
		}
	}
}

func TestEscapeSequencesAreTakenOut(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[31;1mb\x1b[0m":            "ab",
		"a\x1b]0;title\x07b":             "ab",
		"a\x1b]8;;http://x\x1b\\b":       "ab",
		"a\x1bP1;2|payload\x1b\\b":       "ab",
		"a\x1b(Bb\x1b)0c":                "abc",
		"a\x1bcb\x1b=c":                  "abc",
		"a\x1b€b":                        "ab",
		"a\x1b[31":                       "a",
		"a\x1b]0;title":                  "a",
		"a\x1b":                          "a",
		"a\x9b31mb \xff":                 "a\uFFFD31mb \uFFFD",
		"a\u009b31mb":                    "a31mb",
		"one\u2028two\u202ethree\u2066":  "onetwothree",
		"x\x1b[1mline\nnext\x1b[0m\n\tz": "xline\nnext\n\tz",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzTextFromHostsIsHarmless(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\x1b]8;;http://x\x1b\\link")
	f.Add("\x1b[\x1b]\x1b\x9b31m\u2066")
	f.Fuzz(func(t *testing.T, s string) {
		if got := clean(s); strings.ContainsFunc(got, unsafe) || !utf8.ValidString(got) {
			t.Errorf("%q became %q", s, got)
		}
	})
}
