// Package program tells a program that is not there from one that failed.
package program

import (
	"context"
	"errors"
	"os/exec" //nolint:depguard // for ErrNotFound alone, which Host.Run returns

	"github.com/kflow/kflow/engine/task"
)

// Missing tells whether err of Host.Run says that there is no such program.
func Missing(err error) bool { return errors.Is(err, exec.ErrNotFound) }

// Try runs c; ok tells whether the program is there and ended with exit code 0.
func Try(ctx context.Context, h task.Host, c task.Command) (o task.Output, ok bool, err error) {
	o, err = h.Run(ctx, c)
	if Missing(err) {
		return o, false, nil
	}
	return o, err == nil && o.OK(), err
}
