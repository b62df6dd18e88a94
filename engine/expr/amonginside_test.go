package expr

import (
	"fmt"
	"testing"

	"github.com/kflow/kflow/engine/diag"
)

// A question that is asked for each host about all hosts goes over the list once, and not once for each host.
func TestAListIsGoneThroughOnce(t *testing.T) {
	const text = `len(filter(hosts, .name == host.name and .address != "")) == 1`
	e, diags := Parse(text, At(diag.Pos{File: "p.yaml", Line: 1, Col: 1}, text))
	diags.Extend(e.Check(&Scope{}, nil))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	const n = 500
	hosts := make([]any, n)
	for i := range hosts {
		hosts[i] = map[string]any{"name": fmt.Sprint("h", i), "address": "a"}
	}
	var look *among
	for _, c := range e.program.Constants {
		if a, ok := c.(*among); ok {
			look = a
		}
	}
	made := map[*indexed]bool{}
	for _, h := range hosts {
		if v, err := e.Eval(Env{"hosts": hosts, "host": h}); v != true || err != nil {
			t.Fatal(v, err)
		}
		made[look.last.Load()] = true
	}
	if last := look.last.Load(); len(made) != 2 || len(last.by) != n || len(last.by["h7"]) != 1 {
		t.Errorf("%d times the list was taken for another one; %d entries in the index", len(made), len(last.by))
	}
}
