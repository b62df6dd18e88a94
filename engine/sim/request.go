package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// request is one request that is carried out, with the faults that hit it.
type request struct {
	*conn
	req    *job.Request
	cancel context.CancelCauseFunc
	faults []Fault
	struck bool // the first write, or command that changes something, has come
}

var (
	errDropped = errors.New("the connection broke (simulated)")
	errReboot  = errors.New("the host reboots (simulated)")
	errCut     = errors.New("the host went off the network (simulated)")
	errKilled  = errors.New("the controller was killed (simulated)")
)

func (r *request) do(ctx context.Context, progress func(job.Progress)) (*job.Outcome, error) {
	if r.req.HasLazy && !r.req.LazyGiven {
		return r.carryOut(ctx, r.view(r.req), progress), nil // faults hit what does the work
	}
	r.faults = r.w.Faults.meet(r.req.Instance)
	r.lasting()
	v := r.view(r.req)
	if len(r.faults) > 0 {
		v.Before = r.before(v.Before)
	}
	if r.has(Corrupt) {
		defer r.w.Faults.damage(r.h.Name, r.faults)()
	}
	if len(r.faults) == 0 { // these strike at their moment
		ctx = r.w.Clock.Ahead(ctx, time.Duration(r.credit.Swap(0)))
	}
	out := r.carryOut(ctx, v, progress)
	credit, _ := r.w.Clock.CatchUp(ctx) // after looks at why the context has ended
	r.credit.Add(int64(credit))
	return r.after(ctx, out)
}

func (r *request) has(k Kind) bool {
	for _, f := range r.faults {
		if f.Kind == k {
			return true
		}
	}
	return false
}

// lasting puts the host into the state of the faults that last.
func (r *request) lasting() {
	for _, f := range r.faults {
		switch f.Kind {
		case Slow:
			r.h.SetSlow(f.Factor)
		case DiskFull:
			r.h.SetFull(true)
		case Clock:
			r.h.SetSkew(f.By)
		}
	}
}

// restore puts a host back on the network after a while, unless the fault is forever.
func (r *request) restore(k Kind) {
	const outage = 45 * time.Second
	for _, f := range r.faults {
		if f.Kind == k && f.Times != Forever {
			name := r.h.Name
			r.w.Clock.After(outage*time.Duration(f.Times), func() { r.w.Network.SetDown(name, false) })
		}
	}
}

// before is asked before a program runs or a file is written. The faults strike at the first that changes something.
func (r *request) before(next func(context.Context, *task.Command, string) (*task.Output, error)) func(context.Context, *task.Command, string) (*task.Output, error) {
	return func(ctx context.Context, c *task.Command, path string) (*task.Output, error) {
		if !r.struck && (c == nil && !byCommand(r.req.Kind) || c != nil && !c.ReadOnly) {
			r.struck = true
			if answer, err := r.strike(c); answer != nil || err != nil {
				return answer, err
			}
		}
		if next != nil {
			return next(ctx, c, path)
		}
		return nil, nil
	}
}

// byCommand tells whether tasks of a kind do their work by commands: then faults strike at the first of these, and not at
// a file that is written before.
func byCommand(kind string) bool {
	return slices.Contains([]string{"kubeadm", "kubectl", "kubectl-apply", "package", "repository", "systemd", "image", "modprobe", "reboot", "hostname", "command"}, kind)
}

func (r *request) strike(c *task.Command) (*task.Output, error) {
	for _, f := range r.faults {
		switch f.Kind {
		case Fail:
			if c == nil {
				return nil, syscall.EIO
			}
			return &task.Output{Code: 1, Stderr: fmt.Sprintf("simulated failure (%s)\n", f)}, nil
		case Drop, Unreachable:
			if c == nil {
				return nil, r.interrupt(errDropped)
			}
			r.later(errDropped)
		case Reboot:
			if c == nil {
				r.goDown()
				return nil, r.interrupt(errReboot)
			}
			r.later(errReboot)
		case Kill:
			if c == nil {
				return nil, r.interrupt(errKilled)
			}
			r.later(errKilled)
		case Expired:
			if r.w.Network.Expire() && r.req.HasLazy { // what is made on demand is used by what is lazy
				r.w.Faults.struck(f)
			}
		}
	}
	return nil, nil
}

// interrupt ends the request now.
func (r *request) interrupt(why error) error {
	r.w.Clock.Cancel(r.cancel, why)
	return why
}

// later ends the request while the command that now starts is at work.
func (r *request) later(why error) {
	const soon = 900 * time.Millisecond
	r.w.Clock.After(soon, func() { r.cancel(why) })
}

// goDown reboots the host and takes it off the network for as long as that takes.
func (r *request) goDown() {
	r.h.Reboot()
	name := r.h.Name
	r.w.takeDown(name, r)
	r.w.Clock.After(bootTime, func() { r.w.Network.SetDown(name, false) })
}

// after makes of the outcome what arrives at the controller.
func (r *request) after(ctx context.Context, out *job.Outcome) (*job.Outcome, error) {
	cause := context.Cause(ctx)
	switch {
	case r.has(Kill):
		r.w.Faults.kill()
		return nil, errKilled
	case errors.Is(cause, errCut):
		return nil, lost(r.h.Name, errCut)
	case errors.Is(cause, errReboot):
		if !r.w.Network.Down(r.h.Name) {
			r.goDown()
		}
		return nil, lost(r.h.Name, errReboot)
	case r.has(Reboot):
		r.goDown()
		return nil, lost(r.h.Name, errReboot)
	case r.has(Unreachable):
		r.w.takeDown(r.h.Name, r)
		r.restore(Unreachable)
		return nil, lost(r.h.Name, errNoAnswer)
	case r.has(Drop), r.has(Lost):
		return nil, lost(r.h.Name, errDropped)
	case r.has(Fail) && !r.struck && out.Failure == nil:
		return &job.Outcome{Failure: &job.Failure{Summary: "simulated failure"}}, nil
	case out.Reconnect != nil:
		return out, r.reboot(ctx)
	}
	return out, nil
}

// reboot follows a task that takes its host down until it is back.
func (r *request) reboot(ctx context.Context) error {
	r.w.takeDown(r.h.Name, r)
	err := r.w.Clock.Sleep(ctx, bootTime)
	r.w.Network.SetDown(r.h.Name, false)
	r.h.Gather()
	return err
}
