package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/run"
)

// Sweep rehearses a project once for every instance and every kind of fault: the fault strikes, it is healed, the run goes
// on. A case is WRONG when the run does not come to its end after that, when work that was finished is done again, when
// a further run still finds something to change that an undisturbed one does not, or when what is on the hosts is not what a run without fault leaves.
type Sweep struct {
	Project *engine.Project
	Options Options // of each world
	Every   int     // only every Nth case; 0 and 1 = all
	Kinds   []Kind  // nil = those of SweepKinds
	Workers int
	Gap     time.Duration // simulated time between failure and resume
	Done    func(n, all int)

	again map[string]bool // what a further run without fault changes again
}

// SweepKinds are the kinds of fault that a sweep tries.
func SweepKinds() []Kind {
	return []Kind{Fail, Lost, Drop, Slow, Unreachable, Reboot, DiskFull, Clock, Corrupt, Expired, Kill}
}

// Verdict is what became of a case.
type Verdict string

// The verdicts.
const (
	Survived Verdict = "survived" // the run came to a good end by itself
	Resumed  Verdict = "resumed"  // it failed, was healed, and came to a good end
	Blocked  Verdict = "blocked"  // it stopped before something that may not be done twice, as it should
	Idle     Verdict = "idle"     // the fault finds nothing there: no download, no token
	Wrong    Verdict = "WRONG"
)

// Case is one fault of a sweep.
type Case struct {
	Fault   Fault
	Verdict Verdict
	Why     string
}

