package kubeadm_test

import (
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/kubeadm"
)

func TestCases(t *testing.T) { tasktest.Run(t, kubeadm.Kind(), "testdata/*.txtar") }
