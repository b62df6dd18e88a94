package kubeadm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/engine/task/tasktest"
)

// watched is a fake host that remembers what was written and reaches one server.
type watched struct {
	*tasktest.Host
	written map[string]string
	server  net.Addr
}

func (w *watched) WriteFile(ctx context.Context, name string, r io.Reader, a task.Attr) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	w.written[name] = fmt.Sprintf("%04o\n%s", a.Mode, b)
	return w.Host.WriteFile(ctx, name, strings.NewReader(string(b)), a)
}

func (w *watched) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, w.server.String())
}

// selfSigned is a certificate and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", kb)
}

func block(name string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: name, Bytes: b}))
}

// TestUploadCerts: the key is new each time, is in the file kubeadm reads and in the outputs, and nowhere else.
func TestUploadCerts(t *testing.T) {
	cert, _ := selfSigned(t)
	h := &watched{Host: tasktest.NewHost(t), written: map[string]string{}}
	h.Put("/etc/kubernetes/admin.conf", "clusters:\n- cluster:\n    server: https://192.168.10.240:8443\n    certificate-authority-data: "+
		base64.StdEncoding.EncodeToString([]byte(cert))+"\n", task.Attr{})
	h.Put(manifestDir+"/kube-apiserver.yaml", "    - --advertise-address=192.168.10.11\n", task.Attr{})
	h.Commands(`? kubeadm version -o short
> v1.29.6
$ kubeadm token create --kubeconfig /etc/kubernetes/admin.conf --config /run/kflow/kubeadm-token.yaml
> abcdef.0123456789abcdef
? kubectl ... 
> {"data": {"ClusterConfiguration": "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.29.6\n"}}
$ kubeadm init phase upload-certs --upload-certs --skip-certificate-key-print --config /run/kflow/kubeadm-upload-certs.yaml
`)
	seen := map[string]bool{}
	for range 2 {
		p := &Kubeadm{Token: &Token{
			TTL: task.Duration(4 * time.Hour), UploadCerts: true, Kubeconfig: "/etc/kubernetes/admin.conf", CRISocket: "/run/containerd/containerd.sock",
		}}
		changes, err := p.Changes(t.Context(), task.ReadOnly(h))
		if err != nil || len(changes) != 1 {
			t.Fatal(changes, err)
		}
		if err := changes[0].Apply(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		v, err := p.Outputs(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		out := v.(Outputs)
		if len(out.CertificateKey) != 64 || seen[out.CertificateKey] || out.Expires != "2024-06-10T14:00:00Z" || !strings.HasPrefix(out.CACertHash, "sha256:") {
			t.Errorf("outputs: %+v", out)
		}
		seen[out.CertificateKey] = true
		want := "0600\napiVersion: kubeadm.k8s.io/v1beta3\ncertificateKey: " + out.CertificateKey + "\nkind: InitConfiguration\nlocalAPIEndpoint:\n  advertiseAddress: 192.168.10.11\n" +
			"nodeRegistration:\n  criSocket: unix:///run/containerd/containerd.sock\n---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.29.6\n"
		if got := h.written["/run/kflow/kubeadm-upload-certs.yaml"]; got != want {
			t.Errorf("configuration:\n%s\nwant:\n%s", got, want)
		}
		if strings.Contains(strings.Join(h.Ran(), " "), out.CertificateKey) {
			t.Error("the key is in the arguments of a command")
		}
	}
	left, err := h.ReadDir(t.Context(), "/run/kflow")
	if err != nil || len(left) > 0 {
		t.Errorf("files left: %v %v", left, err)
	}
}

// TestLeaveEtcd: kubeadm reset leaves the member behind when the node has been deleted, so kflow takes it out.
func TestLeaveEtcd(t *testing.T) {
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = append(asked, r.URL.Path+" "+string(b))
		if r.URL.Path == "/v3/cluster/member/list" {
			_, _ = fmt.Fprint(w, `{"members": [{"ID": "1", "name": "mn01", "peerURLs": ["https://10.0.0.11:2380"]}, {"ID": "18446744073709551615", "name": "mn02", "peerURLs": ["https://10.0.0.22:2380"]}]}`)
		}
	}))
	defer server.Close()
	cert, key := selfSigned(t)
	h := &watched{Host: tasktest.NewHost(t), written: map[string]string{}, server: server.Listener.Addr()}
	h.Put(pkiDir+"/etcd/ca.crt", block("CERTIFICATE", server.Certificate().Raw), task.Attr{})
	h.Put(pkiDir+"/etcd/healthcheck-client.crt", cert, task.Attr{})
	h.Put(pkiDir+"/etcd/healthcheck-client.key", key, task.Attr{})
	h.Put("/etc/kubernetes/admin.conf", "x", task.Attr{})
	h.Put(manifestDir+"/etcd.yaml", "    - --initial-advertise-peer-urls=https://10.0.0.22:2380\n    - --name=mn02\n", task.Attr{})
	h.Commands(`? kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=15s get node mn02 -o json
  if node=there
> {"metadata": {"name": "mn02"}}
? kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=15s get node mn02 -o json
  code 1
! Error from server (NotFound): nodes "mn02" not found
$ kubeadm reset --force
`)
	if err := runReset(t.Context(), h, ""); err != nil {
		t.Fatal(err)
	}
	want := `/v3/cluster/member/list {}, /v3/cluster/member/remove {"ID":"18446744073709551615"}`
	if got := strings.Join(asked, ", "); got != want {
		t.Errorf("etcd was asked %s, want %s", got, want)
	}
}
