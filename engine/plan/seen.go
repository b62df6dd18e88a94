package plan

import (
	"reflect"
	"sync/atomic"
)

// seen keeps the values of hosts as expressions see them: a list of all hosts is made for each instance that looks at one,
// and with thousands of hosts these are millions of values. They are not changed once they are made.
type seen []atomic.Pointer[seenHost]

type seenHost struct {
	facts map[string]any // with which the value was made
	known bool           // there are facts
	value map[string]any
}

// of is the value of a host with these facts.
func (s seen) of(p *Plan, i int, facts map[string]any, known bool) map[string]any {
	if have := s[i].Load(); have != nil && have.known == known && reflect.ValueOf(have.facts).Pointer() == reflect.ValueOf(facts).Pointer() {
		return have.value
	}
	v := p.hostValue(i)
	if known {
		v["facts"] = facts
	}
	s[i].Store(&seenHost{facts: facts, known: known, value: v})
	return v
}
