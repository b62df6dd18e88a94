// Package local reaches the machine kflow runs on, without SSH: the same kinds, host and code path as everywhere.
//
// Tasks run in an agent, a process of its own as on any other host, that ends with its connection. So they have the same
// guarantees: when kflow is killed its programs are ended in order, a kflow that goes on with the run waits for that, and a
// Ctrl-C at the terminal reaches kflow alone. Whoever has no program that can be the agent (Options.Agent) gets them in this
// process, where a kill leaves them behind and no other run is kept away.
package local

import (
	"context"
	"errors"
	"os"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// Options of a Dialer.
type Options struct {
	Registry   *task.Registry
	Controller task.Controller    // nil: tasks that need it fail
	Contents   transport.Contents // nil: only inline content can be opened
	Agent      []string           // path, name and arguments of the agent; nil = tasks run in this process
	Session    string             // names a run, also when it is resumed: its agent waits for the one before it to end
	Claim      *wire.Claim        // run that no other run may work on this machine with; nil = it only looks
	Version    string             // of this build
	RunDir     string             // where agents note what belongs to a session; "" = a directory of this user in memory
	// Notify tells people something about a host; nil: nobody is told.
	Notify func(host, line string)
}

// Dialer makes connections to this machine.
type Dialer struct{ o Options }

var _ transport.Dialer = (*Dialer)(nil)

// New returns a Dialer.
func New(o Options) *Dialer {
	if o.Notify == nil {
		o.Notify = func(string, string) {}
	}
	return &Dialer{o}
}

// Dial implements transport.Dialer. It refuses `become` where this process is not root: it cannot become another user.
func (d *Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	if t.Become && os.Geteuid() != 0 {
		return nil, &transport.Unreachable{Host: t.Name, Stage: transport.Sudo,
			Err:  errors.New("connection local runs as the user who runs kflow, who is not root"),
			Hint: "start kflow with sudo, or reach this machine over SSH"}
	}
	if len(d.o.Agent) == 0 {
		return d.inProcess(ctx, t)
	}
	return d.startAgent(ctx, t)
}

var errClosed = errors.New("the connection was closed")

// carryOut carries out a request by do, unless that would take down the machine kflow runs on.
func (d *Dialer) carryOut(req *job.Request, do func(*job.Request) (*job.Outcome, error)) (*job.Outcome, error) {
	kind, ok := d.o.Registry.Lookup(req.Kind)
	if !ok || req.Mode != job.Apply {
		return do(req)
	}
	if _, ok := kind.New().(task.Rebooter); !ok {
		return do(req)
	}
	plan := *req
	plan.Mode = job.Plan
	switch out, err := do(&plan); {
	case err != nil:
		return nil, err
	case len(out.Changes) == 0:
		return do(req)
	}
	return &job.Outcome{Failure: &job.Failure{Summary: "kflow does not take down the machine it runs on",
		Hint: "leave this host out of the task with `on: all - ..`, or run kflow from another machine"}}, nil
}
