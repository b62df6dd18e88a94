package cluster

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// leaves are the certificates of a control plane that are renewed.
func leaves() []string {
	return []string{"apiserver.crt", "apiserver-kubelet-client.crt", "apiserver-etcd-client.crt", "front-proxy-client.crt",
		"etcd/peer.crt", "etcd/server.crt", "etcd/healthcheck-client.crt"}
}

// leaf is a certificate of the cluster, valid for a year; all that are made at one time are the same.
func (c *Cluster) leaf(now time.Time) (string, error) {
	authority, err := x509.ParseCertificate(c.der)
	if err != nil {
		return "", err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(now.Unix()), Subject: pkix.Name{CommonName: "kubeadm"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(nil, t, authority, c.key509.Public(), c.key509)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), err
}

// renew makes the certificates of this host anew; what runs has the old ones until it is started again.
func (a *adm) renew(alpha bool) int {
	if minor := minorOf(versionOf(a.h, "kubeadm")); alpha != (minor < 20) {
		return a.Fail("unknown command \"certs\" for \"kubeadm\"")
	}
	p := a.n.planeOf(a.h.Name)
	if p == nil {
		return a.Fail("couldn't load the certificate authority: open /etc/kubernetes/pki/ca.crt: no such file or directory")
	}
	a.Take(1500 * time.Millisecond)
	leaf, err := p.cluster.leaf(a.h.Now())
	if err != nil {
		return a.Fail("%v", err)
	}
	files := map[string]string{}
	for _, name := range leaves() {
		if a.h.Exists(pki + name) {
			files[pki+name] = leaf
		}
	}
	if !a.write(files) {
		return 1
	}
	a.Printf("Done renewing certificates. You must restart the kube-apiserver, kube-controller-manager, kube-scheduler and etcd, so that they can use the new certificates.\n")
	return 0
}
