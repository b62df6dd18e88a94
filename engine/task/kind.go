package task

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Kind is a type of task: what package tasks registers. Schema, documentation and load-time checks are generated from
// the struct that New returns (see package shape for the tags).
type Kind struct {
	Name     string      // as in a playbook, for example "kubectl-apply"
	Summary  string      // one line
	Doc      string      // Markdown: behaviour, edge cases, source of facts
	New      func() Task // a fresh parameter struct, defaults not filled in
	Outputs  any         // zero value of the struct of outputs; nil when there are none
	Examples []Example
	Class    string // instances of one class run one at a time on a host, for example "package"; "" = no limit
	// SecretOutputs: outputs are never stored; a resumed run produces them again. Only tasks with run: on_demand.
	SecretOutputs bool
}

// Example is a piece of a playbook shown in the documentation; tests load each one.
type Example struct {
	Title string
	YAML  string
}

// Registry is a set of kinds. Build one with NewRegistry; it is read-only after that.
type Registry struct {
	byName   map[string]Kind
	decoders sync.Pool // of *decoder
}

// NewRegistry returns a registry of kinds. It panics on a kind without name or New and on a name given twice: these are
// mistakes of the programmer, seen at the first start.
func NewRegistry(kinds ...Kind) *Registry {
	r := &Registry{byName: make(map[string]Kind, len(kinds))}
	for _, k := range kinds {
		if k.Name == "" || k.New == nil {
			panic(fmt.Sprintf("task: kind %q has no name or no New", k.Name))
		}
		if _, twice := r.byName[k.Name]; twice {
			panic(fmt.Sprintf("task: kind %q is registered twice", k.Name))
		}
		r.byName[k.Name] = k
	}
	return r
}

// Lookup returns the kind of that name.
func (r *Registry) Lookup(name string) (Kind, bool) {
	k, ok := r.byName[name]
	return k, ok
}

// Kinds returns all kinds by name.
func (r *Registry) Kinds() []Kind {
	all := make([]Kind, 0, len(r.byName))
	for _, k := range r.byName {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Names returns the names of all kinds, sorted.
func (r *Registry) Names() []string {
	var names []string
	for _, k := range r.Kinds() {
		names = append(names, k.Name)
	}
	return names
}
