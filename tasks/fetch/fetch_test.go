package fetch_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/fetch"
)

func TestCases(t *testing.T) { tasktest.Run(t, fetch.Kind(), "testdata/*.txtar") }
