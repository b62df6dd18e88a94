package kubeadm

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/task/tasktest"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// TestConfigurations keeps what is written for each version of kubeadm's API; `go test -update` writes it anew.
func TestConfigurations(t *testing.T) {
	h := tasktest.NewHost(t)
	none := []string{}
	var got strings.Builder
	for _, version := range []string{"1.11.3", "1.12.1", "1.13.1", "1.20.2", "1.22.0", "1.29.6", "1.31.0"} {
		v, err := kube.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		node := Node{
			NodeName: "mn01", CRISocket: "unix:///run/containerd/containerd.sock", Taints: &none, ImagePullPolicy: "Never",
			Labels: map[string]string{"zone": "a"}, KubeletExtraArgs: map[string]string{"node-ip": "10.0.0.11"},
		}
		init := &Init{
			Node: node, Version: version, ControlPlaneEndpoint: "api.example.org:8443", AdvertiseAddress: "10.0.0.11", BindPort: 6443,
			ImageRepository: "mirror.example.org/k8s", ServiceSubnet: task.Strings{"10.96.0.0/16"}, PodSubnet: task.Strings{"10.244.0.0/16", "fd00:10::/56"},
			DNSDomain: "cluster.local", CertSANs: task.Strings{"api"}, Etcd: &Etcd{Local: &LocalEtcd{DataDir: "/data/etcd"}},
			TimeoutForControlPlane: task.Duration(4 * time.Minute), FeatureGates: map[string]bool{"RootlessControlPlane": false},
			ExtraArgs:            ExtraArgs{APIServer: map[string]string{"v": "2", "audit-log-path": "/var/log/a"}, Etcd: map[string]string{"quota-backend-bytes": "1"}},
			Kubelet:              map[string]any{"cgroupDriver": "systemd"},
			KubeProxy:            map[string]any{"mode": "ipvs"},
			ClusterConfiguration: map[string]any{"networking": map[string]any{"dnsDomain": "k8s.local"}},
		}
		docs, err := init.documents(h, v)
		if err != nil {
			t.Fatal(err)
		}
		text, err := document(docs...)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("# kubeadm init " + version + "\n" + text)
		join := &Join{Node: node, Role: "worker", From: &Outputs{Endpoint: "api:8443", Token: "abcdef.0123456789abcdef", CACertHash: "sha256:ed48"}}
		if v.AtLeast(15) {
			join.Role, join.AdvertiseAddress, join.BindPort, join.From.CertificateKey = "control_plane", "10.0.0.22", 6443, "5f3c"
		}
		text, err = join.document(h, v)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("# kubeadm join " + version + "\n" + text)
	}
	const golden = "testdata/configurations.yaml"
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the configurations have changed; run `go test -update` and read the difference of %s", golden)
	}
}
