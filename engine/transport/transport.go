// Package transport is how the engine reaches hosts: it asks a Dialer for a Conn and gives the Conn requests. It knows
// no SSH; the ways to a host are the packages below it (ssh, local), and the simulator has one of its own.
//
// # What a Conn promises
//
// Do carries out one request and returns its outcome: whatever the task itself did wrong is in Outcome.Failure, and an
// error of Do means that the host was not reached. The error is an *Unreachable then (or the cause of ctx, when the
// caller ended the request), and its Stage says whether the request may have been carried out: only at Lost is that
// unknown; at every other stage nothing has been started.
//
// A Conn survives the loss of its connection. The requests in flight end with Stage Lost; the next Do dials again. A
// request that takes its host down (a reboot) is followed through: Do returns when the host is back with another boot
// id, and Facts are those of the new boot.
//
// Requests run concurrently; a Conn puts no limit on them.
package transport

import (
	"context"
	"io"
	"time"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// Conn is a host that was reached.
type Conn interface {
	// Facts are what was gathered when the host was reached last. Not to be modified.
	Facts() *task.Facts
	// Do carries out a request. progress (may be nil) is called from one goroutine at a time, never after Do has
	// returned, and must not block for long. When ctx ends the request is cancelled on the host: its outcome then is a
	// Failure with Cancelled set, or, where the host gives none in time, the cause of ctx is the error.
	Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error)
	// Close ends the connection, and what runs over it.
	Close() error
}

// Redialler is a Conn that dials again by itself when its connection was lost, and tells when it does.
type Redialler interface{ Redialling() bool }

// Dialer reaches hosts. Implementations limit how many they dial at once; callers need not.
type Dialer interface {
	// Dial reaches a host. The error is an *Unreachable or the cause of ctx.
	Dial(ctx context.Context, t Target) (Conn, error)
}

// Connection is a way to a host.
type Connection string

// The ways. "" is SSH.
const (
	SSH   Connection = "ssh"
	Local Connection = "local"
	Sim   Connection = "sim"
)

// Target is all that is known of how to reach a host, mostly from the inventory. A zero field means "not said": it is
// looked up in the OpenSSH configuration, then a default holds.
type Target struct {
	Name       string // of the inventory; in all messages
	Connection Connection
	Address    string // name or IP address to dial; "" = Name, which the OpenSSH configuration may resolve
	NodeIP     string // address that decides Facts.Interface; "" = the one dialled
	Port       int    // 0 = 22
	User       string // "" = the user who runs kflow

	Keys        []string // private key files, tried in this order, before those of the agent and the defaults
	KeysOnly    bool     // offer no other keys than Keys (IdentitiesOnly)
	Password    string   // login password; "" = none
	KnownHosts  []string // known_hosts files; nil = OpenSSH's
	Fingerprint string   // pinned host key: "SHA256:..", or a public key "ssh-ed25519 AAAA.."; then no known_hosts is read
	Jump        []Target // hosts to go through, in order; nil = ProxyJump of the OpenSSH configuration, empty = none

	Shared bool // other runs may work on it at the same time: the machine kflow runs on, where tasks are for other hosts

	Become         bool   // run the agent as root through sudo
	BecomePassword string // "" = sudo must not ask for one (or Options.Password of the dialer is asked)

	ConnectTimeout time.Duration // for each of TCP connect, handshake and start of the agent; 0 = 15 s
}

// Contents gives the content that requests refer to by its hash (task.Content). It is implemented by
// engine/transport/controller, which also implements task.Controller.
type Contents interface {
	// OpenContent opens content. The error satisfies errors.Is(err, fs.ErrNotExist) when nobody has announced that hash.
	OpenContent(ctx context.Context, sha256 string) (Blob, error)
}

// Blob is content of known size. ReadAt may be called concurrently.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
