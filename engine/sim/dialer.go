package sim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/transport"
)

// Files is the controller, as far as hosts use it.
type Files interface {
	task.Controller
	transport.Contents
}

// Dialer gives connections to the hosts of a world.
type Dialer struct {
	w     *World
	files Files

	mu      sync.Mutex
	numbers map[string]int
}

var _ transport.Dialer = (*Dialer)(nil)

// Dialer returns a dialer for one session. names are the hosts in their order.
func (w *World) Dialer(files Files, names []string) *Dialer {
	d := &Dialer{w: w, files: files, numbers: make(map[string]int, len(names))}
	for i, name := range names {
		d.numbers[name] = i
	}
	return d
}

// Dial implements transport.Dialer.
func (d *Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	d.w.Clock.Enter(t.Name)
	ip := t.NodeIP
	if net.ParseIP(ip) == nil {
		ip = t.Address
	}
	d.mu.Lock()
	number := d.numbers[t.Name]
	d.mu.Unlock()
	h, err := d.w.Host(t.Name, ip, number)
	if err != nil {
		return nil, &transport.Unreachable{Host: t.Name, Stage: transport.Config, Err: err}
	}
	c := &conn{d: d, w: d.w, h: h}
	if err := c.dial(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// conn is a connection to a simulated host.
type conn struct {
	d *Dialer
	w *World
	h *host.Host

	credit atomic.Int64 // what its last request waited too long for the clock
}

const (
	handshake = 180 * time.Millisecond
	noAnswer  = 15 * time.Second
	bootTime  = 32 * time.Second
)

var errNoAnswer = errors.New("i/o timeout (simulated)")

// dial takes the time of a dial; it fails while the host is off the network.
func (c *conn) dial(ctx context.Context) error {
	if !c.w.Network.Down(c.h.Name) {
		err := c.w.Clock.Sleep(ctx, handshake)
		c.h.Gather()
		return err
	}
	if err := c.w.Clock.Sleep(ctx, noAnswer); err != nil {
		return err
	}
	if !c.w.Network.Down(c.h.Name) {
		c.h.Gather()
		return nil
	}
	return &transport.Unreachable{Host: c.h.Name, Stage: transport.Dial, Err: errNoAnswer, Transient: true,
		Hint: "the host is off the network (simulated)"}
}

// Facts implements transport.Conn.
func (c *conn) Facts() *task.Facts { return c.h.Facts() }

// Close implements transport.Conn.
func (c *conn) Close() error { return nil }

// Do implements transport.Conn.
func (c *conn) Do(ctx context.Context, req *job.Request, progress func(job.Progress)) (*job.Outcome, error) {
	if c.w.Network.Down(c.h.Name) {
		if err := c.dial(ctx); err != nil {
			return nil, err
		}
	}
	const roundTrip = 2 * time.Millisecond
	if err := c.w.Clock.Sleep(ctx, roundTrip); err != nil {
		return nil, err
	}
	r := &request{conn: c, req: req}
	ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	c.w.begin(r)
	defer c.w.end(r)
	return r.do(ctx, progress)
}

func (c *conn) view(req *job.Request) *host.View {
	v := &host.View{Host: c.h, Control: host.Quiet{Controller: c.d.files, Saved: c.w.saved}, Source: c.open}
	if req.Kind == "command" {
		v.Before = c.declared(req)
	}
	return v
}

// open reads content from where the controller has it.
func (c *conn) open(ctx context.Context, content task.Content) (io.ReadCloser, error) {
	b, err := c.d.files.OpenContent(ctx, content.SHA256)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(b, 0, b.Size()), b}, nil
}

// simulated is what a task of kind command says its program would do.
type simulated struct {
	Stdout   string            `json:"stdout"`
	Stderr   string            `json:"stderr"`
	Exit     int               `json:"exit"`
	Duration task.Duration     `json:"duration"`
	Writes   map[string]string `json:"writes"`
}

// declared answers commands with what their tasks declare.
func (c *conn) declared(req *job.Request) func(context.Context, *task.Command, string) (*task.Output, error) {
	byLine := map[string]*simulated{}
	for _, raw := range req.Items {
		var p struct {
			Argv     task.Strings `json:"argv"`
			Shell    bool         `json:"shell"`
			Simulate *simulated   `json:"simulate"`
		}
		if json.Unmarshal(raw, &p) != nil || p.Simulate == nil {
			continue
		}
		argv := p.Argv
		if p.Shell {
			argv = append(task.Strings{"/bin/sh", "-c"}, argv...)
		}
		byLine[task.Cmd(argv...).String()] = p.Simulate
	}
	return func(ctx context.Context, cmd *task.Command, _ string) (*task.Output, error) {
		if cmd == nil || byLine[cmd.String()] == nil {
			return nil, nil
		}
		s := byLine[cmd.String()]
		if err := c.w.Clock.Sleep(ctx, s.Duration.D()); err != nil {
			return nil, err
		}
		for path, text := range s.Writes {
			if err := c.h.Write(path, text, 0); err != nil {
				return nil, err
			}
		}
		return &task.Output{Code: s.Exit, Stdout: s.Stdout, Stderr: s.Stderr}, nil
	}
}

// carryOut runs the request on the host.
func (r *request) carryOut(ctx context.Context, v *host.View, progress func(job.Progress)) *job.Outcome {
	return converge.Run(ctx, r.w.kinds, v, r.req, progress)
}

func lost(name string, why error) error {
	return &transport.Unreachable{Host: name, Stage: transport.Lost, Err: why, Transient: true}
}
