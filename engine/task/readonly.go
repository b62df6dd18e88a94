package task

import (
	"context"
	"fmt"
	"io"
	"io/fs"
)

// ReadOnly returns h with everything refused that writes: the host a task sees during Changes.
func ReadOnly(h Host) Host { return readOnly{h} }

type readOnly struct{ Host }

func refuse(what string) error { return fmt.Errorf("%s: %w", what, ErrReadOnly) }

func (r readOnly) Run(ctx context.Context, c Command) (Output, error) {
	if !c.ReadOnly {
		return Output{}, refuse("run `" + c.String() + "`")
	}
	return r.Host.Run(ctx, c)
}

func (r readOnly) WriteFile(_ context.Context, path string, _ io.Reader, _ Attr) error {
	return refuse("write " + path)
}
func (r readOnly) MkdirAll(_ context.Context, path string, _ Attr) error {
	return refuse("make " + path)
}
func (r readOnly) SetAttr(_ context.Context, path string, _ Attr) error {
	return refuse("set attributes of " + path)
}
func (r readOnly) Symlink(_ context.Context, _, path string) error { return refuse("link " + path) }
func (r readOnly) Rename(_ context.Context, from, _ string) error  { return refuse("rename " + from) }
func (r readOnly) Remove(_ context.Context, path string) error     { return refuse("remove " + path) }

func (r readOnly) Controller() Controller { return readOnlyController{r.Host.Controller()} }

type readOnlyController struct{ Controller }

func (readOnlyController) Save(_ context.Context, path string, _ fs.FileMode, _ io.Reader) error {
	return refuse("save " + path)
}
