package kubeadm

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/conf"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Certificates keeps the certificates of a control plane from expiring.
type Certificates struct {
	RenewBefore task.Duration `json:"renew_before" default:"720h" doc:"How long before its end a certificate is renewed; kubeadm makes them for a year, 8760h."`
}

// renewFile notes on a host that certificates are being renewed: what was not seen to end is done again.
const renewFile = markerDir + "/renew.json"

// renewedAnnotation is what makes a kubelet start a static pod again: its manifest is another one.
const renewedAnnotation = `metadata.annotations."kflow/certificates-renewed"`

func (p *Certificates) check() error {
	const year = 8760 * time.Hour // what kubeadm makes them for
	if left := p.RenewBefore.D(); left < 0 || left >= year {
		return task.Failf("renew_before %s: kubeadm makes certificates for a year (8760h), so they would be renewed at every run, or never", short(left)).
			WithHint("say how long before the end, for example 720h; 8700h renews all that are older than three days")
	}
	return nil
}

func (p *Certificates) touches() task.Touches {
	return task.Touches{Reads: []string{"package:kubeadm"}, Writes: []string{"cluster", "path:/etc/kubernetes/"}}
}

func (p *Certificates) outputs(context.Context, task.Host) (Outputs, error) { return Outputs{}, nil }

// ownCertificates are the files that kubeadm renews; which of them there are depends on the version and on where etcd is.
func ownCertificates() []string {
	return []string{pkiDir + "/apiserver.crt", pkiDir + "/apiserver-kubelet-client.crt", pkiDir + "/front-proxy-client.crt",
		pkiDir + "/apiserver-etcd-client.crt", pkiDir + "/etcd/server.crt", pkiDir + "/etcd/peer.crt", pkiDir + "/etcd/healthcheck-client.crt",
		kube.AdminConf, "/etc/kubernetes/super-admin.conf", "/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf"}
}

// Changes implements task.Task.
func (p *Certificates) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if there, err := hostfile.Exists(ctx, h, manifestDir+"/kube-apiserver.yaml"); err != nil {
		return nil, err
	} else if !there {
		return nil, notyet.Failf("cluster", "this host has no control plane").WithHint("certificates of the control plane are renewed there: on: control_plane; kubelets renew their own")
	}
	due, err := p.due(ctx, h)
	if err != nil {
		return nil, err
	}
	begun, err := hostfile.Exists(ctx, h, renewFile)
	if err != nil {
		return nil, err
	}
	if begun {
		due = append(due, "a renewal was not seen to end: it is carried out again")
	}
	if due == nil {
		return nil, p.authorities(ctx, h)
	}
	return []task.Change{{Summary: "renew the certificates of the control plane", Diff: strings.Join(due, "\n"), Apply: p.apply}}, nil
}

// due are the certificates that end soon.
func (p *Certificates) due(ctx context.Context, h task.Host) (due []string, err error) {
	for _, name := range ownCertificates() {
		until, err := validUntil(ctx, h, name)
		if err != nil {
			return nil, err
		}
		if left := until.Sub(h.Now()); !until.IsZero() && left < p.RenewBefore.D() {
			due = append(due, fmt.Sprintf("%s: valid until %s (%s)", name, until.UTC().Format(time.DateOnly), days(left)))
		}
	}
	return due, nil
}

func days(left time.Duration) string {
	const day = 24 * time.Hour
	if left < 0 {
		return fmt.Sprintf("%d days ago", -left/day)
	}
	return fmt.Sprintf("%d days left", left/day)
}

// authorities warns of certificate authorities that end soon: kubeadm does not renew these.
func (p *Certificates) authorities(ctx context.Context, h task.Host) error {
	for _, name := range []string{"ca.crt", "front-proxy-ca.crt", "etcd/ca.crt"} {
		until, err := validUntil(ctx, h, path.Join(pkiDir, name))
		if err != nil {
			return err
		}
		if left := until.Sub(h.Now()); !until.IsZero() && left < p.RenewBefore.D() {
			h.Log(fmt.Sprintf("%s/%s is valid until %s (%s): kubeadm does not renew certificate authorities, see Kubernetes' page on their rotation", pkiDir, name, until.UTC().Format(time.DateOnly), days(left)))
		}
	}
	return nil
}

// validUntil is the end of the certificate in a file, or in a kubeconfig; zero where there is none.
func validUntil(ctx context.Context, h task.Host, name string) (time.Time, error) {
	text, err := h.ReadFile(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err == nil && path.Ext(name) == ".conf" {
		text, err = kube.ClientCertificate(ctx, h, name)
	}
	if err != nil || len(text) == 0 {
		return time.Time{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return time.Time{}, task.Failf("%s holds no certificate", name).WithHint("compare it with that of another control plane; `kubeadm certs renew` makes it anew")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, task.Failf("%s: %w", name, err).WithHint("`kubeadm certs renew` makes it anew")
	}
	return cert.NotAfter, nil
}

// apply renews, and has the static pods started again, since they read their certificates when they start.
func (p *Certificates) apply(ctx context.Context, h task.Host) error {
	v, err := installed(ctx, h)
	if err != nil {
		return err
	}
	now := h.Now().UTC().Format(time.RFC3339)
	if err := writeUpgrade(ctx, h, renewFile, upgrading{Version: v.String(), Started: now}); err != nil {
		return err
	}
	argv := []string{"kubeadm", "certs", "renew", "all"}
	switch { // it has moved twice
	case !v.AtLeast(14):
		argv = []string{"kubeadm", "alpha", "phase", "certs", "renew", "all"}
	case !v.AtLeast(20):
		argv = []string{"kubeadm", "alpha", "certs", "renew", "all"}
	}
	if err := must(ctx, h, task.Cmd(argv...).Streamed()); err != nil {
		return err
	}
	for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if err := startAgain(ctx, h, manifestDir+"/"+component+".yaml", now); err != nil {
			return err
		}
	}
	const noticed = 25 * time.Second // a kubelet looks at its manifests every 20 s
	h.Log("the static pods are started again by the kubelet; their API is away for a moment")
	if err := h.Sleep(ctx, noticed); err != nil {
		return err
	}
	c, err := localClient(ctx, h)
	if err != nil {
		return err
	}
	if err := waitReady(ctx, h, c); err != nil {
		return err
	}
	if err := h.Remove(ctx, renewFile); err != nil {
		return err
	}
	due, err := p.due(ctx, h)
	if err != nil || due == nil {
		return err
	}
	f := task.Failf("kubeadm has renewed the certificates, and they are valid for less than renew_before (%s)", short(p.RenewBefore.D()))
	f.Output = strings.Join(due, "\n")
	return f.WithHint("give a shorter renew_before: these are all that kubeadm makes them for (certificateValidityPeriod)")
}

// startAgain makes the kubelet start a static pod anew, by a note in its manifest. A manifest that is moved away and back, as
// documents do it, would be lost when somebody pulls the plug in between.
func startAgain(ctx context.Context, h task.Host, manifest, when string) error {
	text, there, err := hostfile.Read(ctx, h, manifest)
	if err != nil || !there {
		return err
	}
	after, err := conf.Set("yaml", text, map[string]any{renewedAnnotation: when})
	if err != nil {
		return task.Failf("%s: %w", manifest, err).WithHint("the certificates are renewed; move the file out of the directory for 20 seconds, so that its pod is started again")
	}
	return h.WriteFile(ctx, manifest, strings.NewReader(after), task.Attr{})
}
