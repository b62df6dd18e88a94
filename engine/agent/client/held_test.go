package client_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/agent/client"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/transport"
)

func TestWhatToDoAboutAHostInUse(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		held wire.Held
		want string
	}{
		"elsewhere":          {wire.Held{Claim: wire.Claim{Run: "r", Host: "there", PID: ended.Process.Pid}}, "wait for it to end, or stop it on there with kill -INT"},
		"here":               {wire.Held{Claim: wire.Claim{Run: "r", Host: here, PID: os.Getpid()}}, "wait for it to end, or stop it on " + here},
		"here, and gone":     {wire.Held{Claim: wire.Claim{Run: "r", Host: here, PID: ended.Process.Pid}}, "that kflow is no more; go on with its run by kflow resume r, or try again"},
		"elsewhere, cut off": {wire.Held{Claim: wire.Claim{Run: "r", Host: "there"}, Silent: time.Minute}, "last heard 1m0s ago"},
		"it ends":            {wire.Held{Claim: wire.Claim{Run: "r", Host: here, PID: ended.Process.Pid}, Ending: true}, "try again in a minute"},
	} {
		u := client.Locked("h1", []string{"locked", wire.Word(c.held)})
		if u.Stage != transport.Locked || !u.Transient || !strings.Contains(u.Hint, c.want) || !strings.HasPrefix(u.Error(), "h1: in use by run r (") {
			t.Errorf("%s: %v; %s", name, u, u.Hint)
		}
	}
	if u := client.Locked("h1", []string{"locked", wire.Word(wire.Held{Claim: wire.Claim{Run: "r", Host: "there", PID: -1}})}); strings.Contains(u.Hint, "kill") {
		t.Errorf("a person is told to %s", u.Hint)
	}
	for _, words := range [][]string{nil, {"locked"}, {"locked", "?"}, {"locked", "bnVsbA"}, {"locked", wire.Word(wire.Held{}), "more"}} {
		if u := client.Locked("h1", words); u.Error() != "h1: in use by a run that has not said its name yet" || u.Hint == "" {
			t.Errorf("%q: %v; %s", words, u, u.Hint)
		}
	}
}
