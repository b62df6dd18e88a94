package kubeadm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// etcdMember is a member of the etcd cluster.
type etcdMember struct {
	ID       string   `json:"ID"`
	Name     string   `json:"name"`
	PeerURLs []string `json:"peerURLs"`
}

// leaveEtcd takes this host's member out of etcd where kubeadm reset would not: when the node's object has been deleted,
// kubeadm finds no configuration and leaves the member behind (seen with 1.20), and of two members one has no quorum.
func leaveEtcd(ctx context.Context, h task.Host) error {
	manifest, err := h.ReadFile(ctx, manifestDir+"/etcd.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var c kube.Client
	if c.Have(ctx, h) != nil {
		return nil
	}
	var own Node
	if err := own.settle(ctx, h); err != nil {
		return err
	}
	node := own.NodeName
	if m := regexp.MustCompile(`--name=(\S+)`).FindSubmatch(manifest); m != nil {
		node = string(m[1])
	}
	if n, err := c.Node(ctx, h, 0, node); err != nil || n != nil {
		return nil // kubeadm does it, or nobody can: without an API there is no quorum
	}
	m := regexp.MustCompile(`--initial-advertise-peer-urls=(\S+)`).FindSubmatch(manifest)
	if m == nil {
		return nil
	}
	if err := removeMember(ctx, h, string(m[1])); err != nil {
		return task.Failf("this host's member cannot be taken out of etcd: %w", err).
			WithHint("the cluster has no node %s any more, so kubeadm reset would leave the member behind. Remove it on another control plane (`etcdctl member list`, `etcdctl member remove`), then resume", node)
	}
	return nil
}

func removeMember(ctx context.Context, h task.Host, peer string) error {
	tr, err := etcdTransport(ctx, h)
	if err != nil {
		return err
	}
	defer tr.CloseIdleConnections()
	var list struct {
		Members []etcdMember `json:"members"`
	}
	if err := askEtcd(ctx, tr, "list", nil, &list); err != nil {
		return err
	}
	i := slices.IndexFunc(list.Members, func(m etcdMember) bool { return slices.Contains(m.PeerURLs, peer) })
	if i < 0 || len(list.Members) == 1 {
		return nil
	}
	h.Log("taking the member " + list.Members[i].Name + " out of etcd: its node is not in the cluster any more")
	return askEtcd(ctx, tr, "remove", map[string]string{"ID": list.Members[i].ID}, nil)
}

// etcdTransport trusts and shows the certificates that kubeadm has made for health checks of etcd.
func etcdTransport(ctx context.Context, h task.Host) (*http.Transport, error) {
	var pem [3][]byte
	for i, name := range []string{"ca.crt", "healthcheck-client.crt", "healthcheck-client.key"} {
		b, err := h.ReadFile(ctx, pkiDir+"/etcd/"+name)
		if err != nil {
			return nil, err
		}
		pem[i] = b
	}
	pair, err := tls.X509KeyPair(pem[1], pem[2])
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}}
	conf.RootCAs.AppendCertsFromPEM(pem[0])
	return &http.Transport{DialContext: h.Dial, TLSClientConfig: conf, TLSHandshakeTimeout: 10 * time.Second}, nil
}

// askEtcd calls etcd's gateway: /v3 since 3.4, /v3beta in 3.3.
func askEtcd(ctx context.Context, tr http.RoundTripper, verb string, in map[string]string, out any) error {
	if in == nil {
		in = map[string]string{}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	const limit = 15 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("etcd did not answer within %s", limit))
	defer cancel()
	for _, version := range []string{"v3", "v3beta"} {
		url := "https://127.0.0.1:2379/" + version + "/cluster/member/" + verb
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		_ = resp.Body.Close()
		switch {
		case err != nil:
			return err
		case resp.StatusCode == http.StatusNotFound:
			continue
		case resp.StatusCode != http.StatusOK:
			return fmt.Errorf("%s: %s: %s", url, resp.Status, text)
		case out == nil:
			return nil
		}
		return json.Unmarshal(text, out)
	}
	return errors.New("etcd has no gateway for HTTP")
}
