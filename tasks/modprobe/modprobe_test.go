package modprobe_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/modprobe"
)

func TestCases(t *testing.T) { tasktest.Run(t, modprobe.Kind(), "testdata/*.txtar") }
