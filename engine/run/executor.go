package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

var _ sched.Executor = (*Session)(nil)

// Do implements sched.Executor.
func (s *Session) Do(ctx context.Context, in sched.Instance, n int, ctl sched.Control) sched.Result {
	a := &attempt{Session: s, in: in, leaf: s.leaves[in.Task], n: n, ctl: ctl}
	s.ran(in)
	return a.do(ctx)
}

// attempt is one attempt of one instance.
type attempt struct {
	*Session
	in   sched.Instance
	leaf *leaf
	n    int
	ctl  sched.Control
	host *host
	once bool // what was sent may not be done twice

	agreed []job.Change // what the host may change; nil = whatever it finds
}

func (a *attempt) do(ctx context.Context) sched.Result {
	conn, err := a.where(ctx)
	if err != nil {
		return a.unreachable(ctx, err)
	}
	work, err := a.resolve(a.in, nil)
	if err != nil {
		return sched.Result{Status: event.Failed, Err: err}
	}
	if r := a.agree(ctx, conn, work); r != nil {
		return *r
	}
	out, err := a.send(ctx, conn, work)
	if err == nil && out.NeedsLazy {
		first := work
		if work, err = a.withLazy(ctx); err != nil {
			return a.lazyFailed(ctx, err)
		}
		work.fingerprint, work.parts = first.fingerprint, first.parts
		out, err = a.send(ctx, conn, work)
	}
	if err != nil {
		return a.unreachable(ctx, err)
	}
	if out.Reconnect != nil {
		a.refresh(a.host)
	}
	a.foundDone(out)
	return a.result(out, work)
}

// where finds the connection over which the instance is carried out.
func (a *attempt) where(ctx context.Context) (transport.Conn, error) {
	place := a.leaf.Place
	switch {
	case !place.Elsewhere:
		a.host = a.hosts[a.in.Host]
	case place.Controller:
		a.host = a.controller
	default:
		return a.firstReachable(ctx)
	}
	return a.open(ctx, a.host, a.n > 1)
}

func (a *attempt) firstReachable(ctx context.Context) (transport.Conn, error) {
	var errs []error
	for _, i := range a.byHope() {
		a.host = a.hosts[i]
		conn, err := a.open(ctx, a.host, a.n > 1)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, &transport.Unreachable{Host: "every host of `at`", Stage: transport.Dial, Err: errors.Join(errs...)}
}

// byHope are the hosts that reachable() names: those that were lost in this run come last.
func (a *attempt) byHope() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	hosts := slices.Clone(a.leaf.Place.Hosts)
	slices.SortStableFunc(hosts, func(x, y int) int { return cmp.Compare(lateIf(a.lost[x]), lateIf(a.lost[y])) })
	return hosts
}

func lateIf(lost bool) int {
	if lost {
		return 1
	}
	return 0
}

func (a *attempt) send(ctx context.Context, conn transport.Conn, w *work) (*job.Outcome, error) {
	req := a.request(w, job.Apply)
	req.Bound, req.Agreed = a.agreed != nil, a.agreed
	a.once = w.action
	return conn.Do(ctx, req, func(p job.Progress) { a.progress(req.Instance, p) })
}

func (a *attempt) request(w *work, mode job.Mode) *job.Request {
	return &job.Request{
		Instance: a.plan.Name(a.in), Kind: a.leaf.Task.Kind.Name, Items: w.items, Mode: mode,
		HasLazy: a.leaf.lazy, LazyGiven: w.lazyGiven, Secrets: w.secrets,
		Uses: a.leaf.usesOf(w.items),
	}
}

