package pkg_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/pkg"
)

func TestCases(t *testing.T) { tasktest.Run(t, pkg.Kind(), "testdata/*.txtar") }
