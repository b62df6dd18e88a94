package sched

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// work is the side of the workers: goroutines that are started when there is something to do for them, and end with the
// run. Neither channel ever blocks: an unfetched job holds one of the total slots, and answers are always read until
// nobody is busy.
type work struct {
	jobs    chan job
	answers chan answer
	spawn   func() // starts a worker
	workers int
	busy    int // jobs sent and not answered
	ended   chan struct{}
}

// job is one call of the executor.
type job struct {
	i       inst
	in      Instance // of a task
	group   int      // index of the group if its condition is asked for, or None
	attempt int      // 0: evaluate the condition
	timeout time.Duration
}

// answer is what came of a job.
type answer struct {
	i    inst
	cond *Condition // nil after an attempt
	res  Result
	dead bool // the worker is gone
}

func newWork(total int) work {
	return work{jobs: make(chan job, total), answers: make(chan answer, total), ended: make(chan struct{})}
}

// launch hands an instance to a worker, or back to the one that runs it already. It holds its short slots.
func (r *run) launch(n *node, i inst, host int32) {
	j := job{i: i, in: Instance{Task: n.task, Host: int(host)}, group: n.group}
	switch r.state[i] {
	case sResume:
		r.resume(i)
		return
	case sCondQ:
		r.state[i] = sCondRun
	default:
		j.attempt = r.begin(i)
		j.timeout = n.timeout
		r.flags[i] |= fStarted
		r.obs.Started(j.in, j.attempt)
		if n.durableStart && r.committer != nil {
			r.state[i] = sStart
			r.batch = append(r.batch, i)
			return
		}
		r.dirty = true
		r.state[i] = sRunning
	}
	r.send(j)
}

// launchStarted sends an instance whose start is durable.
func (r *run) launchStarted(i inst) {
	n := &r.nodes[r.nodeOf[i]]
	r.state[i] = sRunning
	attempt := 1
	if t := r.trails[i]; t != nil {
		attempt = t.attempt
	}
	r.send(job{i: i, in: r.instance(i), group: None, attempt: attempt, timeout: n.timeout})
}

func (r *run) send(j job) {
	r.clock.Hold()
	if r.busy++; r.workers < r.busy {
		r.workers++
		r.spawn()
	}
	r.jobs <- j
}

// worker carries out jobs until the run is over.
func (r *run) worker(ctx context.Context) {
	for j := range r.jobs {
		if !r.work1(ctx, j) {
			return
		}
	}
}

var errGone = errors.New("the executor ended its goroutine")

// work1 carries one job out and sends the answer, whatever the executor does: panic, or end its goroutine.
func (r *run) work1(ctx context.Context, j job) (alive bool) {
	a := answer{i: j.i, dead: true, res: Result{Status: event.Failed, Err: errGone}}
	defer func() {
		if p := recover(); p != nil {
			err := &PanicError{Value: p, Stack: string(debug.Stack())}
			a.dead, a.res = false, Result{Status: event.Failed, Err: err}
		}
		if j.attempt == 0 && a.cond == nil {
			a.cond = &Condition{Result: &a.res}
		}
		alive = !a.dead
		r.answers <- a
	}()
	r.clock.Turn(int(j.i))
	switch {
	case j.attempt > 0:
		a.res = r.attempt(ctx, j)
	case j.group != None:
		c := r.exec.Enter(ctx, j.group, j.in.Host)
		a.cond = &c
	default:
		c := r.exec.When(ctx, j.in)
		a.cond = &c
	}
	a.dead = false
	return
}

// attempt calls Do under the timeout of the task and puts its result in order.
func (r *run) attempt(ctx context.Context, j job) Result {
	if j.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = r.clock.Within(ctx, j.timeout, &TimeoutError{After: j.timeout})
		defer stop()
	}
	res := r.exec.Do(ctx, j.in, j.attempt, control{asked: r.asked, ended: r.ended, self: j.i, clock: r.clock})
	return tidy(ctx, res)
}

// tidy makes the status of a result agree with its error and with the reason for which its context ended.
func tidy(ctx context.Context, res Result) Result {
	if res.Status == event.Pending {
		res.Status = event.OK
		if res.Err != nil {
			res.Status = event.Failed
		}
	}
	if res.Status == event.Blocked || codeOf(res.Status).status() != res.Status {
		res.Err = errors.Join(fmt.Errorf("an attempt can't end as %q", res.Status), res.Err)
		res.Status = event.Failed
	}
	if !codeOf(res.Status).bad() || res.Status == event.Unknown || ctx.Err() == nil {
		return res
	}
	cause := context.Cause(ctx)
	res.Status = event.Cancelled
	if timeout := (*TimeoutError)(nil); errors.As(cause, &timeout) {
		res.Status = event.TimedOut
	}
	switch {
	case res.Err == nil || errors.Is(res.Err, context.DeadlineExceeded) || errors.Is(res.Err, context.Canceled):
		res.Err = cause
	case !errors.Is(res.Err, cause):
		res.Err = fmt.Errorf("%w: %w", cause, res.Err)
	}
	return res
}

// answer takes what came of a job.
func (r *run) answer(a answer) {
	r.busy--
	if a.dead {
		r.workers--
	}
	if s := r.state[a.i]; s == sDemand || s == sResume {
		r.asking-- // it did not wait for the answer
		delete(r.asks, a.i)
	} else {
		defer r.clock.Release()
	}
	r.giveBack(a.i)
	if a.cond != nil {
		r.judged(a.i, *a.cond)
		return
	}
	r.attempted(a.i, a.res)
}

// close ends the workers and the goroutine that commits.
func (r *run) close() {
	close(r.ended)
	close(r.jobs)
	if r.commit != nil {
		close(r.commit)
	}
	r.timer.Stop()
}
