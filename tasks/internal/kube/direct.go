package kube

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/kflow/kflow/engine/task"
)

// kubeconfig is the part of a kubeconfig that kubeadm's files use: one cluster, one user.
type kubeconfig struct {
	server    string
	ca        []byte // PEM
	cert, key []byte // PEM
	token     string
}

type kubeconfigFile struct {
	Clusters []struct {
		Cluster struct {
			Server string `yaml:"server"`
			CA     string `yaml:"certificate-authority"`
			CAData string `yaml:"certificate-authority-data"`
		} `yaml:"cluster"`
	} `yaml:"clusters"`
	Users []struct {
		User struct {
			Cert     string `yaml:"client-certificate"`
			CertData string `yaml:"client-certificate-data"`
			Key      string `yaml:"client-key"`
			KeyData  string `yaml:"client-key-data"`
			Token    string `yaml:"token"`
		} `yaml:"user"`
	} `yaml:"users"`
}

func readKubeconfig(ctx context.Context, h task.Host, path string) (*kubeconfig, error) {
	b, err := h.ReadFile(ctx, path)
	if err != nil {
		return nil, err
	}
	var f kubeconfigFile
	if err := yaml.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(f.Clusters) == 0 || f.Clusters[0].Cluster.Server == "" {
		return nil, task.Failf("%s names no cluster", path)
	}
	cl := f.Clusters[0].Cluster
	k := &kubeconfig{server: cl.Server}
	var errs [3]error
	k.ca, errs[0] = pemOf(ctx, h, cl.CAData, cl.CA)
	if len(f.Users) > 0 {
		u := f.Users[0].User
		k.cert, errs[1] = pemOf(ctx, h, u.CertData, u.Cert)
		k.key, errs[2] = pemOf(ctx, h, u.KeyData, u.Key)
		k.token = u.Token
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func pemOf(ctx context.Context, h task.Host, data, path string) ([]byte, error) {
	switch {
	case data != "":
		return base64.StdEncoding.DecodeString(data)
	case path != "":
		return h.ReadFile(ctx, path)
	}
	return nil, nil
}

// get asks the API server without kubectl.
func (c Client) get(ctx context.Context, h task.Host, path string, into any) error {
	k, err := readKubeconfig(ctx, h, c.kubeconfig())
	if err != nil {
		return err
	}
	if c.Server != "" {
		k.server = c.Server
	}
	tr, err := k.transport(h)
	if err != nil {
		return fmt.Errorf("%s: %w", c.kubeconfig(), err)
	}
	defer tr.CloseIdleConnections()
	const limit = 15 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(k.server, "/")+path, nil)
	if err != nil {
		return err
	}
	if k.token != "" {
		req.Header.Set("Authorization", "Bearer "+k.token)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return &APIError{Unreachable, task.Failf("GET %s: %w", req.URL, err).Retryable()}
	}
	defer func() { _ = resp.Body.Close() }()
	return answer(req, resp, into)
}

func answer(req *http.Request, resp *http.Response, into any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return &APIError{Unreachable, task.Failf("GET %s: %w", req.URL, err).Retryable()}
	}
	f := task.Failf("GET %s: %s", req.URL, resp.Status).WithOutput(task.Output{Stderr: string(body)})
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return decode(string(body), into)
	case code == http.StatusNotFound:
		return &APIError{NotFound, f}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return &APIError{Refused, f}
	case code >= 500 || code == http.StatusTooManyRequests:
		return &APIError{Unreachable, f.Retryable()}
	}
	return &APIError{Other, f}
}

func decode(text string, into any) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return task.Failf("the answer of the API is not JSON: %w", err)
	}
	return nil
}

func (k *kubeconfig) transport(h task.Host) (*http.Transport, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !conf.RootCAs.AppendCertsFromPEM(k.ca) {
		return nil, errors.New("no certificate authority")
	}
	if len(k.cert) > 0 {
		pair, err := tls.X509KeyPair(k.cert, k.key)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Transport{DialContext: h.Dial, TLSClientConfig: conf, TLSHandshakeTimeout: 10 * time.Second, DisableKeepAlives: true}, nil
}

// CAHash is the hash of the certificate authority in a kubeconfig, as kubeadm join wants it: sha256: and the hash of the
// public key (SPKI).
func CAHash(ctx context.Context, h task.Host, path string) (string, error) {
	k, err := readKubeconfig(ctx, h, path)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(k.ca)
	if block == nil {
		return "", task.Failf("%s has no certificate authority", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("certificate authority in %s: %w", path, err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
