package kubeadm_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/kubeadm"
)

func TestCases(t *testing.T) { tasktest.Run(t, kubeadm.Kind(), "testdata/*.txtar") }

func TestTheRuntimeIsReadThroughItsUnit(t *testing.T) {
	for socket, want := range map[string]string{"": "", "unix:///run/containerd/containerd.sock": "unit:containerd",
		"/var/run/cri-dockerd.sock": "unit:cri-docker", "unix:///var/run/crio/crio.sock": "unit:crio", "unix:///run/other.sock": "path:/run/other.sock"} {
		k := kubeadm.Kubeadm{Join: &kubeadm.Join{Role: "worker", Node: kubeadm.Node{CRISocket: socket}}}
		var got string
		for _, r := range k.Touches().Reads {
			if !strings.HasPrefix(r, "package:") {
				got += r
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", socket, got, want)
		}
	}
}
