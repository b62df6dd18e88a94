package client

import (
	"fmt"

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
	u.Hint = fmt.Sprintf("wait for it to end, or stop it on %s with kill -INT %d", held.Host, held.PID)
	switch {
	case held.Ending:
		u.Hint = "it has ended, and what it still runs there is being ended: try again in a minute"
	case held.Silent > 2*wire.AliveEvery:
		u.Hint += fmt.Sprintf("; its kflow was last heard %s ago: if that is gone, the host is free within %s", held.Silent, wire.AliveLimit)
	}
	return u
}

// Unheld says that a host can't be kept from other runs, and why.
func Unheld(why string) string {
	return "no lock keeps other runs away from this host: " + why
}
