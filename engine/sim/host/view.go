package host

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/converge"
	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// Network is where hosts meet: each other, and the internet.
type Network interface {
	Dial(ctx context.Context, from *Host, network, address string) (net.Conn, error)
	RoundTrip(from *Host, req *http.Request) (*http.Response, error)
}

// View is a host as one request sees it. It implements task.Host.
type View struct {
	*Host
	Control task.Controller
	Source  func(context.Context, task.Content) (io.ReadCloser, error)
	// Before is asked before a program runs, or a file is written (argv nil). It may answer instead.
	Before func(ctx context.Context, c *task.Command, path string) (answer *task.Output, err error)
	Report func(job.Progress)
}

var (
	_ task.Host       = (*View)(nil)
	_ converge.Binder = (*View)(nil)
)

// Bind implements converge.Binder.
func (v *View) Bind(report func(job.Progress)) task.Host {
	c := *v
	c.Report = report
	return &c
}

// Run implements task.Host.
func (v *View) Run(ctx context.Context, c task.Command) (task.Output, error) {
	if v.Before != nil {
		if answer, err := v.Before(ctx, &c, ""); answer != nil || err != nil {
			if answer == nil {
				answer = &task.Output{}
			}
			return *answer, err
		}
	}
	o, err := v.Host.Run(ctx, c)
	if c.Stream && !c.Secret && v.Report != nil {
		for line := range strings.Lines(o.Stdout + o.Stderr) {
			v.Report(job.Progress{Output: strings.TrimRight(line, "\n")})
		}
	}
	return o, err
}

// WriteFile implements task.FS.
func (v *View) WriteFile(ctx context.Context, name string, r io.Reader, a task.Attr) error {
	if v.Before != nil {
		if _, err := v.Before(ctx, nil, name); err != nil {
			return err
		}
	}
	return v.Host.WriteFile(ctx, name, r, a)
}

// Open implements task.Host.
func (v *View) Open(ctx context.Context, c task.Content) (io.ReadCloser, error) {
	if c.Inline {
		return io.NopCloser(strings.NewReader(c.Text)), nil
	}
	if v.Source == nil {
		return nil, errors.New("there is no controller to get content from")
	}
	return v.Source(ctx, c)
}

// Controller implements task.Host.
func (v *View) Controller() task.Controller { return v.Control }

// Dial implements task.Host.
func (v *View) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return v.o.Network.Dial(ctx, v.Host, network, address)
}

// HTTP implements task.Host.
func (v *View) HTTP() http.RoundTripper { return roundTripper{v} }

type roundTripper struct{ v *View }

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.v.o.Network.RoundTrip(r.v.Host, req)
}

// Sleep implements task.Host.
func (v *View) Sleep(ctx context.Context, d time.Duration) error { return v.o.Clock.Sleep(ctx, d) }

// Log implements task.Host.
func (v *View) Log(line string) {
	if v.Report != nil {
		v.Report(job.Progress{Log: line})
	}
}

// Progress implements task.Host.
func (v *View) Progress(what string, done, total int64) {
	if v.Report != nil {
		v.Report(job.Progress{What: what, Done: done, Total: total})
	}
}

// Quiet is a controller that keeps what tasks save in memory: a rehearsal writes nothing on the machine it runs on.
type Quiet struct {
	task.Controller
	Saved *Saved
}

// Stat implements task.Controller.
func (q Quiet) Stat(ctx context.Context, path string) (string, error) {
	if sum, ok := q.Saved.sum(path); ok {
		return sum, nil
	}
	return q.Controller.Stat(ctx, path)
}

// Save implements task.Controller.
func (q Quiet) Save(_ context.Context, path string, _ fs.FileMode, r io.Reader) error {
	return q.Saved.put(path, r)
}
