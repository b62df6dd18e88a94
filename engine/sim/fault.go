package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

	is *active // the one of a world that this is
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
