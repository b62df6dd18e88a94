package timezone_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/timezone"
)

func TestCases(t *testing.T) { tasktest.Run(t, timezone.Kind(), "testdata/*.txtar") }
