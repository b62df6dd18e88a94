package sched_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

var errBoom = errors.New("boom")

// play is a playbook and how its instances behave. Unless told otherwise, an instance takes a second and is ok.
type play struct {
	t       *testing.T
	spec    sched.Spec
	presets []sched.Preset
	unknown []sched.Instance
	acts    map[string]act       // by "task@host" or "task"
	conds   map[string]condition // by "task@host", "task", "group@host" or "group"
	sched   *sched.Scheduler
	sum     sched.Summary
	err     error

	mu      sync.Mutex
	zero    time.Time
	log     []string // what the observer heard: "0s start a@0", "1s end a@0 ok"
	endings map[string]sched.Ending
	active  map[string]int // instances in Do, by task
	most    map[string]int // the most of them at the same time; "" is all tasks
}

type (
	act       func(ctx context.Context, attempt int, ctl sched.Control) sched.Result
	condition func() sched.Condition
)

func newPlay(t *testing.T, hosts int) *play {
	return &play{t: t, spec: sched.Spec{Hosts: hosts}, acts: map[string]act{}, conds: map[string]condition{},
		endings: map[string]sched.Ending{}, active: map[string]int{}, most: map[string]int{}}
}

// task adds a task on hosts 0 to n-1.
func (p *play) task(id string, n int, set ...func(*sched.Task)) int {
	return p.taskOn(id, hosts(n), set...)
}

func (p *play) taskOn(id string, on []int, set ...func(*sched.Task)) int {
	task := sched.Task{ID: id, Hosts: on, Group: sched.None}
	for _, f := range set {
		f(&task)
	}
	p.spec.Tasks = append(p.spec.Tasks, task)
	return len(p.spec.Tasks) - 1
}

func (p *play) group(id string, n int, set ...func(*sched.Group)) int {
	g := sched.Group{ID: id, Hosts: hosts(n), Group: sched.None}
	for _, f := range set {
		f(&g)
	}
	p.spec.Groups = append(p.spec.Groups, g)
	return len(p.spec.Groups) - 1
}

func hosts(n int) []int {
	list := make([]int, n)
	for h := range list {
		list[h] = h
	}
	return list
}

func needs(tasks ...int) func(*sched.Task) {
	return func(t *sched.Task) {
		for _, k := range tasks {
			t.Needs = append(t.Needs, sched.Need{Task: k})
		}
	}
}

func needsAll(tasks ...int) func(*sched.Task) {
	return func(t *sched.Task) {
		for _, k := range tasks {
			t.Needs = append(t.Needs, sched.Need{Task: k, Form: sched.AllHosts})
		}
	}
}

func in(group int) func(*sched.Task)       { return func(t *sched.Task) { t.Group = group } }
func run(mode sched.Run) func(*sched.Task) { return func(t *sched.Task) { t.Run = mode } }
func conditional(t *sched.Task)            { t.When = true }
func attempts(n int, delay time.Duration) func(*sched.Task) {
	return func(t *sched.Task) { t.Retry = &sched.Retry{Attempts: n, Delay: delay} }
}

// does says how an instance ("a@0") or all of a task ("a") behave.
func (p *play) does(name string, f act) { p.acts[name] = f }

func (p *play) fails(names ...string) {
	for _, name := range names {
		p.does(name, takes(time.Second, sched.Result{Err: errBoom}))
	}
}

// takes returns an act of a duration and a result.
func takes(d time.Duration, res sched.Result) act {
	return func(ctx context.Context, _ int, _ sched.Control) sched.Result {
		if err := sleep(ctx, d); err != nil {
			return sched.Result{Err: err}
		}
		return res
	}
}

// failsFirst returns an act whose first n attempts fail.
func failsFirst(n int, res sched.Result) act {
	calls := 0
	return func(ctx context.Context, _ int, _ sched.Control) sched.Result {
		if err := sleep(ctx, time.Second); err != nil {
			return sched.Result{Err: err}
		}
		if calls++; calls <= n {
			return res
		}
		return sched.Result{Status: event.Changed}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *play) conditionIs(name string, run bool) {
	p.conds[name] = func() sched.Condition { return sched.Condition{Run: run, Text: name + " wants"} }
}

// run carries the playbook out in virtual time; during is called with it.
func (p *play) run(during ...func()) *play {
	p.t.Helper()
	return p.runWith(p, during...)
}

func (p *play) runWith(obs sched.Observer, during ...func()) *play {
	p.t.Helper()
	synctest.Test(p.t, func(t *testing.T) {
		p.runContext(t.Context(), obs, during...)
	})
	return p
}

// runContext is run for a test that is in a bubble already.
func (p *play) runContext(ctx context.Context, obs sched.Observer, during ...func()) {
	p.zero = time.Now()
	s, err := sched.New(p.spec)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sched = s
	if dropped, err := s.Preset(p.presets); err != nil || len(dropped) > 0 {
		p.log = append(p.log, fmt.Sprint("presets dropped: ", len(dropped), " ", err))
	}
	for _, in := range p.unknown {
		if err := s.Unknown(in, errBoom); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, f := range during {
		go f()
	}
	p.sum, p.err = s.Run(ctx, (*hands)(p), obs)
}

func (p *play) name(in sched.Instance) string {
	return fmt.Sprintf("%s@%d", p.spec.Tasks[in.Task].ID, in.Host)
}

// note writes a line of the log.
func (p *play) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprintf("%v ", time.Since(p.zero))+fmt.Sprintf(format, args...))
}

