// Package waitfor is the kind wait-for: it waits until something is so, on this host or as seen from it.
//
// A wait is a state: it has converged when the condition holds, and its one change is to wait. Each arm is a probe, a
// question that is asked again and again; the last answer is what a failure shows.
package waitfor

import (
	"context"
	"fmt"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "wait-for",
		Summary: "Wait until a port, URL, file, command, node or rollout is as it should be",
		Doc:     doc,
		New:     func() task.Task { return new(WaitFor) },
		Examples: []task.Example{
			{Title: "The load balancer answers before there is an API server", YAML: `- id: load_balancer
  wait-for:
    port: {host: 192.168.10.240, port: 8443, expect: reachable}
`},
			{Title: "The API is ready behind the load balancer", YAML: `- id: api
  wait-for:
    http: {url: "https://192.168.10.240:8443/readyz", insecure: true, contains: ok}
    successes: 3
`},
			{Title: "All nodes are ready, then the network add-on", YAML: `- id: nodes
  on: control_plane[0]
  wait-for:
    nodes_ready: {count: 5}
    timeout: 10m
- id: dns
  on: control_plane[0]
  wait-for:
    rollout: {resources: [deployment/coredns, daemonset/kube-proxy], namespace: kube-system}
`},
			{Title: "A value in the output of a program", YAML: `- id: cri
  wait-for:
    json:
      argv: [crictl, info]
      path: status.conditions[type=RuntimeReady].status
      equals: "true"
`},
		},
	}
}

const doc = `Asks until the condition holds, every interval, at most timeout long. If it does not come true, the failure says what was
seen last. With successes the condition must hold several times in a row: a load balancer in front of a server that has just gone
gives every second answer.

**port** expects open (default), closed, refused or reachable. Before kubeadm init, "connection refused" through the load balancer is
right and a timeout is wrong [HA doc]: expect: reachable accepts an open port and a refusal, not a timeout.
**http** expects the status, and optionally text or JSON values in the body.
**file** expects a file to be there (or absent), optionally with some text.
**command** and **json** run a program that changes nothing, and look at its exit code and output.
**nodes_ready** expects nodes of the cluster to be Ready; **rollout** that workloads have rolled out, as kubectl rollout status does;
**pods_ready** that pods are ready, for those without a workload (static pods). They ask with a kubeconfig of this host.`

// WaitFor are the parameters.
type WaitFor struct {
	Port       *Port    `json:"port" kf:"arm=arm" doc:"A TCP port, as seen from the host."`
	HTTP       *HTTP    `json:"http" kf:"arm=arm" doc:"The answer to an HTTP request the host sends."`
	File       *File    `json:"file" kf:"arm=arm" doc:"A file on the host."`
	Command    *Command `json:"command" kf:"arm=arm" doc:"A program on the host; it must not change anything."`
	JSON       *JSON    `json:"json" kf:"arm=arm" doc:"A value in the JSON output of a program on the host."`
	NodesReady *Nodes   `json:"nodes_ready" kf:"arm=arm" doc:"Nodes of the cluster."`
	Rollout    *Rollout `json:"rollout" kf:"arm=arm" doc:"Deployments, daemon sets, stateful sets of the cluster."`
	PodsReady  *Pods    `json:"pods_ready" kf:"arm=arm" doc:"Pods of the cluster."`

	Timeout   task.Duration `json:"timeout" default:"5m" doc:"How long to wait in all; the task fails after that, and says what was seen last."`
	Interval  task.Duration `json:"interval" default:"2s" doc:"Pause between two attempts."`
	Successes int           `json:"successes" kf:"min=1" default:"1" doc:"How often in a row the condition must hold."`

	met bool // what was waited for has been seen
}

// probe is one question.
type probe interface {
	// ask tells whether the condition holds, and what was seen. An error ends the wait: it will never hold.
	ask(ctx context.Context, h task.Host) (ok bool, seen string, err error)
	check() error
	reads() []string
	String() string // the condition, as in "wait until ..."
}

func (p *WaitFor) probe() probe {
	switch {
	case p.Port != nil:
		return p.Port
	case p.HTTP != nil:
		return p.HTTP
	case p.File != nil:
		return p.File
	case p.Command != nil:
		return p.Command
	case p.JSON != nil:
		return p.JSON
	case p.NodesReady != nil:
		return p.NodesReady
	case p.Rollout != nil:
		return p.Rollout
	case p.PodsReady != nil:
		return p.PodsReady
	}
	return nil
}

// Check implements task.Checker.
func (p *WaitFor) Check() error {
	q := p.probe()
	if q == nil {
		return task.Failf("there is nothing to wait for")
	}
	return q.check()
}

// Touches implements task.Toucher.
func (p *WaitFor) Touches() task.Touches {
	if q := p.probe(); q != nil {
		return task.Touches{Reads: q.reads()}
	}
	return task.Touches{}
}

// Changes implements task.Task.
func (p *WaitFor) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.met { // it may be gone again by now: a node that joins has pods to start
		return nil, nil
	}
	q := p.probe()
	for i := range max(p.Successes, 1) {
		if i > 0 {
			if err := h.Sleep(ctx, p.Interval.D()); err != nil {
				return nil, err
			}
		}
		ok, seen, err := q.ask(ctx, h)
		if err != nil {
			return nil, err
		}
		if !ok {
			return []task.Change{{Summary: "wait until " + q.String(), Diff: "now: " + seen, Apply: p.wait}}, nil
		}
	}
	return nil, nil
}

// tellEvery is how often people are told that, and why, it still takes.
const tellEvery = 30 * time.Second

// wait asks until the condition holds.
func (p *WaitFor) wait(ctx context.Context, h task.Host) error {
	q := p.probe()
	start, told, good, last := h.Now(), time.Duration(0), 0, ""
	for {
		ok, seen, err := q.ask(ctx, h)
		if err != nil {
			return err
		}
		if good++; !ok {
			good = 0
			if seen != last {
				h.Log("waiting until " + q.String() + "; now: " + seen)
			}
			last = seen
		}
		if good >= max(p.Successes, 1) {
			p.met = true
			return nil
		}
		waited := h.Now().Sub(start)
		if waited >= told+tellEvery {
			told = waited.Truncate(tellEvery)
			h.Progress(fmt.Sprintf("for %s of at most %s: wait until %s; now: %s", told, p.Timeout.D(), short(q.String()), short(seen)), 0, 0)
		}
		if waited >= p.Timeout.D() {
			return late(q, waited, seen)
		}
		if err := h.Sleep(ctx, max(p.Interval.D(), 100*time.Millisecond)); err != nil {
			return err
		}
	}
}

func late(q probe, waited time.Duration, seen string) error {
	f := task.Failf("still not so after %s that %s; seen last: %s", waited.Round(time.Second), short(q.String()), seen) // not to be tried again: the timeout would be several
	if a, ok := q.(interface{ advice(seen string) string }); ok && a.advice(seen) != "" {
		return f.WithHint("%s", a.advice(seen))
	}
	return f.WithHint("if it only takes longer, give a longer timeout")
}

// short cuts a text for a message.
func short(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + ".."
	}
	return s
}

func quoted(s string) string { return fmt.Sprintf("%q", short(s)) }

// Interface guards.
var (
	_ task.Checker = (*WaitFor)(nil)
	_ task.Toucher = (*WaitFor)(nil)
)
