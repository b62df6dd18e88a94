package sim

import (
	"slices"
	"strings"
	"sync"
)

// Faults are those of a world.
type Faults struct {
	w  *World
	mu sync.Mutex

	list   []*active
	all    []*active            // with those that are healed
	broken map[string][]*active // hosts whose downloads are damaged, by which faults
	// KillNow ends the controller, as far as a rehearsal has one.
	KillNow func()
}

// active is a fault of a world.
type active struct {
	Fault
	left int
	met  int // instances that it met
	hit  int // times that it had an effect
}

func newFaults(w *World) *Faults { return &Faults{w: w, broken: map[string][]*active{}} }

// Add makes a fault happen.
func (s *Faults) Add(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &active{Fault: f, left: f.Times}
	a.is = a
	s.list, s.all = append(s.list, a), append(s.all, a)
}

// Hits tells how often faults have had an effect.
func (s *Faults) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.all {
		n += f.hit
	}
	return n
}

// Idle are the faults that have had no effect by now, each with the reason.
func (s *Faults) Idle() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, f := range s.all {
		why := "what it names was skipped, or the run ended before"
		switch {
		case f.hit > 0:
			continue
		case f.Event > 0:
			why = "the run had ended before that event"
		case f.met > 0 && f.Kind == Corrupt:
			why = "what it names downloads nothing, or had it already"
		case f.met > 0 && f.Kind == Expired:
			why = "what it names uses no token and no certificate key"
		}
		out = append(out, "the fault "+f.Text+" has struck nothing: "+why)
	}
	return out
}

// Heal ends all faults and what they have left: disks are free, hosts are on the network, clocks are right.
func (s *Faults) Heal() {
	s.mu.Lock()
	s.list, s.broken = nil, map[string][]*active{}
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

// meet takes the faults that an attempt of an instance meets. Most have an effect with that; of the others struck is told.
func (s *Faults) meet(instance string) []Fault {
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
		f.met++
		if f.Kind != Corrupt && f.Kind != Expired {
			f.hit++
		}
		out = append(out, f.Fault)
	}
	return out
}

// struck notes that a fault has had its effect.
func (s *Faults) struck(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.is.hit++
}

// corrupts tells whether a download of a host is damaged.
func (s *Faults) corrupts(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.broken[host] {
		f.hit++
	}
	return len(s.broken[host]) > 0
}

// damage makes downloads of a host come damaged until the function it returns is called.
func (s *Faults) damage(host string, faults []Fault) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var mine []*active
	for _, f := range faults {
		if f.Kind == Corrupt {
			mine = append(mine, f.is)
		}
	}
	s.broken[host] = append(s.broken[host], mine...)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.broken[host] = slices.DeleteFunc(s.broken[host], func(f *active) bool { return slices.Contains(mine, f) })
	}
}

// kill ends the controller.
func (s *Faults) kill() {
	s.mu.Lock()
	f := s.KillNow
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

func (s *Faults) onKill(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.KillNow = f
}

// killAt is the event at which the controller is killed; 0 = never.
func (s *Faults) killAt() (f Fault, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		if f.Kind == Kill && f.Host == controllerName {
			return f.Fault, f.Event
		}
	}
	return Fault{}, 0
}
