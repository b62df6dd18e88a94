package cluster

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

// Cluster is one Kubernetes cluster. Network.mu guards it.
type Cluster struct {
	ca       string // PEM
	hash     string // of its public key, sha256:..
	version  string // v1.29.6
	endpoint string // of kubeconfigs, host:port
	config   string // ClusterConfiguration
	external bool   // etcd is elsewhere
	cgroups  string // cgroup driver of the kubelets
	proxy    string // mode of kube-proxy
	made     time.Time
	der      []byte             // its certificate authority
	key509   ed25519.PrivateKey // of that

	tokens     map[string]time.Time // until when they hold
	key        string               // of the certificates that were uploaded
	keyUntil   time.Time
	minted     int
	nodes      map[string]*node
	members    []*member
	objects    map[string]*object
	namespaces map[string]bool
}

// plane is the control plane on one host.
type plane struct {
	cluster *Cluster
	host    *host.Host
	port    string // of the API server
	since   time.Time
}

type node struct {
	name          string
	host          *host.Host
	joined        time.Time
	control       bool
	version       string
	labels        map[string]string
	taints        []taint
	unschedulable bool
}

type taint struct{ Key, Value, Effect string }

// member is a member of a stacked etcd.
type member struct {
	name    string
	host    *host.Host
	learner bool
}

// warmUp is how long an API server needs after the start of its kubelet.
const warmUp = 8 * time.Second

func (n *Network) planeOf(name string) *plane {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.planes[name]
}

// up tells whether the API server of a control plane listens.
func (n *Network) up(p *plane) bool {
	runs, since := podsRun(p.host)
	if !runs || !p.host.Exists(manifests+"kube-apiserver.yaml") {
		return false
	}
	if since.Before(p.since) {
		since = p.since
	}
	return p.host.Now().Sub(since) >= warmUp
}

// healthy tells whether the API server can do anything: its etcd has a quorum.
func (n *Network) healthy(p *plane) bool {
	n.mu.Lock()
	members := slices.Clone(p.cluster.members)
	external := p.cluster.external
	n.mu.Unlock()
	if external {
		return true
	}
	voters, alive := 0, 0
	for _, m := range members {
		if m.learner {
			continue
		}
		voters++
		if n.alive(m) {
			alive++
		}
	}
	return alive > voters/2
}

// alive tells whether a member of etcd runs.
func (n *Network) alive(m *member) bool {
	runs, _ := podsRun(m.host)
	return runs && !n.Down(m.host.Name) && m.host.Exists(manifests+"etcd.yaml")
}

// newCluster makes a cluster with a certificate authority of its own.
func (n *Network) newCluster(now time.Time) (*Cluster, error) {
	n.mu.Lock()
	count := len(n.clusters)
	n.mu.Unlock()
	seed := sha256.Sum256(fmt.Appendf(nil, "certificate authority %d %d", n.seed, count))
	key := ed25519.NewKeyFromSeed(seed[:])
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(nil, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	c := &Cluster{ca: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), hash: "sha256:" + hex.EncodeToString(sum[:]), made: now, der: der, key509: key,
		tokens: map[string]time.Time{}, nodes: map[string]*node{}, objects: map[string]*object{},
		namespaces: map[string]bool{"default": true, "kube-system": true, "kube-public": true, "kube-node-lease": true}}
	n.mu.Lock()
	n.clusters = append(n.clusters, c)
	n.mu.Unlock()
	return c, nil
}

// mint makes a token that holds until a time. Network.mu is held.
func (c *Cluster) mint(seed uint64, token string, until time.Time) string {
	if token == "" {
		c.minted++
		token = fmt.Sprintf("%06x.%016x", c.minted, seed+uint64(c.minted)*0x9e3779b97f4a7c15)
	}
	c.tokens[token] = until
	return token
}

// kubeconfig is a kubeconfig for a user of the cluster.
func (c *Cluster) kubeconfig(server, user string) string {
	return fmt.Sprintf(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: https://%s
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: %s
  name: %s@kubernetes
current-context: %s@kubernetes
kind: Config
users:
- name: %s
  user:
    token: %s
`, base64.StdEncoding.EncodeToString([]byte(c.ca)), server, user, user, user, user, c.token(user))
}

// field is the value of the first line `key: value` of a YAML text.
func field(text, key string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimSpace(line), "- ")
		if k, v, ok := strings.Cut(line, ":"); ok && k == key {
			return strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return ""
}

// within is the value of a key of a map that stands at the top of a YAML text.
func within(text, section, key string) string {
	_, rest, ok := strings.Cut("\n"+text, "\n"+section+":\n")
	indent := len(rest) - len(strings.TrimLeft(rest, " "))
	if !ok || indent == 0 {
		return ""
	}
	for line := range strings.Lines(rest) {
		switch depth := len(line) - len(strings.TrimLeft(line, " ")); {
		case depth == 0 && !strings.HasPrefix(line, "-"):
			return ""
		case depth == indent && strings.HasPrefix(line[depth:], key+":"):
			return field(line, key)
		}
	}
	return ""
}

// documentOf is the document of a kind in a YAML text.
func documentOf(text, kind string) string {
	for _, doc := range strings.Split(text, "\n---\n") {
		if field(doc, "kind") == kind {
			return strings.TrimPrefix(doc, "---\n")
		}
	}
	return ""
}

// minorOf is the second number of a version: 29 of v1.29.6. 0 where there is none.
func minorOf(version string) int {
	_, rest, _ := strings.Cut(version, "1.")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(rest)
	}
	minor, _ := strconv.Atoi(rest[:digits])
	return minor
}

// Expire ends all tokens and uploaded certificates, as if nobody had come for them in time; it tells whether there were any.
func (n *Network) Expire() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	had := false
	for _, c := range n.clusters {
		had = had || len(c.tokens) > 0 || c.key != ""
		clear(c.tokens)
		c.keyUntil = time.Time{}
		c.key = ""
	}
	return had
}
