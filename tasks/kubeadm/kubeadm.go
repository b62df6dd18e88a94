// Package kubeadm is the kind kubeadm: it makes a Kubernetes cluster and joins nodes to it.
//
// # Arms
//
// One task carries out one arm: init and join are states, reset is a state (of nothing being there), images is a state
// (they are on the host), upgrade is one (of that version), certificates is one (of being valid for long enough), token is an action that mints credentials. Each arm is a file; config.go knows which
// configuration API which version of kubeadm reads; state.go tells an established node from a half-made one.
//
// # A half-made node
//
// kubeadm init and join do not start again over what an interrupted run left (kubeadm#2353), so that has to be removed by
// kubeadm reset first; and that must never happen to a cluster that has worked. The files kubeadm leaves cannot tell the
// two apart: an API server that is down looks the same. So kflow writes a marker before it starts kubeadm and removes it
// after kubeadm has finished and the API answers. Only what is marked is reset, and only within a day. Everything else
// that is found is an error which says so.
//
// # Secrets
//
// Tokens and certificate keys travel in configuration files below /run (mode 0600, removed when kubeadm ends), never in
// arguments; kubeadm is told not to print them.
package kubeadm

import (
	"context"
	"errors"

	"github.com/kflow/kflow/engine/task"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:     "kubeadm",
		Summary:  "Make a Kubernetes cluster with kubeadm, and keep it: init, join, token, images, upgrade, certificates, reset",
		Doc:      doc,
		New:      func() task.Task { return new(Kubeadm) },
		Outputs:  Outputs{},
		Examples: examples(),
	}
}

// Kubeadm are the parameters.
type Kubeadm struct {
	Init         *Init         `json:"init" kf:"arm=arm" doc:"Make the first control plane of a cluster."`
	Join         *Join         `json:"join" kf:"arm=arm" doc:"Join this host to a cluster."`
	Token        *Token        `json:"token" kf:"arm=arm" doc:"Mint what nodes need to join. Use run: on_demand."`
	Images       *Images       `json:"images" kf:"arm=arm" doc:"Images of the control plane: list them, have them on the host."`
	Upgrade      *Upgrade      `json:"upgrade" kf:"arm=arm" doc:"Bring a cluster, and its nodes one after the other, to a later version."`
	Certificates *Certificates `json:"certificates" kf:"arm=arm" doc:"Renew the certificates of a control plane before they expire."`
	Reset        *Reset        `json:"reset" kf:"arm=arm" doc:"Remove what kubeadm has made on this host."`

	own arm // the arm of this task, once it is asked for
}

// Outputs are the outputs. Which of them an arm sets is said at each.
type Outputs struct {
	Endpoint       string   `json:"endpoint,omitempty" doc:"Address of the API server, host:port (init, token)."`
	Kubeconfig     string   `json:"kubeconfig,omitempty" doc:"Path of the administrator's kubeconfig on the host (init, token)."`
	Token          string   `json:"token,omitempty" kf:"secret" doc:"Bootstrap token (token)."`
	CACertHash     string   `json:"ca_cert_hash,omitempty" doc:"Hash of the cluster's certificate authority, sha256:... (init, token)."`
	CertificateKey string   `json:"certificate_key,omitempty" kf:"secret" doc:"Key of the uploaded certificates (token with upload_certs)."`
	Expires        string   `json:"expires,omitempty" doc:"When token or certificate key cease to be valid, whichever is first, RFC 3339 (token)."`
	Images         []string `json:"images,omitempty" doc:"Images a control plane needs (images)."`
}

// arm is what each arm implements.
type arm interface {
	task.Task
	check() error
	touches() task.Touches
	outputs(ctx context.Context, h task.Host) (Outputs, error)
}

// arm is the arm that is given. Those that learn the name of their node are copies: parameters are not changed.
func (k *Kubeadm) arm() (arm, error) {
	switch {
	case k.own != nil:
		return k.own, nil
	case k.Init != nil:
		own := *k.Init
		k.own = &own
		return k.own, nil
	case k.Join != nil:
		own := *k.Join
		k.own = &own
		return k.own, nil
	case k.Token != nil:
		return k.Token, nil
	case k.Images != nil:
		return k.Images, nil
	case k.Upgrade != nil:
		return k.Upgrade, nil
	case k.Certificates != nil:
		return k.Certificates, nil
	case k.Reset != nil:
		return k.Reset, nil
	}
	return nil, errors.New("one of init, join, token, images, upgrade, certificates, reset is needed")
}

// Check implements task.Checker.
func (k *Kubeadm) Check() error {
	a, err := k.arm()
	if err != nil {
		return err
	}
	return a.check()
}

// Changes implements task.Task.
func (k *Kubeadm) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	a, err := k.arm()
	if err != nil {
		return nil, err
	}
	return a.Changes(ctx, h)
}

// Outputs implements task.Outputter.
func (k *Kubeadm) Outputs(ctx context.Context, h task.Host) (any, error) {
	a, err := k.arm()
	if err != nil {
		return nil, err
	}
	return a.outputs(ctx, h)
}

// Action implements task.Actor: minting is done once per demand, everything else is a state.
func (k *Kubeadm) Action() bool { return k.Token != nil }

// SecretOutputs tells whether the outputs of this task are never to be stored: those of the arm token. It is asked where
// Kind.SecretOutputs would be too coarse.
func (k *Kubeadm) SecretOutputs() bool { return k.Token != nil }

// Touches implements task.Toucher.
func (k *Kubeadm) Touches() task.Touches {
	a, err := k.arm()
	if err != nil {
		return task.Touches{}
	}
	return a.touches()
}

// Interface guards.
var (
	_ task.Checker   = (*Kubeadm)(nil)
	_ task.Toucher   = (*Kubeadm)(nil)
	_ task.Outputter = (*Kubeadm)(nil)
	_ task.Actor     = (*Kubeadm)(nil)
	_ arm            = (*Init)(nil)
	_ arm            = (*Join)(nil)
	_ arm            = (*Token)(nil)
	_ arm            = (*Images)(nil)
	_ arm            = (*Upgrade)(nil)
	_ arm            = (*Certificates)(nil)
	_ arm            = (*Reset)(nil)
)
