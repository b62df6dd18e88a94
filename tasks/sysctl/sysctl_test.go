package sysctl_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/sysctl"
)

func TestCases(t *testing.T) { tasktest.Run(t, sysctl.Kind(), "testdata/*.txtar") }
