package download_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/download"
)

func TestCases(t *testing.T) { tasktest.Run(t, download.Kind(), "testdata/*.txtar") }
