package expr_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/kflow/kflow/engine/expr"
)

// lookups are questions about entries with a member of one value: from the second time on they are answered from an index.
// Each says the same the first time, when there is none, and where each list is another one.
func TestLooksThroughListsSayTheSameWithAnIndex(t *testing.T) {
	for _, text := range []string{
		`map(filter(hosts, .name == host.name), .address)`,
		`len(filter(hosts, .name == host.name))`,
		`len(filter(hosts, .name == "nobody"))`,
		`count(groups.workers, .facts.hostname == host.name)`,
		`count(groups.workers, .vars?.zone == "b")`,
		`any(hosts, .facts.os.family == "debian" and .name == host.name)`,
		`any(hosts, .name == host.name and .facts.cpus > 3)`,
		`none(hosts, .node_ip == inputs.vip)`,
		`one(groups.workers, .name == item)`,
		`find(hosts, .address == "w2.example").name`,
		`filter(hosts, .facts.cpus == 4)[1].name`,                // no text
		`len(filter(hosts, .vars.zone == "a"))`,                  // one host has none: an error
		`len(filter(hosts, .name == .facts.hostname))`,           // of the entry itself
		`len(filter(hosts[1:], .name == host.name))`,             // a list of its own
		`map(filter(hosts, let x = .name; x == "w1"), #)`,        // no such comparison
		`len(filter(hosts, .name == tasks.token.outputs.value))`, // can't be had
		`len(filter(inputs.mirrors, # == "m1"))`,
		`filter(hosts, .name == "w1" or .name == "w2")[1].name`,
		`len(filter(hosts, .name == (host.vars.unheard_of ?? "w3")))`,
	} {
		e := checked(t, text, scope())
		shared := env()
		for _, name := range []string{"w1", "w2", "w1", "w2", "w3", "cp1", "w1"} {
			own := env()
			for _, x := range shared["hosts"].([]any) {
				if x.(map[string]any)["name"] == name {
					shared["host"], own["host"] = x, x
				}
			}
			own["hosts"] = slices.Clone(own["hosts"].([]any))
			got, err1 := e.Eval(shared)
			want, err2 := checked(t, text, scope()).Eval(own)
			if !reflect.DeepEqual(got, want) || fmt.Sprint(err1) != fmt.Sprint(err2) {
				t.Errorf("%s on %s: %v, %v; want %v, %v", text, name, got, err1, want, err2)
			}
		}
	}
}

// What comes to nothing on an empty list must not ask for what can't be had.
func TestALookThroughAnEmptyListAsksForNothing(t *testing.T) {
	e := checked(t, `none(groups.workers, .name == tasks.token.outputs.value)`, scope())
	for range 3 {
		v, err := e.Eval(expr.Env{"groups": map[string]any{"workers": []any{}}, "tasks": env()["tasks"]})
		if v != true || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	}
}
