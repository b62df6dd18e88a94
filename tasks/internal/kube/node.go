package kube

import (
	"context"
	"errors"
	"os/exec" //nolint:depguard // for ErrNotFound, which Host.Run documents; nothing is run with it
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Node is what a cluster says of a node.
type Node struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Unschedulable bool    `json:"unschedulable"`
		PodCIDR       string  `json:"podCIDR"`
		Taints        []Taint `json:"taints"`
	} `json:"spec"`
	Status struct {
		Conditions []Condition `json:"conditions"`
		NodeInfo   struct {
			KubeletVersion string `json:"kubeletVersion"`
		} `json:"nodeInfo"`
	} `json:"status"`
}

// Taint is a taint of a node.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// Condition is a condition of an object.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Ready tells whether the node's condition Ready holds.
func (n Node) Ready() bool {
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// ControlPlane tells whether kubeadm has marked the node as one: node-role.kubernetes.io/master up to 1.23,
// /control-plane from 1.20 on.
func (n Node) ControlPlane() bool {
	_, old := n.Metadata.Labels["node-role.kubernetes.io/master"]
	_, now := n.Metadata.Labels["node-role.kubernetes.io/control-plane"]
	return old || now
}

// Node asks for a node; nil when the cluster does not know it. It works where kubectl is not installed, too.
func (c Client) Node(ctx context.Context, h task.Host, patience time.Duration, name string) (*Node, error) {
	n := new(Node)
	ask := func() error {
		o, err := h.Run(ctx, c.Query("get", "node", name, "-o", "json"))
		switch {
		case errors.Is(err, exec.ErrNotFound):
			return c.get(ctx, h, "/api/v1/nodes/"+name, n)
		case err != nil:
			return err
		case !o.OK():
			return NewAPIError(c.Query("get", "node", name), o)
		}
		return decode(o.Stdout, n)
	}
	err := Patiently(ctx, h, patience, ask)
	if Is(err, NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// ConfigMap is one text of a ConfigMap. It works where kubectl is not installed, too.
func (c Client) ConfigMap(ctx context.Context, h task.Host, patience time.Duration, namespace, name, key string) (string, error) {
	var cm struct {
		Data map[string]string `json:"data"`
	}
	err := Patiently(ctx, h, patience, func() error {
		o, err := h.Run(ctx, c.Query("-n", namespace, "get", "configmap", name, "-o", "json"))
		switch {
		case errors.Is(err, exec.ErrNotFound):
			return c.get(ctx, h, "/api/v1/namespaces/"+namespace+"/configmaps/"+name, &cm)
		case err != nil:
			return err
		case !o.OK():
			return NewAPIError(c.Query("-n", namespace, "get", "configmap", name), o)
		}
		return decode(o.Stdout, &cm)
	})
	return cm.Data[key], err
}

// ClientCertificate is the certificate in a kubeconfig, PEM; empty where its user has none.
func ClientCertificate(ctx context.Context, h task.Host, kubeconfig string) ([]byte, error) {
	k, err := readKubeconfig(ctx, h, kubeconfig)
	if err != nil {
		return nil, err
	}
	return k.cert, nil
}

// ServerOf is the address of the API server in a kubeconfig, without https://.
func ServerOf(ctx context.Context, h task.Host, kubeconfig string) (string, error) {
	k, err := readKubeconfig(ctx, h, kubeconfig)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimPrefix(k.server, "https://"), "/"), nil
}