func (p *play) Started(in sched.Instance, attempt int) {
	if attempt > 1 {
		p.note("start %s (%d)", p.name(in), attempt)
		return
	}
	p.note("start %s", p.name(in))
}

func (p *play) AttemptFailed(in sched.Instance, attempt int, r sched.Result, retryIn time.Duration) {
	p.note("attempt %d of %s: %s, again in %v", attempt, p.name(in), r.Status, retryIn)
}

func (p *play) Ended(in sched.Instance, e sched.Ending) {
	p.note("end %s %s", p.name(in), e.Status)
	p.endings[p.name(in)] = e
}

// hands is a play as an Executor.
type hands play

func (x *hands) Do(ctx context.Context, in sched.Instance, attempt int, ctl sched.Control) sched.Result {
	p := (*play)(x)
	defer p.enter("", p.spec.Tasks[in.Task].ID)()
	if f := lookup(p.acts, p.name(in)); f != nil {
		return f(ctx, attempt, ctl)
	}
	return takes(time.Second, sched.Result{})(ctx, attempt, ctl)
}

// enter counts what runs at the same time.
func (p *play) enter(names ...string) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range names {
		p.active[k]++
		p.most[k] = max(p.most[k], p.active[k])
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, k := range names {
			p.active[k]--
		}
	}
}

func (x *hands) When(_ context.Context, in sched.Instance) sched.Condition {
	return lookup(x.conds, (*play)(x).name(in))()
}

func (x *hands) Enter(_ context.Context, group, host int) sched.Condition {
	return lookup(x.conds, fmt.Sprintf("%s@%d", x.spec.Groups[group].ID, host))()
}

func lookup[V any](m map[string]V, name string) V {
	if v, ok := m[name]; ok {
		return v
	}
	task, _, _ := strings.Cut(name, "@")
	return m[task]
}

// wantResults compares results, given as "task: result of each of its hosts".
func (p *play) wantResults(want ...string) {
	p.t.Helper()
	if p.err != nil {
		p.t.Errorf("error: %v", p.err)
	}
	p.wantStatuses(want...)
}

func (p *play) wantStatuses(want ...string) {
	p.t.Helper()
	var got []string
	for k, task := range p.spec.Tasks {
		line := task.ID + ":"
		for _, h := range task.Hosts {
			s := p.sum.Status(sched.Instance{Task: k, Host: h})
			if s == event.Pending {
				s = "-"
			}
			line += " " + string(s)
		}
		got = append(got, line)
	}
	p.wantLines(got, want)
}

// wantLog compares what the observer heard, times included.
func (p *play) wantLog(want ...string) { p.t.Helper(); p.wantLines(p.log, want) }

// wantStarts compares the starts alone. What starts at the same moment is compared in the order of its names: which of
// two workers that end at the same moment is heard first is not for the scheduler to say.
func (p *play) wantStarts(want ...string) {
	p.t.Helper()
	type start struct{ at, name string }
	var starts []start
	for _, line := range p.log {
		if at, name, ok := strings.Cut(line, " start "); ok {
			starts = append(starts, start{at, name})
		}
	}
	var got []string
	for len(starts) > 0 {
		n := slices.IndexFunc(starts, func(s start) bool { return s.at != starts[0].at })
		if n < 0 {
			n = len(starts)
		}
		slices.SortFunc(starts[:n], func(a, b start) int { return strings.Compare(a.name, b.name) })
		for _, s := range starts[:n] {
			got = append(got, s.at+" "+s.name)
		}
		starts = starts[n:]
	}
	p.wantLines(got, want)
}

func (p *play) wantLines(got, want []string) {
	p.t.Helper()
	if !slices.Equal(got, want) {
		p.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// wantRoots compares the roots of an instance that is blocked.
func (p *play) wantRoots(name string, want ...string) {
	p.t.Helper()
	var got []string
	for _, in := range p.endings[name].Roots {
		got = append(got, p.name(in))
	}
	slices.Sort(got)
	p.wantLines(got, want)
}

// wantSummary compares the roots of the run, given as "a@0 blocked 3".
func (p *play) wantSummary(want ...string) {
	p.t.Helper()
	var got []string
	for _, r := range p.sum.Roots {
		line := fmt.Sprintf("%s blocked %d", p.name(r.Instance), r.Blocked)
		if r.Allowed {
			line += ", allowed"
		}
		got = append(got, line)
	}
	p.wantLines(got, want)
}

func (p *play) counts() string {
	var parts []string
	for _, s := range slices.Sorted(maps.Keys(p.sum.Counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", s, p.sum.Counts[s]))
	}
	return strings.Join(parts, ", ")
}
