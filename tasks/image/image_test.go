package image_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/image"
)

func TestCases(t *testing.T) { tasktest.Run(t, image.Kind(), "testdata/*.txtar") }
