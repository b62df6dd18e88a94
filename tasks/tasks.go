// Package tasks lists the kinds of tasks that kflow knows: one line each, in the open, with no init functions. To add a
// kind, write a package under this directory that exports Kind() task.Kind, and add its line.
package tasks

import (
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/hostname"
	"github.com/kflow/kflow/tasks/pkg"
)

// All returns the registry of all kinds.
func All() *task.Registry {
	return task.NewRegistry(
		hostname.Kind(),
		pkg.Kind(),
	)
}
