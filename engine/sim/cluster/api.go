package cluster

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
)

// serve answers one request over TLS at a connection to an API server: what a host without kubectl asks. It ends when the
// other side does.
func (n *Network) serve(conn net.Conn, p *plane, address string) {
	defer func() { _ = conn.Close() }()
	cert, err := p.cluster.serverCertificate(address)
	if err != nil {
		return
	}
	secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	req, err := http.ReadRequest(bufio.NewReader(secure))
	if err != nil {
		return // somebody who only looks whether the port is open
	}
	status, text := n.api(p, req)
	resp := &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: req, Close: true}
	_ = resp.Write(secure) // who asked has gone
	_ = secure.CloseWrite()
}

// api is what an API server answers to somebody with a token of the cluster; others learn only that it is well.
func (n *Network) api(p *plane, req *http.Request) (int, string) {
	kind, ns := "Node", ""
	name, ok := strings.CutPrefix(req.URL.Path, "/api/v1/nodes/")
	if !ok {
		kind, ns = "ConfigMap", "kube-system"
		name, ok = strings.CutPrefix(req.URL.Path, "/api/v1/namespaces/kube-system/configmaps/")
	}
	req.URL.Scheme = "https"
	switch {
	case !ok:
		return n.answer(p, req)
	case !p.cluster.knows(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")):
		return http.StatusUnauthorized, `{"kind": "Status", "reason": "Unauthorized"}`
	case !n.healthy(p):
		return http.StatusInternalServerError, `{"kind": "Status", "message": "etcdserver: request timed out"}`
	}
	o := n.object(p.cluster, kind, ns, name)
	if o == nil {
		return http.StatusNotFound, `{"kind": "Status", "reason": "NotFound", "message": "` + resource(kind) + ` \"` + name + `\" not found"}`
	}
	b, err := json.Marshal(o.data)
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	return http.StatusOK, string(b)
}

// token is what a kubeconfig of the cluster proves its user with.
func (c *Cluster) token(user string) string {
	sum := sha256.Sum256([]byte("token " + user + string(c.key509)))
	return user + "." + hex.EncodeToString(sum[:8])
}

func (c *Cluster) knows(token string) bool {
	i := strings.LastIndexByte(token, '.')
	return i > 0 && c.token(token[:i]) == token
}

// serverCertificate is one of the cluster for the name, or address, under which somebody asks.
func (c *Cluster) serverCertificate(address string) (tls.Certificate, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return tls.Certificate{}, err
	}
	authority, err := x509.ParseCertificate(c.der)
	if err != nil {
		return tls.Certificate{}, err
	}
	seed := sha256.Sum256([]byte("API server " + string(c.key509)))
	key := ed25519.NewKeyFromSeed(seed[:])
	t := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(name); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(nil, t, authority, key.Public(), c.key509)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
