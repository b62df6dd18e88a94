// Package notyet words failures about what an earlier task has to make.
package notyet

import (
	"fmt"

	"github.com/kflow/kflow/engine/task"
)

// Failf returns a failure that says what is missing in words for people, and to the engine (task.NotYetError) by the name
// of the resource, so that a plan can show "known after" the task that makes it.
func Failf(resource, format string, args ...any) *task.Failure {
	f := task.Failf("%w", task.NotYet(resource))
	f.Summary = fmt.Sprintf(format, args...)
	return f
}
