package transport

import (
	"errors"
	"strings"
)

// Stage says how far kflow came on its way to a host.
type Stage string

// The stages, in order.
const (
	Config    Stage = "config"    // what the inventory or the OpenSSH configuration says cannot be used
	Dial      Stage = "dial"      // no TCP connection
	Handshake Stage = "handshake" // no SSH, or not in time
	HostKey   Stage = "host key"  // the host did not prove who it is
	Auth      Stage = "auth"      // the host did not let us in
	Sudo      Stage = "sudo"      // no root
	Agent     Stage = "agent"     // the agent does not start
	Locked    Stage = "locked"    // another run works on the host
	Lost      Stage = "lost"      // the connection ended; the fate of the requests in flight is unknown
)

// Unreachable is the error of a host that could not be reached or was lost. Its text is for people: which host, what
// happened, why. Hint says what to do now.
type Unreachable struct {
	Host  string // name of the target; for a jump host its own name with the target's
	Stage Stage
	Err   error
	Hint  string // "" = nothing better than the error is known
	// Transient: trying again may help. Never set where a person has to act first (keys, passwords).
	Transient bool
	// Silent: the host let us in and then gave no sign of life (a shell that hangs, a disk that does not answer).
	Silent bool
}

// NoAnswer tells whether the host does not answer, as opposed to one that answers what a person has to mend.
func (u *Unreachable) NoAnswer() bool {
	switch u.Stage {
	case Dial, Handshake, Lost:
		return true
	case Agent:
		return u.Silent || u.Transient
	}
	return false
}

func (u *Unreachable) Error() string {
	var b strings.Builder
	b.WriteString(u.Host)
	b.WriteString(": ")
	b.WriteString(u.what())
	if u.Err != nil {
		if u.Stage == Locked {
			b.WriteString(" by ")
		} else {
			b.WriteString(": ")
		}
		b.WriteString(u.Err.Error())
	}
	return b.String()
}

func (u *Unreachable) what() string {
	switch u.Stage {
	case Config:
		return "cannot be dialled"
	case Dial:
		return "no connection"
	case Handshake:
		return "SSH handshake failed"
	case HostKey:
		return "host key not accepted"
	case Auth:
		return "login refused"
	case Sudo:
		return "sudo failed"
	case Agent:
		return "the agent did not start"
	case Locked:
		return "in use"
	case Lost:
		return "connection lost"
	}
	return string(u.Stage)
}

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.Err }

// AsUnreachable returns the *Unreachable that err carries, if any.
func AsUnreachable(err error) (*Unreachable, bool) {
	var u *Unreachable
	ok := errors.As(err, &u)
	return u, ok
}
