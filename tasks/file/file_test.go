package file_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/file"
)

func TestCases(t *testing.T) { tasktest.Run(t, file.Kind(), "testdata/*.txtar") }
