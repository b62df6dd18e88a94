package assert_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/assert"
)

func TestCases(t *testing.T) { tasktest.Run(t, assert.Kind(), "testdata/*.txtar") }
