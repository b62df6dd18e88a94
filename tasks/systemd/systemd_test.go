package systemd_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/systemd"
)

func TestCases(t *testing.T) { tasktest.Run(t, systemd.Kind(), "testdata/*.txtar") }
