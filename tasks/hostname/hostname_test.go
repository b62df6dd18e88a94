package hostname_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/hostname"
)

func TestCases(t *testing.T) { tasktest.Run(t, hostname.Kind(), "testdata/*.txtar") }