// Run makes the sweep. The cases are in the order of the playbook.
func (s *Sweep) Run(ctx context.Context) ([]Case, error) {
	if s.Options.Images == nil {
		s.Options.Images = NewImages(s.Options.Packages...)
	}
	want, ran, err := s.baseline(ctx)
	if err != nil {
		return nil, err
	}
	faults := s.faults(ran)
	cases := make([]Case, len(faults))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range max(s.Workers, 1) {
		wg.Go(func() {
			for i := range next {
				cases[i] = s.try(ctx, faults[i], want)
				mu.Lock()
				if done++; s.Done != nil {
					s.Done(done, len(faults))
				}
				mu.Unlock()
			}
		})
	}
	for i := range faults {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return cases, ctx.Err()
}

// faults are the cases: every instance that runs, times every kind.
func (s *Sweep) faults(ran map[string]bool) []Fault {
	kinds := s.Kinds
	if len(kinds) == 0 {
		kinds = SweepKinds()
	}
	var out []Fault
	n := 0
	for _, t := range s.Project.Tasks() {
		for _, h := range t.Hosts {
			if !ran[t.Path+"@"+h] {
				continue
			}
			for _, k := range kinds {
				if n++; s.Every > 1 && n%s.Every != 0 {
					continue
				}
				if f, err := ParseFault(t.Path + "@" + h + ":" + string(k)); err == nil {
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// baseline is what a run without fault, and a further one, leave on the hosts, and which instances it carries out.
func (s *Sweep) baseline(ctx context.Context) (digest string, ran map[string]bool, err error) {
	ran = map[string]bool{}
	session := NewSession(s.Project, NewWorld(s.Options))
	result, err := session.Run(ctx, event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceStarted {
			ran[e.Instance] = true
		}
	}), nil)
	if err == nil && result.Exit != 0 {
		err = fmt.Errorf("the playbook fails without any fault: run it with `kflow simulate` first")
	}
	if err != nil {
		return "", nil, err
	}
	s.again = map[string]bool{}
	_, err = NewSession(s.Project, session.World).Run(ctx, event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded && e.Changed {
			s.again[e.Instance] = true
		}
	}), nil)
	return session.World.Digest(), ran, err
}

// try carries out one case.
func (s *Sweep) try(ctx context.Context, f Fault, want string) Case {
	w := NewWorld(s.Options)
	w.Faults.Add(f)
	session := NewSession(s.Project, w)
	wrong := func(format string, args ...any) Case { return Case{f, Wrong, fmt.Sprintf(format, args...)} }
	verdict := Survived
	result, err := session.Run(ctx, nothing(), nil)
	switch {
	case err != nil && !Killed(err):
		return wrong("the run broke: %v", err)
	case f.Kind == Kill && !Killed(err):
		return wrong("the controller outlived being killed")
	case err == nil && result.Exit == 0 && w.Faults.Hits() == 0 && (f.Kind == Corrupt || f.Kind == Expired):
		return Case{Fault: f, Verdict: Idle}
	case err == nil && result.Exit == 0 && w.Faults.Hits() == 0:
		return wrong("the fault never struck")
	}
	if err != nil || result.Exit != 0 {
		verdict = Resumed
		session.Heal(s.Gap)
		if result, err = session.Run(ctx, nothing(), nil); err != nil {
			return wrong("resume broke: %v", err)
		}
		if result.Exit != 0 {
			return s.stopped(f, session.Log.State(), result)
		}
	}
	if twice := s.twice(session.Log.State()); twice != "" {
		return wrong("%s was finished and then done again", twice)
	}
	session.Heal(0)
	if why := s.differs(ctx, w, want); why != "" {
		return wrong("%s", why)
	}
	return Case{Fault: f, Verdict: verdict}
}

// stopped judges a run that does not come to its end after a resume: it may stop before an action that may have been
// done.
func (s *Sweep) stopped(f Fault, state *checkpoint.State, result run.Result) Case {
	for _, root := range state.Roots {
		if root.Status == event.Unknown {
			return Case{f, Blocked, root.Instance}
		}
	}
	why := fmt.Sprintf("exit %d after resume", result.Exit)
	if len(state.Roots) > 0 && state.Roots[0].Failure != nil {
		why += ": " + state.Roots[0].Instance + ": " + state.Roots[0].Failure.Summary
	}
	return Case{f, Wrong, why}
}

// twice finds finished work that was done again. What runs on demand makes things that expire: it may. So may what the
// finally of its block undoes.
func (s *Sweep) twice(state *checkpoint.State) string {
	var found []string
	for name, i := range state.Instances {
		if i.Finished > 1 && !s.Project.OnDemand(i.Task) && !s.Project.Undone(i.Task) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return found[0]
}

// differs runs the project once more: nothing may be left to do but what each run does (a drain, an action), and the hosts
// must be as without fault.
func (s *Sweep) differs(ctx context.Context, w *World, want string) string {
	changed := ""
	again, err := NewSession(s.Project, w).Run(ctx, event.SinkFunc(func(e event.Event) {
		if e.Type == event.InstanceEnded && e.Changed && changed == "" && !s.again[e.Instance] {
			changed = e.Instance
		}
	}), nil)
	switch {
	case err != nil || again.Exit != 0:
		return "a further run fails"
	case changed != "":
		return "a further run still changes " + changed
	case w.Digest() != want:
		return "the files on the hosts are not those of a run without fault"
	}
	return ""
}

func nothing() event.Sink { return event.SinkFunc(func(event.Event) {}) }

// Table is the result of a sweep for people, and how many cases are WRONG.
func Table(cases []Case) (text string, wrong int) {
	var b strings.Builder
	count := map[Kind]map[Verdict]int{}
	for _, c := range cases {
		if count[c.Fault.Kind] == nil {
			count[c.Fault.Kind] = map[Verdict]int{}
		}
		count[c.Fault.Kind][c.Verdict]++
	}
	fmt.Fprintf(&b, "%-12s %7s %9s %9s %9s %7s %7s\n", "FAULT", "CASES", "SURVIVED", "RESUMED", "BLOCKED", "IDLE", "WRONG")
	total := map[Verdict]int{}
	for _, k := range SweepKinds() {
		c := count[k]
		if c == nil {
			continue
		}
		sum := 0
		for v, n := range c {
			sum += n
			total[v] += n
		}
		fmt.Fprintf(&b, "%-12s %7d %9d %9d %9d %7d %7d\n", k, sum, c[Survived], c[Resumed], c[Blocked], c[Idle], c[Wrong])
	}
	fmt.Fprintf(&b, "%-12s %7d %9d %9d %9d %7d %7d\n", "all", len(cases), total[Survived], total[Resumed], total[Blocked], total[Idle], total[Wrong])
	for _, c := range cases {
		if c.Verdict == Wrong {
			fmt.Fprintf(&b, "WRONG  %s: %s\n", c.Fault, c.Why)
		}
	}
	return b.String(), total[Wrong]
}
