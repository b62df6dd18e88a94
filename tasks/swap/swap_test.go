package swap_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/swap"
)

func TestCases(t *testing.T) { tasktest.Run(t, swap.Kind(), "testdata/*.txtar") }
