package sched_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// TestRandomPlaybooksEndAsTheReferenceSays runs random playbooks (needs of both forms, nested groups with conditions,
// retries, locks and finally tasks, tolerated failures, demands) with random failures, durations and limits, and compares
// every result with the naive executor in reference_test.go. SCHED_SEED runs one of them alone.
func TestRandomPlaybooksEndAsTheReferenceSays(t *testing.T) {
	first, n := uint64(1), uint64(400)
	if s, err := strconv.ParseUint(os.Getenv("SCHED_SEED"), 10, 64); err == nil {
		first, n = s, 1
	}
	for seed := first; seed < first+n && !t.Failed(); seed++ {
		g := generate(t, seed)
		g.play.runWith(&disk{play: g.play, takes: g.upTo(5)})
		if g.play.err != nil {
			t.Fatalf("seed %d: %v", seed, g.play.err)
		}
		g.compare(seed)
	}
}

// random is a random playbook.
type random struct {
	*rand.Rand
	play   *play
	lists  [][]int      // host lists to choose from
	fate   map[key]fate // of tasks
	condOf map[key]bool // of tasks
	condIn map[key]bool // of groups
}

// key is a task or group on a host.
type key struct{ index, host int }

// fate is how an instance behaves.
type fate struct {
	fails   int // so many calls, then it is ok
	as      event.Status
	takes   time.Duration
	demands int // OnDemand task it demands on its own host, or None
}

func generate(t *testing.T, seed uint64) *random {
	g := &random{Rand: rand.New(rand.NewPCG(seed, 7)), fate: map[key]fate{}, condOf: map[key]bool{}, condIn: map[key]bool{}}
	g.play = newPlay(t, 1+g.IntN(5))
	g.lists = [][]int{hosts(g.play.spec.Hosts), g.Perm(g.play.spec.Hosts), g.Perm(g.play.spec.Hosts)[:1], nil}
	g.play.spec.Limits = sched.Limits{Total: 1 + g.IntN(6), PerHost: 1 + g.IntN(3)}
	g.items(2+g.IntN(10), sched.None, 0)
	for k := range g.play.spec.Tasks {
		g.behave(k)
	}
	for k := range g.play.spec.Groups {
		id := g.play.spec.Groups[k].ID
		for h := range g.play.spec.Hosts {
			g.condIn[key{k, h}] = g.IntN(4) > 0
			g.play.conditionIs(fmt.Sprintf("%s@%d", id, h), g.condIn[key{k, h}])
		}
	}
	return g
}

func (g *random) one(in int) bool { return g.IntN(in) == 0 }

func (g *random) upTo(ms int) time.Duration { return time.Duration(g.IntN(ms)) * time.Millisecond }

// items adds tasks and groups after each other.
func (g *random) items(n, group, depth int) {
	for range n {
		if depth < 3 && g.one(4) {
			g.addGroup(group, depth)
			continue
		}
		g.addTask(group)
	}
}

func (g *random) addGroup(parent, depth int) {
	k := len(g.play.spec.Groups)
	s := sched.Group{ID: fmt.Sprint("g", k), Group: parent, Hosts: g.lists[g.IntN(3)], When: g.one(3),
		AllowFailure: g.one(6), Needs: g.needs(parent)}
	if parent != sched.None && g.one(6) {
		s.Run = sched.Always
	}
	if g.one(4) {
		s.Retry = &sched.Retry{Attempts: 2 + g.IntN(2), Delay: g.upTo(10)}
	}
	if g.one(4) {
		s.MaxParallel, s.MaxFailures = 1+g.IntN(2), 1000
	}
	if !g.locked(parent) && g.one(4) {
		s.Lock = "group"
	}
	g.play.spec.Groups = append(g.play.spec.Groups, s)
	g.items(1+g.IntN(4), k, depth+1)
}

func (g *random) addTask(group int) {
	t := sched.Task{ID: fmt.Sprint("t", len(g.play.spec.Tasks)), Group: group, Hosts: g.lists[g.IntN(4)], When: g.one(4),
		AllowFailure: g.one(8), Needs: g.needs(group), Weight: g.upTo(100), DurableStart: g.one(5)}
	switch g.IntN(12) {
	case 0:
		t.Run = sched.OnFailure
	case 1, 2:
		t.Run = sched.Always
	case 3:
		if group == sched.None { // elsewhere it could depend on the one that demands it
			t.Run, t.Needs = sched.OnDemand, nil
		}
	}
	if g.one(5) {
		t.Retry = &sched.Retry{Attempts: 2, Delay: g.upTo(10), Backoff: 2}
	}
	if g.one(6) {
		t.MaxParallel, t.MaxFailures = 1+g.IntN(2), 1000
	}
	if t.Run != sched.OnDemand && !g.locked(group) && g.one(5) {
		t.Lock = "task"
	}
	if g.one(4) {
		t.Class = "package"
	}
	g.play.spec.Tasks = append(g.play.spec.Tasks, t)
}

