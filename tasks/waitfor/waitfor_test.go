package waitfor_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/waitfor"
)

func TestCases(t *testing.T) { tasktest.Run(t, waitfor.Kind(), "testdata/*.txtar") }
