package engine

import (
	"context"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/schema"
	"github.com/kflow/kflow/engine/task"
)

// ExplainKind is the documentation of a kind for a terminal; ok is false where there is none of that name.
func ExplainKind(ctx context.Context, kinds *task.Registry, name string) (text string, ok bool) {
	k, ok := kinds.Lookup(name)
	if !ok {
		return "", false
	}
	return schema.Text(k, func(e task.Example) task.Touches { return exampleTouches(ctx, kinds, k, e) }), true
}

// exampleTouches is what the tasks of a kind in an example read and write, as the race check sees them.
func exampleTouches(ctx context.Context, kinds *task.Registry, k task.Kind, e task.Example) (all task.Touches) {
	text := "kflow: v1\nname: example\ngroups: {control_plane: {}, workers: {}, web: {}}\ntasks:\n  " + strings.ReplaceAll(e.YAML, "\n", "\n  ")
	read := func(path string) ([]byte, error) {
		switch path {
		case "example.yaml":
			return []byte(text), nil
		case "hosts.yaml":
			return []byte("kflow: v1\nhosts:\n  host: {address: 192.0.2.1, groups: [control_plane, workers, web]}\n"), nil
		}
		return nil, nil // a template, or another file that the example names: what it holds does not matter
	}
	pb, _, found := playbook.Load(ctx, "example.yaml", playbook.Options{Kinds: kinds, Read: read})
	inv, _ := inventory.Load("hosts.yaml", diag.Pos{}, read)
	if pb == nil || inv == nil || found.HasErrors() {
		return all
	}
	p, found := plan.Make(pb, inv, plan.Options{Sketch: true})
	if found.HasErrors() {
		return all
	}
	sketches := plan.NewSketches(p)
	for _, l := range p.Leaves {
		if l.Task.Kind.Name != k.Name || len(l.Hosts) == 0 || l.Task.Params == nil {
			continue
		}
		for _, s := range sketches.Of(l, l.Hosts[0]) {
			if t, ok := s.Task.(task.Toucher); ok {
				touches := t.Touches()
				all.Reads, all.Writes = append(all.Reads, touches.Reads...), append(all.Writes, touches.Writes...)
			}
		}
	}
	return all
}
