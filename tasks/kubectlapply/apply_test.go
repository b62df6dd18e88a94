package kubectlapply_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/kubectlapply"
)

func TestCases(t *testing.T) { tasktest.Run(t, kubectlapply.Kind(), "testdata/*.txtar") }
