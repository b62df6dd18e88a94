package kubeadm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// certificateKeyLife is how long uploaded certificates exist [HA doc].
const certificateKeyLife = 2 * time.Hour

// Token mints what nodes need to join.
type Token struct {
	TTL              task.Duration `json:"ttl" default:"2h" doc:"How long the token is valid; kubeadm's own default is 24h."`
	UploadCerts      bool          `json:"upload_certs" doc:"Upload the control plane's certificates under a new key, for control planes that join (Kubernetes 1.15 and later)."`
	Kubeconfig       string        `json:"kubeconfig" kf:"format=path" default:"/etc/kubernetes/admin.conf" doc:"Kubeconfig of an administrator, on the host."`
	CRISocket        string        `json:"cri_socket" doc:"Socket of the container runtime; needed where more than one is installed: kubeadm asks for it even here (cri-dockerd#427)."`
	AdvertiseAddress string        `json:"advertise_address" kf:"format=ip" doc:"Address of this host's API server; default: what its manifest says (kubeadm#3313)."`

	minted *Outputs
}

func (p *Token) check() error {
	if p.TTL.D() < time.Minute {
		return task.Failf("ttl %s: a token must live long enough for a join, and not for ever", p.TTL.D()).WithHint("leave it out, or say 2h; 0, which to kubeadm is for ever, is not possible: a new one is minted for each join")
	}
	return nil
}

func (p *Token) touches() task.Touches {
	return task.Touches{Reads: []string{"path:" + p.Kubeconfig, "cluster"}}
}

func (p *Token) client() kube.Client { return kube.Client{Kubeconfig: p.Kubeconfig} }

// Changes implements task.Task.
func (p *Token) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.client().Have(ctx, h); err != nil {
		return nil, err
	}
	summary := "create a bootstrap token for " + short(p.TTL.D())
	if p.UploadCerts {
		summary += " and upload the control plane's certificates"
	}
	return []task.Change{{Summary: summary, Apply: p.apply}}, nil
}

// short is a duration without zero parts: 2h instead of 2h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (p *Token) apply(ctx context.Context, h task.Host) error {
	v, err := installed(ctx, h)
	if err != nil {
		return err
	}
	if p.UploadCerts && !v.AtLeast(15) {
		return noUploadCerts(v)
	}
	out := &Outputs{Kubeconfig: p.Kubeconfig}
	life := p.TTL.D()
	if p.UploadCerts && certificateKeyLife < life {
		life = certificateKeyLife
	}
	out.Expires = h.Now().Add(life).UTC().Format(time.RFC3339)
	if out.Endpoint, err = kube.ServerOf(ctx, h, p.Kubeconfig); err != nil {
		return err
	}
	if out.CACertHash, err = kube.CAHash(ctx, h, p.Kubeconfig); err != nil {
		return err
	}
	if out.Token, err = p.create(ctx, h, v); err != nil {
		return err
	}
	if p.UploadCerts {
		if out.CertificateKey, err = p.upload(ctx, h, v); err != nil {
			return err
		}
	}
	p.minted = out
	return nil
}

// create makes a token. A configuration is needed only to name the container runtime.
func (p *Token) create(ctx context.Context, h task.Host, v kube.Version) (string, error) {
	argv := []string{"kubeadm", "token", "create", "--kubeconfig", p.Kubeconfig}
	if p.CRISocket == "" {
		return p.secret(ctx, h, append(argv, "--ttl", p.TTL.D().String()))
	}
	api, err := configAPI(v)
	if err != nil {
		return "", err
	}
	init := head(api, "InitConfiguration")
	init["nodeRegistration"] = map[string]any{"criSocket": kube.Socket(v, p.CRISocket)}
	init["bootstrapTokens"] = []any{map[string]any{
		"ttl": p.TTL.D().String(), "usages": []string{"signing", "authentication"},
		"groups": []string{"system:bootstrappers:kubeadm:default-node-token"},
	}}
	cluster := head(api, "ClusterConfiguration")
	cluster["kubernetesVersion"] = v.String() // else kubeadm asks the internet for one
	config, err := document(init, cluster)
	if err != nil {
		return "", err
	}
	token := ""
	err = withConfig(ctx, h, "kubeadm-token.yaml", config, func(path string) (err error) {
		token, err = p.secret(ctx, h, append(argv, "--config", path))
		return err
	})
	return token, err
}

