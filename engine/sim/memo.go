package sim

import (
	"reflect"
	"sync"

	"github.com/kflow/kflow/engine/task"
)

// memo is the kinds of a world, with the parameters that were read before: most tasks have the same ones on thousands of
// hosts. What it gives out shares its lists and maps, which kinds only read (tasktest sees to it).
type memo struct {
	*task.Registry

	mu    sync.RWMutex
	known map[reflect.Type]map[string]reflect.Value
	size  int // of the texts in known, in bytes
}

// The memo forgets everything when it has reached mostKnown, and keeps no text over longest, in bytes.
const (
	mostKnown = 8 << 20
	longest   = 16 << 10
)

func newMemo(kinds *task.Registry) *memo {
	return &memo{Registry: kinds, known: map[reflect.Type]map[string]reflect.Value{}}
}

// Decode is that of the registry.
func (m *memo) Decode(params []byte, into any) error {
	to := reflect.ValueOf(into).Elem()
	m.mu.RLock()
	have, ok := m.known[to.Type()][string(params)]
	m.mu.RUnlock()
	if ok {
		to.Set(have)
		return nil
	}
	if err := m.Registry.Decode(params, into); err != nil {
		return err
	}
	m.keep(string(params), to)
	return nil
}

func (m *memo) keep(params string, value reflect.Value) {
	if len(params) > longest {
		return
	}
	kept := reflect.New(value.Type()).Elem()
	kept.Set(value)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.size += len(params); m.size > mostKnown {
		m.size = len(params)
		clear(m.known)
	}
	of := m.known[value.Type()]
	if of == nil {
		of = map[string]reflect.Value{}
		m.known[value.Type()] = of
	}
	of[params] = kept
}
