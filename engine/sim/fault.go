package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/diag"
)

// Kind is what goes wrong.
type Kind string

// The kinds of fault.
const (
	Fail        Kind = "fail"        // its first command, or write, fails
	Lost        Kind = "lost"        // it is carried out, but the answer is lost with the connection
	Drop        Kind = "drop"        // the connection breaks in mid task: what runs on the host is ended
	Slow        Kind = "slow"        // from here on its host takes longer, by a factor
	Unreachable Kind = "unreachable" // its host goes off the network in mid task
	Reboot      Kind = "reboot"      // its host reboots in mid task
	DiskFull    Kind = "disk-full"   // from here on its host can write no file
	Clock       Kind = "clock"       // from here on the clock of its host is off, by a duration
	Corrupt     Kind = "corrupt"     // what it downloads is damaged
	Expired     Kind = "expired"     // tokens and certificate keys of the cluster have expired when it wants to use them
	Kill        Kind = "kill"        // the controller is killed in mid task, or at event N (controller:kill:N)
)

// Kinds are all kinds of fault.
func Kinds() []Kind {
	return []Kind{Fail, Lost, Drop, Slow, Unreachable, Reboot, DiskFull, Clock, Corrupt, Expired, Kill}
}

// Forever is the number of times of a fault that only Heal ends.
const Forever = -1

// Fault is something that goes wrong at an instance.
type Fault struct {
	Text   string // as it was written
	Task   string // path; "" = any
	Host   string // "" = any
	Kind   Kind
	Times  int // attempts that it hits; Forever
	Event  int64
	By     time.Duration // of Clock
	Factor float64       // of Slow
}

// String is the fault as it is written.
func (f Fault) String() string { return f.Text }

// controllerName is the target of faults of the controller.
const controllerName = "controller"

// ParseFault reads TASK@HOST:KIND[:ARGUMENT]; the task or the host can be left out.
func ParseFault(text string) (Fault, error) {
	target, rest, ok := strings.Cut(text, ":")
	if !ok {
		return Fault{}, fmt.Errorf("fault %q is not TASK@HOST:KIND[:ARGUMENT], for example init@k8s-mn01:fail:2", text)
	}
	kind, arg, _ := strings.Cut(rest, ":")
	f := Fault{Text: text, Kind: Kind(kind), Times: 1}
	if !slices.Contains(Kinds(), f.Kind) {
		return f, unknown("kind of fault", kind, names(Kinds()))
	}
	if f.Task, f.Host, ok = strings.Cut(target, "@"); !ok && target == controllerName {
		f.Task, f.Host = "", controllerName
	}
	return f, f.argument(arg)
}

func names(kinds []Kind) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}

func (f *Fault) argument(arg string) (err error) {
	switch f.Kind {
	case Slow:
		f.Times, f.Factor = Forever, 10
		if arg != "" {
			f.Factor, err = strconv.ParseFloat(strings.TrimPrefix(arg, "x"), 64)
		}
	case Clock:
		f.Times, f.By = Forever, -26*time.Hour
		if arg != "" {
			f.By, err = time.ParseDuration(arg)
		}
	case Kill:
		if arg != "" {
			f.Event, err = strconv.ParseInt(arg, 10, 64)
		}
		if f.Host == controllerName && f.Event == 0 && err == nil {
			err = fmt.Errorf("say at which event: controller:kill:120")
		}
	case DiskFull:
		f.Times = Forever
	default:
		switch arg {
		case "":
		case "forever":
			f.Times = Forever
		default:
			f.Times, err = strconv.Atoi(arg)
		}
	}
	if err != nil {
		return fmt.Errorf("fault %q: %w", f.Text, err)
	}
	return nil
}

// Target is what faults can name.
type Target struct {
	Task  string
	Hosts []string
}

// Check says whether the fault matches any instance; the error names what is nearest.
func (f Fault) Check(targets []Target) error {
	if f.Host == controllerName {
		return nil
	}
	var tasks, hosts, here []string
	for _, t := range targets {
		tasks = append(tasks, t.Task)
		hosts = append(hosts, t.Hosts...)
		if t.Task == f.Task {
			here = append(here, t.Hosts...)
		}
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	switch {
	case f.Task != "" && !slices.Contains(tasks, f.Task):
		return unknown("task", f.Task, tasks)
	case f.Host != "" && !slices.Contains(hosts, f.Host):
		return unknown("host", f.Host, hosts)
	case f.Task != "" && f.Host != "" && !slices.Contains(here, f.Host):
		return fmt.Errorf("task `%s` does not run on `%s`: it runs on %s", f.Task, f.Host, strings.Join(here, ", "))
	}
	return nil
}

// Help is what was most likely meant.
func (e *NameError) Help() string { return diag.DidYouMean(e.Got, e.Known) }

// Faults are those of a world.
type Faults struct {
	w  *World
	mu sync.Mutex

	list   []*active
	broken map[string]int // hosts whose downloads are damaged, by how many of their tasks
	// KillNow ends the controller, as far as a rehearsal has one.
	KillNow func()
}

type active struct {
	Fault
	left int
	hit  int
}

func newFaults(w *World) *Faults { return &Faults{w: w, broken: map[string]int{}} }

// Add makes a fault happen.
func (s *Faults) Add(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, &active{Fault: f, left: f.Times})
}

// Hits tells how often faults have struck.
func (s *Faults) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.list {
		n += f.hit
	}
	return n
}

// Heal ends all faults and what they have left: disks are free, hosts are on the network, clocks are right.
func (s *Faults) Heal() {
	s.mu.Lock()
	s.list, s.broken = nil, map[string]int{}
	s.mu.Unlock()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, name := range s.w.order {
		h := s.w.hosts[name]
		h.SetFull(false)
		h.SetSlow(1)
		h.SetSkew(0)
		s.w.Network.SetDown(name, false)
	}
}

// strike takes the faults that hit an attempt of an instance.
func (s *Faults) strike(instance string) []Fault {
	task, host, _ := strings.Cut(instance, "@")
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Fault
	for _, f := range s.list {
		if f.left == 0 || f.Task != "" && f.Task != task || f.Host != "" && f.Host != host {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		f.hit++
		out = append(out, f.Fault)
	}
	return out
}

func (s *Faults) corrupts(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken[host] > 0
}

func (s *Faults) damage(host string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[host] += n
}
