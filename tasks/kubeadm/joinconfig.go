package kubeadm

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// usable checks the credentials before kubeadm does: it would wait minutes for a token that has expired.
func (p *Join) usable(ctx context.Context, h task.Host, v kube.Version) error {
	f := p.From
	if f == nil || f.Token == "" || f.Endpoint == "" || f.CACertHash == "" {
		return task.Failf("join: `from` lacks endpoint, token or ca_cert_hash").
			WithHint(`give it the outputs of a task kubeadm: {token: ..} with run: on_demand: from: "${{ tasks.join_info.outputs }}"`)
	}
	if t, err := time.Parse(time.RFC3339, f.Expires); err == nil && !h.Now().Before(t) {
		return task.Failf("the credentials for the join have expired at %s", f.Expires).Retryable().
			WithHint("mint new ones: the task that creates them must be run: on_demand; a token minted by hand lives 24 hours, a certificate key 2 hours")
	}
	if !p.control() || f.CertificateKey != "" {
		return nil
	}
	if v.AtLeast(15) {
		if ok, err := hostfile.Exists(ctx, h, pkiDir+"/ca.key"); ok || err != nil {
			return err // certificates were brought by hand
		}
		return task.Failf("join: `from` has no certificate_key, which a control plane needs").WithHint("set upload_certs: true in the task that creates the token")
	}
	var missing []string
	for _, name := range []string{"ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key"} {
		ok, err := hostfile.Exists(ctx, h, path.Join(pkiDir, name))
		if err != nil {
			return err
		}
		if !ok {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return nil
	}
	return task.Failf("a control plane of Kubernetes %s needs %s in %s before it joins", v, strings.Join(missing, ", "), pkiDir).
		WithHint("kubeadm before 1.15 does not bring certificates to other control planes: copy these from the first one (`fetch` and `file`), and only these")
}

// document is the configuration of kubeadm join. It holds secrets.
func (p *Join) document(h task.Host, v kube.Version) (string, error) {
	api, err := configAPI(v)
	if err != nil {
		return "", err
	}
	f := p.From
	if strings.HasPrefix(api, "v1alpha") {
		kind := "JoinConfiguration"
		if api == "v1alpha2" {
			kind = "NodeConfiguration"
		}
		join := head(api, kind)
		join["token"] = f.Token
		join["discoveryTokenAPIServers"] = []string{f.Endpoint}
		join["discoveryTokenCACertHashes"] = []string{f.CACertHash}
		join["nodeRegistration"] = p.registration(h, v)
		return document(merge(join, p.JoinConfiguration))
	}
	join := head(api, "JoinConfiguration")
	join["discovery"] = map[string]any{"bootstrapToken": map[string]any{
		"apiServerEndpoint": f.Endpoint, "token": f.Token, "caCertHashes": []string{f.CACertHash},
	}}
	join["nodeRegistration"] = p.registration(h, v)
	if p.control() {
		local := map[string]any{"bindPort": p.BindPort}
		set(local, "advertiseAddress", p.AdvertiseAddress)
		control := map[string]any{"localAPIEndpoint": local}
		set(control, "certificateKey", f.CertificateKey)
		join["controlPlane"] = control
	}
	return document(merge(join, p.JoinConfiguration))
}
