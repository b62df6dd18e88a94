package client

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/transport"
)

// Locked makes an *Unreachable of what the agent on a host said when another run works on it: the words of its marker.
func Locked(host string, words []string) *transport.Unreachable {
	held := &wire.Held{}
	if len(words) != 2 || wire.ParseWord(words[1], held) != nil {
		held = &wire.Held{}
	}
	held.Claim = held.Clean()
	u := &transport.Unreachable{Host: host, Stage: transport.Locked, Err: held, Transient: true}
	if held.Run == "" {
		u.Hint = "try again"
		return u
	}
	u.Hint = "wait for it to end, or stop it on " + held.Host
	if held.PID > 1 { // the host may say what it likes, and a person may do it
		u.Hint += fmt.Sprintf(" with kill -INT %d", held.PID)
	}
	switch {
	case held.Ending:
		u.Hint = "it has ended, and what it still runs there is being ended: try again in a minute"
	case goneHere(held.Claim):
		u.Hint = fmt.Sprintf("that kflow is no more; go on with its run by kflow resume %s, or try again when its agent has noticed, within %s",
			held.Run, wire.AliveLimit)
	case held.Silent > 2*wire.AliveEvery:
		u.Hint += fmt.Sprintf("; its kflow was last heard %s ago: if that is gone, the host is free within %s", held.Silent, wire.AliveLimit)
	}
	return u
}

// goneHere tells whether a run was that of a process of this machine that is no more.
func goneHere(c wire.Claim) bool {
	here, err := os.Hostname()
	return err == nil && here == c.Host && c.PID > 0 && errors.Is(syscall.Kill(c.PID, 0), syscall.ESRCH)
}

// Unheld says that a host can't be kept from other runs, and why.
func Unheld(why string) string {
	return "no lock keeps other runs away from this host: " + why
}
