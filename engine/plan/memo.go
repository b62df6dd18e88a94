package plan

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Memo keeps what expressions have come to, for the hosts that are alike in all that these read: most values are the same
// on all hosts, and with thousands of these the same lists, templates and conditions would be computed again for each. A
// nil Memo keeps nothing. It belongs to one session, and is safe for concurrent use.
type Memo struct {
	facts atomic.Int64 // moves on when facts of any host are others
	made  atomic.Int64 // how often something was computed

	mu    sync.Mutex
	kept  map[any]*kept
	lists map[string]hostList
}

// kept is what one value has come to.
type kept struct {
	reads  *reads
	facts  int64 // of the lists of hosts that were read
	by     map[string]any
	spread bool // it is another one on most hosts: not worth keeping
}

type hostList struct {
	facts int64
	list  []any
}

// alike is how many results of one value are kept. What has more of them is taken to differ on every host.
const alike = 32

// A Keeper is a Known that has a Memo.
type Keeper interface{ Memo() *Memo }

// NewMemo returns an empty one.
func NewMemo() *Memo { return &Memo{kept: map[any]*kept{}, lists: map[string]hostList{}} }

// FactsChanged says that the facts of a host are others than before.
func (m *Memo) FactsChanged() { m.facts.Add(1) }

// Made is how often something was computed, rather than found.
func (m *Memo) Made() int { return int(m.made.Load()) }

// memo is the one of a session; what is evaluated without one has that of the plan.
func (p *Plan) memo(known Known) *Memo {
	if known == nil {
		return p.static
	}
	if k, ok := known.(Keeper); ok {
		return k.Memo()
	}
	return nil
}

// Alike computes what a task comes to on a host, or finds what it came to on another that does not differ in anything its
// loop and its parameters (without the lazy ones) read. What it returns is shared, and not to be changed.
func (p *Plan) Alike(l *Leaf, host int, known Known, compute func() (any, error)) (any, error) {
	return p.remember(l, func() *reads { return p.readsOfLeaf(l) }, host, known, compute)
}

// remember is compute, or what it came to before under id where nothing that it reads is another.
func (p *Plan) remember(id any, find func() *reads, host int, known Known, compute func() (any, error)) (any, error) {
	m := p.memo(known)
	if m == nil || host == NoHost {
		return compute()
	}
	facts := m.facts.Load()
	k := m.of(id, find)
	key, ok := p.keyOf(k.reads, host, known)
	if !ok {
		m.made.Add(1)
		return compute()
	}
	if v, have := m.get(k, facts, key); have {
		return v, nil
	}
	m.made.Add(1)
	v, err := compute()
	if err == nil && m.facts.Load() == facts {
		m.put(k, facts, key, v)
	}
	return v, err
}

func (m *Memo) of(id any, find func() *reads) *kept {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.kept[id]
	if k == nil {
		k = &kept{reads: find(), by: map[string]any{}}
		m.kept[id] = k
	}
	return k
}

func (m *Memo) get(k *kept, facts int64, key string) (any, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k.reads.lists && k.facts != facts {
		k.facts = facts
		clear(k.by)
	}
	v, have := k.by[key]
	return v, have
}

func (m *Memo) put(k *kept, facts int64, key string, v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k.spread || k.reads.lists && k.facts != facts {
		return
	}
	if len(k.by) >= alike {
		k.spread = true
		clear(k.by)
		return
	}
	k.by[key] = v
}

// keyOf is what k reads of a host, as a text; false means that it can't be told.
func (p *Plan) keyOf(r *reads, host int, known Known) (string, bool) {
	if r.unknown {
		return "", false
	}
	if len(r.host) == 0 {
		return "", true
	}
	b := envBuilder{Plan: p, known: known}
	of := b.hostWithFacts(host)
	var key strings.Builder
	for _, path := range r.host {
		if !appendScalar(&key, of, path) {
			return "", false
		}
	}
	return key.String(), true
}

// appendScalar adds what stands at a path to a key; false means that it is no single text, number or truth.
func appendScalar(key *strings.Builder, of map[string]any, path []string) bool {
	var v any = of
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = m[name]; !ok {
			key.WriteString("none;")
			return true
		}
	}
	switch v := v.(type) {
	case string:
		key.WriteString(strconv.Itoa(len(v)))
		key.WriteByte(':')
		key.WriteString(v)
	case bool, int, float64:
		fmt.Fprintf(key, "%T=%v;", v, v)
	default:
		return false
	}
	return true
}

// list is the value of a group, made once while the facts are the same.
func (m *Memo) list(group string, compute func() []any) []any {
	if m == nil {
		return compute()
	}
	facts := m.facts.Load()
	m.mu.Lock()
	have, ok := m.lists[group]
	m.mu.Unlock()
	if ok && have.facts == facts {
		return have.list
	}
	list := compute()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists[group] = hostList{facts, list}
	return list
}