// needs chooses among the tasks before, in a form that the groups around allow.
func (g *random) needs(group int) (list []sched.Need) {
	if len(g.play.spec.Tasks) == 0 {
		return nil
	}
	for range g.IntN(4) {
		n := sched.Need{Task: g.IntN(len(g.play.spec.Tasks))}
		if g.one(3) && !g.holdBoth(group, g.play.spec.Tasks[n.Task].Group) {
			n.Form = sched.AllHosts
		}
		list = append(list, n)
	}
	return list
}

func (g *random) locked(group int) bool {
	for ; group != sched.None; group = g.play.spec.Groups[group].Group {
		if g.play.spec.Groups[group].Lock != "" {
			return true
		}
	}
	return false
}

// holdBoth tells whether a group that holds something is around both.
func (g *random) holdBoth(a, b int) bool {
	for p := a; p != sched.None; p = g.play.spec.Groups[p].Group {
		if s := g.play.spec.Groups[p]; (s.Lock != "" || s.MaxParallel > 0 || s.Retry != nil) && within(&g.play.spec, b, p) {
			return true
		}
	}
	return false
}

// within tells whether group a is group b, or lies inside it.
func within(spec *sched.Spec, a, b int) bool {
	for ; a != sched.None; a = spec.Groups[a].Group {
		if a == b {
			return true
		}
	}
	return false
}

func (g *random) behave(k int) {
	task := g.play.spec.Tasks[k]
	for _, h := range task.Hosts {
		f := fate{takes: g.upTo(20), demands: sched.None, as: event.Failed}
		if g.one(4) {
			f.fails = 1 + g.IntN(4)
		}
		if g.one(3) {
			f.as = event.Unreachable
		}
		if other := g.IntN(len(g.play.spec.Tasks)); task.Run != sched.OnDemand && g.play.spec.Tasks[other].Run == sched.OnDemand {
			f.demands = other
		}
		at, name := key{k, h}, fmt.Sprintf("%s@%d", task.ID, h)
		g.fate[at], g.condOf[at] = f, g.IntN(4) > 0
		g.play.conditionIs(name, g.condOf[at])
		g.play.does(name, g.act(f, h))
	}
}

func (g *random) act(f fate, host int) act {
	calls := 0
	return func(ctx context.Context, _ int, ctl sched.Control) sched.Result {
		calls++
		if f.demands != sched.None {
			if _, err := ctl.Demand(ctx, sched.Instance{Task: f.demands, Host: host}, false); err != nil {
				return sched.Result{Err: err}
			}
		}
		sleep(ctx, f.takes)
		if calls <= f.fails {
			return sched.Result{Status: f.as, Err: errBoom}
		}
		return sched.Result{}
	}
}

func (g *random) compare(seed uint64) {
	ref := newReference(g)
	for k, task := range g.play.spec.Tasks {
		for _, h := range task.Hosts {
			want := ref.final(key{k, h})
			if got := asFirst(g.play.sum.Status(sched.Instance{Task: k, Host: h})); got != want {
				g.play.t.Errorf("seed %d: %s@%d is %q, want %q", seed, task.ID, h, got, want)
			}
		}
	}
}

// TestLimitsHoldAtEveryMoment counts in random playbooks without demands.
func TestLimitsHoldAtEveryMoment(t *testing.T) {
	for seed := uint64(1000); seed < 1100 && !t.Failed(); seed++ {
		g := generate(t, seed)
		for at, f := range g.fate {
			f.demands = sched.None
			name := fmt.Sprintf("%s@%d", g.play.spec.Tasks[at.index].ID, at.host)
			g.play.does(name, g.counted(at, g.act(f, at.host)))
		}
		synctest.Test(t, func(t *testing.T) { g.play.runContext(t.Context(), observed{g.play}) })
		spec := g.play.spec
		bounds := map[string]int{"": spec.Limits.Total, "lock task": 1}
		for h := range spec.Hosts {
			bounds[fmt.Sprint("host ", h)] = spec.Limits.PerHost
			bounds[fmt.Sprint("class ", h)] = 1
		}
		for _, task := range spec.Tasks {
			if task.MaxParallel > 0 {
				bounds[task.ID] = task.MaxParallel
			}
		}
		for what, n := range bounds {
			if g.play.most[what] > n {
				t.Errorf("seed %d: %d of %q at once, limit %d", seed, g.play.most[what], what, n)
			}
		}
	}
}

// counted counts an act under the limits it is subject to.
func (g *random) counted(at key, f act) act {
	task := g.play.spec.Tasks[at.index]
	names := []string{fmt.Sprint("host ", at.host)}
	if task.Class != "" {
		names = append(names, fmt.Sprint("class ", at.host))
	}
	if task.Lock != "" {
		names = append(names, "lock task")
	}
	return func(ctx context.Context, n int, ctl sched.Control) sched.Result {
		defer g.play.enter(names...)()
		return f(ctx, n, ctl)
	}
}