func (a *attempt) progress(name string, p job.Progress) {
	e := event.Event{Instance: name}
	switch {
	case p.Change != nil:
		a.applying()
		e.Type, e.Summary, e.Diff = event.Change, p.Change.Summary, p.Change.Diff
	case p.Log != "":
		e.Type, e.Line = event.Log, p.Log
	case p.Output != "" && a.leaf.Task.SecretOutputs:
		return // may be what is not known to be a secret before the task has ended
	case p.Output != "":
		e.Type, e.Line = event.Output, p.Output
	default:
		e.Type, e.What, e.Done, e.Total = event.Progress, p.What, p.Done, p.Total
	}
	a.bus.emit(e)
}

// unreachable is the result of a request that did not reach its host, or whose connection was lost.
func (a *attempt) unreachable(ctx context.Context, err error) sched.Result {
	if ctx.Err() != nil && a.once {
		return unknown(context.Cause(ctx).Error() + ", and the host gave no answer")
	}
	if ctx.Err() != nil {
		return ended(context.Cause(ctx))
	}
	u, ok := transport.AsUnreachable(err)
	if !ok {
		return sched.Result{Status: event.Failed, Err: err}
	}
	if u.Stage == transport.Lost && a.once {
		return unknown(u.Error())
	}
	a.passOver()
	return sched.Result{Status: event.Unreachable, Err: err, Retryable: a.mayHeal(u), HostLost: !a.leaf.Place.Elsewhere}
}

// mayHeal tells whether another attempt can reach a host: the same one later, or with reachable() another one.
func (a *attempt) mayHeal(u *transport.Unreachable) bool {
	return u.Stage == transport.Lost || u.Transient || a.leaf.Place.Reachable
}

// passOver makes the next attempt take another of the hosts that reachable() names: this one does not answer.
func (a *attempt) passOver() {
	if !a.leaf.Place.Reachable || a.host == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.leaf.Place.Hosts {
		if a.hosts[i] == a.host {
			a.lost[i] = true
		}
	}
}

func ended(cause error) sched.Result {
	var t *sched.TimeoutError
	if errors.As(cause, &t) {
		return sched.Result{Status: event.TimedOut, Err: cause}
	}
	return sched.Result{Status: event.Cancelled, Err: cause}
}

func (a *attempt) lazyFailed(ctx context.Context, err error) sched.Result {
	if ctx.Err() != nil {
		return ended(context.Cause(ctx))
	}
	return sched.Result{Status: event.Failed, Err: err, Retryable: !blockedFor(err)}
}

// blockedFor tells whether a demand was refused because of what has failed before: that does not heal.
func blockedFor(err error) bool {
	var d *sched.DemandError
	return errors.As(err, &d) && d.Status == event.Blocked
}

// withLazy makes the producers of the lazy parameters run, and resolves the parameters with what they gave.
func (a *attempt) withLazy(ctx context.Context) (*work, error) {
	for _, p := range a.leaf.producers {
		producer := a.producerInstance(p)
		status, err := a.ctl.Demand(ctx, producer, a.stale(producer) || a.n > 1)
		if blockedFor(err) {
			return nil, &notMade{what: a.plan.Name(producer), by: a.blockers(err), err: err}
		}
		if err != nil {
			return nil, err
		}
		if !status.Good() {
			return nil, fmt.Errorf("%s is %s", a.plan.Name(producer), status)
		}
	}
	return a.resolve(a.in, lazily)
}

// notMade is a demand that can't be met because of what has failed before.
type notMade struct {
	what string
	by   []string
	err  error
}

func (e *notMade) Error() string {
	return e.what + ", which it needs now, is blocked by " + strings.Join(e.by, ", ")
}

func (e *notMade) Unwrap() error { return e.err }

// blockers name what keeps a demand from being met.
func (a *attempt) blockers(err error) (names []string) {
	var d *sched.DemandError
	if errors.As(err, &d) {
		for _, root := range d.Roots {
			names = append(names, a.plan.Name(root))
		}
	}
	return names
}

