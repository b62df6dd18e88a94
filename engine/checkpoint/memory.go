package checkpoint

import (
	"sync"

	"github.com/kflow/kflow/engine/event"
)

// Memory is a log in memory, for runs that leave nothing behind: those on simulated hosts. It is safe for concurrent use.
type Memory struct {
	id string

	mu     sync.Mutex
	events []event.Event // those that State needs
	seq    int64
	forget bool
	limit  int64 // events after this one are lost; 0 = none
	full   func()
}

// NewMemory returns an empty log of a run of that id.
func NewMemory(id string) *Memory { return &Memory{id: id} }

// ID is the id of the run.
func (m *Memory) ID() string { return m.id }

// Seq is the number of the last event.
func (m *Memory) Seq() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seq
}

// Forget makes the log keep nothing but the number of the last event: nobody will go on with the run.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget, m.events = true, nil
}

// LoseAfter makes the log take no event after the one of that number, as if the controller had been killed then, and
// calls then at the first that is lost. 0 ends that.
func (m *Memory) LoseAfter(seq int64, then func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit, m.full = seq, then
}

// Append adds events.
func (m *Memory) Append(events ...event.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		if m.limit > 0 && e.Seq > m.limit {
			if m.full != nil {
				m.full()
				m.full = nil
			}
			return nil
		}
		if m.seq = max(m.seq, e.Seq); m.forget {
			continue
		}
		switch e.Type {
		case event.RunStarted, event.RunEnded, event.HostUp, GroupEntered, event.InstanceStarted, event.AttemptFailed, event.InstanceEnded:
			e.Diff = ""
			m.events = append(m.events, e)
		}
	}
	return nil
}

// Commit does nothing: nothing here outlives the process.
func (m *Memory) Commit() error { return nil }

// State is what the log says.
func (m *Memory) State() *State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := newState()
	for _, e := range m.events {
		s.add(e)
	}
	return s
}