// secret runs a command that prints a token, again while the API cannot be asked.
func (p *Token) secret(ctx context.Context, h task.Host, argv []string) (string, error) {
	c := task.Cmd(argv...)
	c.Secret = true
	var out task.Output
	err := kube.Patiently(ctx, h, patience, func() (err error) {
		if out, err = h.Run(ctx, c); err == nil && !out.OK() {
			out.Stdout = ""
			if kube.Transient(out) {
				return kube.NewAPIError(c, out)
			}
			return failure(c, out)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	token := regexp.MustCompile(`(?m)^[a-z0-9]{6}\.[a-z0-9]{16}$`).FindString(out.Stdout)
	if token == "" {
		return "", task.Failf("`kubeadm token create` printed no token")
	}
	return token, nil
}

// upload uploads the certificates under a new key. kubeadm gets the cluster's own configuration back, with the key and
// with this host's address.
func (p *Token) upload(ctx context.Context, h task.Host, v kube.Version) (string, error) {
	cluster, err := p.clusterConfiguration(ctx, h)
	if err != nil {
		return "", err
	}
	api, err := configAPI(v)
	if err != nil {
		return "", err
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	key := hex.EncodeToString(random)
	init := head(api, "InitConfiguration")
	init["certificateKey"] = key
	address := p.AdvertiseAddress
	if address == "" {
		a, _, err := localServer(ctx, h)
		if err != nil {
			return "", err
		}
		address = a
	}
	init["localAPIEndpoint"] = map[string]any{"advertiseAddress": address}
	if p.CRISocket != "" {
		init["nodeRegistration"] = map[string]any{"criSocket": kube.Socket(v, p.CRISocket)}
	}
	config, err := document(init, cluster)
	if err != nil {
		return "", err
	}
	return key, withConfig(ctx, h, "kubeadm-upload-certs.yaml", config, func(path string) error {
		c := task.Cmd("kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print", "--config", path)
		c.Secret = true
		return kube.Patiently(ctx, h, patience, func() error { return quiet(ctx, h, c) })
	})
}

// quiet runs a command whose standard output is not to be seen.
func quiet(ctx context.Context, h task.Host, c task.Command) error {
	o, err := h.Run(ctx, c)
	if err != nil || o.OK() {
		return err
	}
	o.Stdout = ""
	if kube.Transient(o) {
		return kube.NewAPIError(c, o)
	}
	return failure(c, o)
}

// clusterConfiguration is what the cluster keeps of the configuration it was made with.
func (p *Token) clusterConfiguration(ctx context.Context, h task.Host) (map[string]any, error) {
	var cm struct {
		Data map[string]string `json:"data"`
	}
	if err := p.client().JSON(ctx, h, patience, &cm, "-n", "kube-system", "get", "configmap", "kubeadm-config"); err != nil {
		return nil, err
	}
	var cluster map[string]any
	if err := yaml.Unmarshal([]byte(cm.Data["ClusterConfiguration"]), &cluster); err != nil {
		return nil, task.Failf("ConfigMap kubeadm-config in kube-system: %w", err)
	}
	if len(cluster) == 0 {
		return nil, task.Failf("ConfigMap kubeadm-config in kube-system has no ClusterConfiguration").WithHint("was this cluster made with kubeadm?")
	}
	return cluster, nil
}

// localServer is where the API server of this host listens, from its manifest.
func localServer(ctx context.Context, h task.Host) (address, port string, err error) {
	b, err := h.ReadFile(ctx, manifestDir+"/kube-apiserver.yaml")
	if err != nil {
		return "", "", err
	}
	find := func(flag string) string {
		m := regexp.MustCompile(`--` + flag + `=(\S+)`).FindStringSubmatch(string(b))
		if m == nil {
			return ""
		}
		return strings.Trim(m[1], `"'`)
	}
	if address, port = find("advertise-address"), find("secure-port"); address == "" {
		return "", "", task.Failf("%s/kube-apiserver.yaml has no --advertise-address", manifestDir).WithHint("set advertise_address")
	}
	if port == "" {
		port = "6443"
	}
	return address, port, nil
}

func (p *Token) outputs(context.Context, task.Host) (Outputs, error) {
	if p.minted == nil {
		return Outputs{}, errors.New("no token has been created")
	}
	return *p.minted, nil
}
