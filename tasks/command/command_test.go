package command_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/command"
)

func TestCases(t *testing.T) { tasktest.Run(t, command.Kind(), "testdata/*.txtar") }
