package repository_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/repository"
)

func TestCases(t *testing.T) { tasktest.Run(t, repository.Kind(), "testdata/*.txtar") }