// producerInstance is the instance of a task that runs on demand whose outputs in reads.
func (a *attempt) producerInstance(leaf int) sched.Instance {
	hosts := a.plan.Leaves[leaf].Hosts
	for _, h := range hosts {
		if h == a.in.Host {
			return sched.Instance{Task: leaf, Host: h}
		}
	}
	if len(hosts) == 0 {
		return sched.Instance{Task: leaf, Host: a.in.Host}
	}
	return sched.Instance{Task: leaf, Host: hosts[0]}
}

// margin is how long a value must still hold to be handed to a consumer: a join can take minutes.
const margin = 10 * time.Minute

// stale tells whether what a producer gave has expired, or will soon.
func (s *Session) stale(in sched.Instance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.results.get(in)
	return o != nil && !o.expires.IsZero() && o.expires.Sub(s.Clock.Now()) < margin
}

// result turns an outcome into a result and keeps the outputs.
func (a *attempt) result(out *job.Outcome, w *work) sched.Result {
	if f := out.Failure; f != nil {
		r := sched.Result{Status: event.Failed, Err: f, Retryable: f.Transient, Data: w}
		switch {
		case f.TimedOut:
			r.Status = event.TimedOut
		case f.Cancelled:
			r.Status = event.Cancelled
		}
		return r
	}
	o := &outcome{status: event.OK, changes: len(out.Changes), fingerprint: w.fingerprint, parts: w.parts}
	if out.Applied && len(out.Changes) > 0 {
		o.status, o.changed = event.Changed, true
	}
	if err := a.keep(o, out); err != nil {
		return sched.Result{Status: event.Failed, Err: err}
	}
	if r := a.until(o); r != nil {
		return *r
	}
	a.mu.Lock()
	a.results.set(a.in, o)
	a.mu.Unlock()
	return sched.Result{Status: o.status}
}

// keep takes the outputs over. Those of a loop are a list.
func (a *attempt) keep(o *outcome, out *job.Outcome) error {
	t := a.leaf.Task
	o.raw = rawOutputs(out.Outputs, t.ForEach != nil)
	if o.raw == nil {
		o.secret = t.SecretOutputs || t.Run == playbook.OnDemand
		return nil
	}
	if a.leaf.read || t.SecretOutputs || t.Run == playbook.OnDemand || t.Retry != nil {
		v, err := decode(o.raw)
		if err != nil {
			return fmt.Errorf("outputs: %w", err)
		}
		o.outputs = v
	}
	if t.SecretOutputs {
		a.Mask.Learn(texts(o.outputs, open(t.Kind))...)
	}
	// What is made on demand does not last.
	o.secret = t.SecretOutputs || t.Run == playbook.OnDemand || a.holdsSecret(o.raw)
	if m, ok := o.outputs.(map[string]any); ok {
		if at, ok := m["expires"].(string); ok {
			o.expires, _ = time.Parse(time.RFC3339, at) // a text that is no time does not expire
		}
	}
	return nil
}

// open are the names of outputs of a kind that are no secret, where it says which are.
func open(k *task.Kind) []string {
	var names []string
	secrets := 0
	for _, f := range shape.Of(k.Outputs).Fields {
		if f.Secret {
			secrets++
		} else {
			names = append(names, f.Name)
		}
	}
	if secrets == 0 {
		return nil
	}
	return names
}

// texts are the texts in a plain value that are long enough to be secrets, but for those under the given names.
func texts(v any, but []string) []string {
	var out []string
	switch v := v.(type) {
	case string:
		out = append(out, v)
	case []any:
		for _, x := range v {
			out = append(out, texts(x, but)...)
		}
	case map[string]any:
		for k, x := range v {
			if !slices.Contains(but, k) {
				out = append(out, texts(x, but)...)
			}
		}
	}
	return out
}

// ran remembers that an instance was carried out in this session, so that what depends on it is not reused.
func (s *Session) ran(in sched.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markAnew(in)
}

func (s *Session) markAnew(in sched.Instance) {
	s.anew[in.Task].add(in.Host)
}
