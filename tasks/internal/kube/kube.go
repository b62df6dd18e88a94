// Package kube has what the kinds that deal with Kubernetes share: versions, questions to a cluster's API, and
// manifests.
//
// # Questions
//
// A Client asks through kubectl on the host, which is there wherever a cluster is administered and speaks all versions
// and all ways to log in. Workers need not have it: for the one question that matters there (is this node in the
// cluster?) Node asks the API itself with the certificates of a kubeconfig.
//
// # Errors
//
// Answers of an API server that is starting, electing a leader or behind a load balancer that has not noticed yet look
// like errors and are none. APIError tells them apart: an absent object, a server that cannot be asked now, a server
// that refuses, and everything else.
package kube

import (
	"fmt"
	"strconv"
	"strings"
)

// AdminConf is the kubeconfig that kubeadm writes for administrators.
const AdminConf = "/etc/kubernetes/admin.conf"

// KubeletConf is the kubeconfig of a node's kubelet.
const KubeletConf = "/etc/kubernetes/kubelet.conf"

// Version is a version of Kubernetes.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads 1.29.6 or v1.29.6; what follows a - or + is left out.
func ParseVersion(s string) (Version, error) {
	text := strings.TrimPrefix(strings.TrimSpace(s), "v")
	if i := strings.IndexAny(text, "-+"); i >= 0 {
		text = text[:i]
	}
	parts := strings.Split(text, ".")
	var n [3]int
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, fmt.Errorf("%q is not a version of Kubernetes such as 1.29.6", s)
	}
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil {
			return Version{}, fmt.Errorf("%q is not a version of Kubernetes such as 1.29.6", s)
		}
		n[i] = v
	}
	return Version{n[0], n[1], n[2]}, nil
}

// String is the form with v: v1.29.6.
func (v Version) String() string { return fmt.Sprintf("v%d.%d.%d", v.Major, v.Minor, v.Patch) }

// IsZero tells whether no version is known.
func (v Version) IsZero() bool { return v == Version{} }

// AtLeast tells whether v is 1.minor or later.
func (v Version) AtLeast(minor int) bool { return v.Major > 1 || v.Minor >= minor }

// Socket is the address of a container runtime as that version of Kubernetes wants it: with unix:// from 1.24 on, a bare
// path before.
func Socket(v Version, socket string) string {
	path := strings.TrimPrefix(socket, "unix://")
	if path == "" || !v.AtLeast(24) || strings.Contains(path, "://") {
		return path
	}
	return "unix://" + path
}
