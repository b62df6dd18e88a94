package selinux_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/selinux"
)

func TestCases(t *testing.T) { tasktest.Run(t, selinux.Kind(), "testdata/*.txtar") }
