package run_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// The kinds of these tests are small, and have every ability the engine knows.

func kinds() *task.Registry {
	return task.NewRegistry(
		task.Kind{Name: "put", New: func() task.Task { return new(put) }, Outputs: putOutputs{}},
		task.Kind{Name: "act", New: func() task.Task { return new(act) }, Outputs: actOutputs{}},
		task.Kind{Name: "ask", New: func() task.Task { return new(ask) }, Outputs: actOutputs{}},
		task.Kind{Name: "mint", New: func() task.Task { return new(mint) }, Outputs: minted{}, SecretOutputs: true},
		task.Kind{Name: "restart", New: func() task.Task { return new(restart) }},
		task.Kind{Name: "join", New: func() task.Task { return new(join) }},
	)
}

// put is a state: a key of the host has a value.
type put struct {
	Key   string `json:"key" kf:"required"`
	Value any    `json:"value"`
	Then  string `json:"then"` // program run while it is applied

	was string
}

type putOutputs struct {
	Value string `json:"value"`
	Was   string `json:"was"`
}

func (p *put) path() string { return "/" + p.Key }
func (p *put) want() string { return text(p.Value) }

func (p *put) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	have, err := h.ReadFile(ctx, p.path())
	switch {
	case err == nil && string(have) == p.want():
		return nil, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return []task.Change{{Summary: "put " + p.Key, Diff: "+" + p.want(), Apply: func(ctx context.Context, h task.Host) error {
		p.was = string(have)
		if p.Then != "" {
			if _, err := task.Must(ctx, h, task.Cmd(p.Then).Streamed()); err != nil {
				return err
			}
		}
		return h.WriteFile(ctx, p.path(), strings.NewReader(p.want()), task.Attr{})
	}}}, nil
}

func (p *put) Outputs(context.Context, task.Host) (any, error) {
	return putOutputs{Value: p.want(), Was: p.was}, nil
}

// act runs a program: an action, unless it has a guard.
type act struct {
	Run    string `json:"run" kf:"required,short"`
	Unless string `json:"unless"` // key that says it is done
	Rerun  string `json:"rerun" kf:"enum=safe"`

	said string
}

// restart starts its machine anew.
type restart struct {
	Why string `json:"why" kf:"short"`
}

func (*restart) Action() bool                 { return true }
func (*restart) RebootTimeout() time.Duration { return time.Minute }

func (*restart) Changes(context.Context, task.Host) ([]task.Change, error) {
	return []task.Change{{Summary: "restart", Apply: func(ctx context.Context, h task.Host) error {
		_, err := task.Must(ctx, h, task.Cmd("restart"))
		return err
	}}}, nil
}

type actOutputs struct {
	Said string `json:"said"`
}

func (a *act) Action() bool     { return a.Unless == "" }
func (a *act) Repeatable() bool { return a.Rerun == "safe" }

func (a *act) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if a.Unless != "" {
		if _, err := h.ReadFile(ctx, "/"+a.Unless); err == nil {
			return nil, nil
		}
	}
	return []task.Change{{Summary: "run " + a.Run, Apply: func(ctx context.Context, h task.Host) error {
		out, err := task.Must(ctx, h, task.Cmd(strings.Fields(a.Run)...).Streamed())
		a.said = out.Text()
		return transient(out, err)
	}}}, nil
}

func (a *act) Outputs(context.Context, task.Host) (any, error) { return actOutputs{a.said}, nil }

// ask runs a program that changes nothing.
type ask struct {
	Run string `json:"run" kf:"required,short"`

	said string
}

func (a *ask) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	out, err := task.Must(ctx, h, task.Query(strings.Fields(a.Run)...))
	a.said = out.Text()
	return nil, transient(out, err)
}

func (a *ask) Outputs(context.Context, task.Host) (any, error) { return actOutputs{a.said}, nil }

// transient marks the failure of a program that ended with 75 (EX_TEMPFAIL).
func transient(out task.Output, err error) error {
	var f *task.Failure
	if out.Code == 75 && errors.As(err, &f) {
		return f.Retryable()
	}
	return err
}

// mint makes a secret that holds for some time.
type mint struct {
	For task.Duration `json:"for" default:"1h"`

	out minted
}

type minted struct {
	Token   string `json:"token" kf:"secret"`
	Expires string `json:"expires"`
}

func (m *mint) Action() bool     { return true }
func (m *mint) Repeatable() bool { return true }

func (m *mint) Changes(context.Context, task.Host) ([]task.Change, error) {
	return []task.Change{{Summary: "mint a token", Apply: func(ctx context.Context, h task.Host) error {
		out, err := task.Must(ctx, h, task.Cmd("mint").Streamed())
		m.out = minted{Token: out.Text(), Expires: h.Now().Add(m.For.D()).Format(time.RFC3339)}
		return err
	}}}, nil
}

func (m *mint) Outputs(context.Context, task.Host) (any, error) { return m.out, nil }

// join needs a secret, but only where the host has not joined yet.
type join struct {
	Cluster string `json:"cluster" kf:"required,short"`
	Token   string `json:"token" kf:"lazy,secret"`
}

func (j *join) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if have, err := h.ReadFile(ctx, "/cluster"); err == nil && string(have) == j.Cluster {
		return nil, nil
	}
	return []task.Change{{Summary: "join " + j.Cluster, Apply: func(ctx context.Context, h task.Host) error {
		out, err := task.Must(ctx, h, task.Cmd("join", j.Token))
		if err != nil {
			return transient(out, err)
		}
		return h.WriteFile(ctx, "/cluster", strings.NewReader(j.Cluster), task.Attr{})
	}}}, nil
}
