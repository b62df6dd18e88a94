package run

import (
	"encoding/json"
	"time"

	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sched"
)

// outcome is what is known of an instance that ended. It is not changed once it is kept.
type outcome struct {
	status      event.Status
	changed     bool
	allowed     bool            // a failure that is tolerated
	outputs     any             // plain, for expressions; nil = none, or none that anybody reads
	raw         json.RawMessage // the outputs as they came; nil = none
	fingerprint string
	parts       map[string]string
	changes     int
	secret      bool // outputs must not be stored
	expires     time.Time
}

// outcomes are those of all instances that have one: a list for each leaf, by host, because there can be a million.
type outcomes struct {
	by     [][]*outcome
	hosts  int
	shared map[outcomeKey]*outcome
}

type outcomeKey struct {
	status           event.Status
	changed, allowed bool
}

func newOutcomes(leaves, hosts int) *outcomes {
	return &outcomes{by: make([][]*outcome, leaves), hosts: hosts, shared: map[outcomeKey]*outcome{}}
}

func (o *outcomes) get(in sched.Instance) *outcome {
	if o.by[in.Task] == nil {
		return nil
	}
	return o.by[in.Task][in.Host]
}

func (o *outcomes) set(in sched.Instance, x *outcome) {
	if o.by[in.Task] == nil {
		o.by[in.Task] = make([]*outcome, o.hosts)
	}
	o.by[in.Task][in.Host] = x
}

// forget takes all of an outcome away but how it ended: its end has been told, and nobody reads more.
func (o *outcomes) forget(in sched.Instance, x *outcome) {
	key := outcomeKey{x.status, x.changed, x.allowed}
	if o.shared[key] == nil {
		o.shared[key] = &outcome{status: x.status, changed: x.changed, allowed: x.allowed}
	}
	o.set(in, o.shared[key])
}

func (o *outcomes) clear() { clear(o.by) }

// hostSet is a set of hosts of a leaf.
type hostSet struct {
	bits []uint64
	some bool
}

func (s *hostSet) has(h int) bool { return h/64 < len(s.bits) && s.bits[h/64]&(1<<(h%64)) != 0 }

func (s *hostSet) add(h int) {
	if short := h/64 + 1 - len(s.bits); short > 0 {
		s.bits = append(s.bits, make([]uint64, short)...)
	}
	s.bits[h/64] |= 1 << (h % 64)
	s.some = true
}

// rawOutputs are outputs as an event has them: those of a loop are a list.
func rawOutputs(outputs []json.RawMessage, loop bool) json.RawMessage {
	for i, raw := range outputs {
		if len(raw) == 0 {
			outputs[i] = json.RawMessage("null")
		}
	}
	switch {
	case loop:
		all := json.RawMessage("[")
		for i, raw := range outputs {
			if i > 0 {
				all = append(all, ',')
			}
			all = append(all, raw...)
		}
		return append(all, ']')
	case len(outputs) == 1 && string(outputs[0]) != "null":
		return outputs[0]
	}
	return nil
}
