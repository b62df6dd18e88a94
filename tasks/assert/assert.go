// Package assert is the kind assert: conditions that must hold before a playbook goes on.
package assert

import (
	"context"
	"fmt"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "assert",
		Summary: "Conditions that must hold before the playbook goes on",
		Doc: `Fails when a condition is false, and names all that are, each with its message and its text. It changes nothing
and runs in a plan too. Conditions that mention neither facts nor tasks are evaluated by ` + "`kflow validate`" + `, before a
host is reached. What kubeadm needs at least: 2 CPUs, 2 GB of memory, host names, MAC addresses and product_uuids that
differ [install-kubeadm].`,
		New: func() task.Task { return new(Assert) },
		Examples: []task.Example{{
			Title: "What kubeadm asks of a machine",
			YAML: `- id: preflight
  assert:
    - that: host.facts.cpus >= 2
      message: kubeadm needs 2 CPUs
    - that: host.facts.memory_mb >= 1700
      message: kubeadm needs 2 GB of memory
`,
		}},
	}
}

// Assert are the parameters.
type Assert struct {
	Checks []Check `json:"checks" kf:"required,short,min=1" doc:"Conditions with what to say when one is false; all are looked at, and all that are false are reported."`
}

// Check is one condition.
type Check struct {
	That    task.Condition `json:"that" kf:"required,short,format=condition" doc:"Condition that must be true, an expression without ${{ }}."`
	Message string         `json:"message" doc:"What is wrong when it is false, and what to do then; the text of the condition if not given."`
}

// Changes implements task.Task: there are never any.
func (p *Assert) Changes(context.Context, task.Host) ([]task.Change, error) {
	var messages, details []string
	for _, c := range p.Checks {
		if c.That.Value {
			continue
		}
		message := c.Message
		if message == "" {
			message = "not true: " + c.That.Text
		}
		messages = append(messages, message)
		details = append(details, fmt.Sprintf("%s\n  false: %s", message, c.That.Text))
	}
	if messages == nil {
		return nil, nil
	}
	f := task.Failf("%s", strings.Join(messages, "; "))
	f.Output = strings.Join(details, "\n")
	return nil, f
}
