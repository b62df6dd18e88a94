package kubectl_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/kubectl"
)

func TestCases(t *testing.T) { tasktest.Run(t, kubectl.Kind(), "testdata/*.txtar") }
