package reboot_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/reboot"
)

func TestCases(t *testing.T) { tasktest.Run(t, reboot.Kind(), "testdata/*.txtar") }
