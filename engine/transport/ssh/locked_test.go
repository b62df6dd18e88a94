package ssh

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/transport"
)

func claimOf(run string) *wire.Claim {
	return &wire.Claim{Key: "key of " + run, Run: run, Playbook: "site", User: "ops", Host: "admin1", PID: 4711,
		Since: time.Date(2026, 11, 21, 20, 0, 0, 0, time.Local)}
}

func claiming(run string) func(*Options) {
	return func(o *Options) { o.Claim, o.Session = claimOf(run), run }
}

func TestAHostThatAnotherRunWorksOnSaysWhich(t *testing.T) {
	for name, c := range map[string]struct {
		held  *wire.Held
		texts []string
	}{
		"it goes on": {&wire.Held{Claim: *claimOf("r1"), Silent: 3 * time.Second},
			[]string{"web: in use by run r1 of site (ops, process 4711 on admin1) since 2026-11-21 20:00:00", "stop it on admin1 with kill -INT 4711"}},
		"it is cut off":  {&wire.Held{Claim: *claimOf("r1"), Silent: 50 * time.Second}, []string{"last heard 50s ago", "free within 1m30s"}},
		"it ends":        {&wire.Held{Claim: *claimOf("r1"), Ending: true}, []string{"try again in a minute"}},
		"it has no name": {&wire.Held{}, []string{"in use by a run that has not said its name yet", "try again"}},
		"it paints":      {&wire.Held{Claim: wire.Claim{Run: "r\x1b[2J", Host: "a\nb"}}, []string{"run r[2J (, process 0 on ab)"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				s := l.server("web")
				s.locked = func() *wire.Held { return c.held }
				d := l.dialer(claiming("r2"))
				defer l.end(d)
				_, err := d.Dial(t.Context(), target(s, l.key))
				u := unreachable(t, err, transport.Locked, c.texts...)
				if u.NoAnswer() || s.sessions != 1 {
					t.Errorf("no answer %v, %d sessions", u.NoAnswer(), s.sessions)
				}
			})
		})
	}
}

func TestWhoOnlyLooksClaimsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.locked = func() *wire.Held { return &wire.Held{Claim: *claimOf("r1")} }
		looks, runs := l.dialer(), l.dialer(claiming("r2"))
		defer l.end(looks)
		defer l.end(runs)
		dial(t, looks, target(s, l.key)).Close()
		shared := target(s, l.key)
		shared.Shared = true
		dial(t, runs, shared).Close()
	})
}

// TestAHostThatAnotherRunTookMeanwhile: a connection was lost, and another run came first.
func TestAHostThatAnotherRunTookMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		d := l.dialer(claiming("r2"))
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		until := time.Now().Add(10 * time.Second)
		s.locked = func() *wire.Held {
			if time.Now().After(until) {
				return nil
			}
			return &wire.Held{Claim: *claimOf("r1")}
		}
		s.drop()
		synctest.Wait()
		if out, err := c.Do(t.Context(), request("do", "x"), nil); err != nil || out.Failure != nil {
			t.Errorf("it is free again: %+v, %v", out, err)
		}
		until = time.Now().Add(time.Hour)
		s.drop()
		synctest.Wait()
		begin := time.Now()
		_, err := c.Do(t.Context(), request("do", "x"), nil)
		unreachable(t, err, transport.Locked, "run r1")
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

// An agent says that there can be no lock: people are told, and the run goes on.
func TestAHostThatCanKeepNobodyAway(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	l, s := realHost(t)
	var notes []string
	d := l.dialer(claiming("r1"), withSelf, func(o *Options) { o.Notify = func(host, line string) { notes = append(notes, host+": "+line) } })
	defer d.Close()
	tg := target(s, l.key)
	tg.User = "ops"
	dial(t, d, tg).Close()
	if len(notes) > 0 {
		t.Fatal(notes)
	}
	lock := lockFile(t, l)
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	dial(t, d, tg).Close()
	if len(notes) != 1 || !strings.Contains(notes[0], "web: no lock keeps other runs away from this host") || !strings.Contains(notes[0], "is a directory") {
		t.Errorf("%q", notes)
	}
}

// The whole way: real agents in processes of their own, behind the real script.
func TestTwoRunsOnOneHost(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	l, s := realHost(t)
	one, again, two, looks := l.dialer(claiming("r1"), withSelf), l.dialer(claiming("r1"), withSelf), l.dialer(claiming("r2"), withSelf), l.dialer(withSelf)
	for _, d := range []*Dialer{one, again, two, looks} {
		defer d.Close()
	}
	tg := target(s, l.key)
	tg.User = "ops"
	first := dial(t, one, tg)
	_, err := two.Dial(t.Context(), tg)
	unreachable(t, err, transport.Locked, "run r1 of site (ops, process 4711 on admin1)")
	dial(t, looks, tg).Close()
	alias := tg
	alias.Name = "the same machine"
	second := dial(t, one, alias)
	resumed := dial(t, again, tg) // ends the agent of first, as one that a killed kflow has left
	_, err = two.Dial(t.Context(), tg)
	unreachable(t, err, transport.Locked, "run r1")
	for _, c := range []transport.Conn{first, second, resumed} {
		c.Close()
	}
	dial(t, two, tg).Close() // waits for the agents to notice
}

// realHost is a server whose sessions run the real script.
func realHost(t *testing.T) (*lab, *sshd) {
	t.Helper()
	if _, err := selfAgent(); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	s := l.server("web")
	run := realShell("/bin/sh", l.dir, os.Getenv("PATH"))
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // agents end a moment after their connection
	s.exec = func(command string, ch gossh.Channel) int {
		wg.Add(1)
		defer wg.Done()
		return run(command, ch)
	}
	return l, s
}

func withSelf(o *Options) {
	o.Agents = func(string) (binaries.Binary, error) { return selfAgent() }
}

func lockFile(t *testing.T, l *lab) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.dir, ".cache/kflow/host-*.lock"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	return files[0]
}
